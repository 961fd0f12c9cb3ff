//! All layers over a reqwest client: the same stack as over any other, with `Reqwest` at its bottom.
//!
//! The first provider is overloaded, so the second one answers, with its own key and its own model.

use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use towline::{BoxError, Call, Credential, Reqwest, Target};
use towline_testkit::{MockProvider, Reply};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (first, second) = (MockProvider::start().await?, MockProvider::start().await?);
    first.otherwise(
        Reply::status(529)
            .header("retry-after", "0.2")
            .json(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
    );
    second.respond_with(|request| Reply::status(200).json(format!(r#"{{"you sent":{}}}"#, request.text())));

    // A client of your own settings; `from_builder` turns redirects and reqwest's own retries off.
    let client = Reqwest::from_builder(reqwest::Client::builder().no_proxy())?;
    let service = towline::stack(client)
        .targets([
            Target::new("first", first.url(""))?.with_credential(Credential::header("x-api-key", "key-of-the-first")?),
            Target::new("second", second.url(""))?
                .with_model("claude-haiku-4-5")
                .with_credential(Credential::header("x-api-key", "key-of-the-second")?),
        ])?
        .build()?;

    let request = Request::post("/v1/messages").header(CONTENT_TYPE, "application/json").body(Full::<bytes::Bytes>::from(
        r#"{"model":"claude-sonnet-4-6","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}"#,
    ))?;
    let response = service.oneshot(request).await?;

    println!("answered with {} by {}", response.status(), Target::of(response.extensions()).map_or("nobody", Target::name));
    for attempt in Call::of(response.extensions()).map(Call::trail).unwrap_or_default() {
        println!("  {attempt}, {:?} after the one before", attempt.waited);
    }
    println!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));
    Ok(())
}
