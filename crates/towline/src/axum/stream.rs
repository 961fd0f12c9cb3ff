//! A stream that fails in its caller's dialect.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use towline_core::{BoxError, Dialect, Error};

use super::error::error_event;

pin_project! {
    /// Hands on events. Where the body beneath fails between two of them, the caller's dialect has an event for that, and the body
    /// ends with it.
    ///
    /// A beginning that is no whole event yet is held back until more comes, so that nothing broken stands before that event. Where an
    /// event has been handed on in part, since it came in many pieces, all that is left is to fail.
    pub(super) struct EventBody<R> {
        #[pin]
        inner: R,
        dialect: Option<Dialect>,
        // The beginning of an event.
        held: Option<Bytes>,
        // To be handed on before the body beneath is asked again.
        next: Option<Frame<Bytes>>,
        // Whether what was handed on ends within an event.
        open: bool,
        ended: bool,
    }
}

impl<R> EventBody<R> {
    pub(super) const fn new(inner: R, dialect: Option<Dialect>) -> Self {
        Self { inner, dialect, held: None, next: None, open: false, ended: false }
    }
}

fn ends_an_event(data: &[u8]) -> bool {
    data.is_empty() || [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"].iter().any(|end| data.ends_with(end))
}

impl<R> Body for EventBody<R>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        loop {
            if let Some(frame) = this.next.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if *this.ended {
                return Poll::Ready(None);
            }
            match ready!(this.inner.as_mut().poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if ends_an_event(&data) => {
                    *this.open = false;
                    match this.held.take() {
                        Some(begun) => {
                            *this.next = Some(Frame::data(data));
                            return Poll::Ready(Some(Ok(Frame::data(begun))));
                        }
                        None => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    }
                }
                Some(Ok(Ok(data))) => {
                    if let Some(begun) = this.held.replace(data) {
                        *this.open = true;
                        return Poll::Ready(Some(Ok(Frame::data(begun))));
                    }
                }
                Some(Ok(Err(trailers))) => {
                    *this.next = Some(trailers);
                    if let Some(begun) = this.held.take() {
                        return Poll::Ready(Some(Ok(Frame::data(begun))));
                    }
                }
                Some(Err(error)) => {
                    (*this.ended, *this.held) = (true, None);
                    let error = Error::from_body(error);
                    return Poll::Ready(Some(match error_event(&error, *this.dialect).filter(|_| !*this.open) {
                        Some(event) => Ok(Frame::data(event)),
                        None => Err(error),
                    }));
                }
                None => {
                    *this.ended = true;
                    return Poll::Ready(this.held.take().map(|begun| Ok(Frame::data(begun))));
                }
            }
        }
    }

    /// Nothing is promised: an event more may come.
    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.held.is_none() && (self.ended || self.inner.is_end_stream())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt;
    use towline_core::{Failure, FailureKind};

    use super::*;

    /// Frames, and an error where the text is empty.
    struct Script(VecDeque<&'static str>);

    impl Body for Script {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            Poll::Ready(self.0.pop_front().map(|text| match text {
                "" => Err(Failure::new(FailureKind::StreamBroken).into()),
                text => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            }))
        }
    }

    /// What a caller hears, and whether the body failed.
    async fn heard(script: &[&'static str], dialect: Option<Dialect>) -> (String, bool) {
        let mut body = EventBody::new(Script(script.iter().copied().collect()), dialect);
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap())),
                Err(_) => return (text, true),
            }
        }
        assert!(body.is_end_stream());
        (text, false)
    }

    #[tokio::test]
    async fn what_does_not_fail_is_handed_on_as_it_is() {
        for script in [&["data: 1\n\n", "data: 2\r\n\r\n"][..], &["da", "ta: 1\n", "\ndata", ": 2"], &[]] {
            assert_eq!(heard(script, Some(Dialect::OpenAiChat)).await, (script.concat(), false));
        }
    }

    #[tokio::test]
    async fn a_failure_is_an_event_of_the_callers_dialect_and_the_last_one() {
        let message = "the response ended before it was complete";
        let openai = format!(
            "data: {{\"error\":{{\"code\":\"stream_broken\",\"message\":\"{message}\",\"param\":null,\"type\":\"server_error\"}}}}\n\n"
        );
        let anthropic = format!(
            "event: error\ndata: {{\"error\":{{\"message\":\"{message}\",\"type\":\"api_error\"}},\"type\":\"error\"}}\n\n"
        );
        let responses = format!(
            "event: error\ndata: {{\"code\":\"stream_broken\",\"message\":\"{message}\",\"param\":null,\"type\":\"error\"}}\n\n"
        );
        for (dialect, event) in
            [(Dialect::OpenAiChat, openai), (Dialect::Anthropic, anthropic), (Dialect::OpenAiResponses, responses)]
        {
            assert_eq!(heard(&["data: 1\n\n", "", "data: 2\n\n"], Some(dialect)).await, (format!("data: 1\n\n{event}"), false));
        }
    }

    #[tokio::test]
    async fn half_an_event_is_not_handed_on_before_the_failure() {
        let (text, failed) = heard(&["data: 1\n\n", "data: {\"ha", ""], Some(Dialect::OpenAiChat)).await;
        assert!(text.starts_with("data: 1\n\ndata: {\"error\"") && !text.contains("\"ha") && !failed, "{text}");
    }

    #[tokio::test]
    async fn within_an_event_that_is_under_way_a_failure_stays_one() {
        let (text, failed) = heard(&["data: {\"a", "b", "c", ""], Some(Dialect::OpenAiChat)).await;
        assert_eq!((text.as_str(), failed), ("data: {\"ab", true));
        let (text, failed) = heard(&["data: 1\n\n", ""], Some(Dialect::Bedrock)).await;
        assert_eq!((text.as_str(), failed), ("data: 1\n\n", true), "whose streams are no text");
    }
}
