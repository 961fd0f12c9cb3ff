//! Every type that a user may have to write down has a name in the facade.
#![cfg(feature = "stack")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn};
use towline::{BoxError, ClassifiedBody, DegradeBody, Error, GuardedBody, LimitedBody, StackService, Target, TimedBody, stack};

/// What a stack answers with, whose transport answers with `R`.
type Answer<R> = DegradeBody<TimedBody<GuardedBody<LimitedBody<TimedBody<ClassifiedBody<R>>>>>>;

struct App<S> {
    llm: StackService<S>,
}

impl<S, R> App<S>
where
    StackService<S>: Service<Request<Full<Bytes>>, Response = Response<Answer<R>>, Error = Error> + Clone,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    async fn ask(&self, question: &'static str) -> Result<Response<Answer<R>>, Error> {
        self.llm.clone().oneshot(Request::new(Full::from(question))).await
    }
}

#[tokio::test]
async fn the_answer_of_a_stack_can_be_written_down() -> Result<(), BoxError> {
    let transport =
        service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("hello"))) });
    let app = App { llm: stack(transport).targets([Target::new("only", "http://127.0.0.1:9")?])?.build()? };
    assert_eq!(app.ask("{}").await?.into_body().collect().await?.to_bytes(), "hello");
    Ok(())
}
