use http_body_util::{Either, Empty};

use super::*;

fn tee(steps: impl IntoIterator<Item = Step>, cap: usize) -> ReplayBody<Script> {
    ReplayBody::tee(Script::new(steps), cap)
}

fn data(body: &mut ReplayBody<Script>) -> String {
    let seen = read_all(body);
    assert_eq!(seen.error, None);
    assert!(seen.ended);
    seen.data
}

#[test]
fn a_full_body_is_sent_any_number_of_times_and_at_once() {
    let mut first: ReplayBody = Bytes::from_static(b"hello").into();
    let mut second = first.try_clone().unwrap();
    assert_eq!(second.size_hint().exact(), Some(5));
    assert_eq!(read(&mut first, 1).data, "hello");
    assert!(first.is_end_stream());
    assert_eq!(read_all(&mut second).data, "hello");
    assert_eq!(read_all(&mut second.try_clone().unwrap()).data, "hello", "from the beginning, wherever the original stands");
    assert!(ReplayBody::<Full<Bytes>>::full(Bytes::new()).is_end_stream());
}

#[test]
fn a_body_for_once_is_sent_once_and_is_no_error() {
    let mut body = ReplayBody::once(Script::new([Data("a"), Pending, Data("b"), Trailers]));
    assert!(body.try_clone().is_none());
    let seen = read_all(&mut body);
    assert_eq!((seen.data.as_str(), seen.trailers, seen.ended), ("ab", true, true));
}

#[test]
fn foreign_bodies_answer_for_themselves() {
    assert!(Full::new(Bytes::new()).try_clone().is_some());
    assert!(Empty::<Bytes>::new().try_clone().is_some());
    assert_eq!(String::from("a").try_clone().as_deref(), Some("a"));
    let either = |left: bool| -> Either<ReplayBody, String> {
        if left { Either::Left(ReplayBody::once(Full::default())) } else { Either::Right(String::new()) }
    };
    assert!(either(true).try_clone().is_none());
    assert!(either(false).try_clone().is_some());
}

#[test]
fn a_clone_of_a_body_dropped_unread_reads_each_frame_once_linkerd2_15649() {
    let body = tee([Data("hello")], 100);
    let mut clone = body.try_clone().unwrap();
    drop(body);
    assert_eq!(data(&mut clone), "hello");
    assert_eq!(data(&mut clone.try_clone().unwrap()), "hello");
}

#[test]
fn a_clone_read_while_the_original_is_live_gets_an_error_not_a_panic_linkerd2_proxy_3216() {
    let mut body = tee([Data("a"), Data("b")], 100);
    let mut early = body.try_clone().unwrap();
    assert_eq!(read(&mut body, 1).data, "a");
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Err(error))) = Pin::new(&mut early).poll_frame(&mut cx) else { panic!("not an error") };
    assert!(error.is::<ReplayInUse>());
    assert!(read_all(&mut early).ended, "the error is its end");
    assert_eq!(data(&mut body), "b", "and the live reader is not disturbed");
    let (mut one, mut two) = (body.try_clone().unwrap(), body.try_clone().unwrap());
    assert_eq!(read(&mut one, 1).data, "a");
    assert_eq!(data(&mut two), "ab", "a whole recording serves any number of readers");
    assert_eq!(data(&mut one), "b");
}

#[test]
fn the_first_frame_is_not_lost_when_only_it_was_read_linkerd2_proxy_3947() {
    let mut body = tee([Data("one"), Data("two")], 100);
    let kept = body.try_clone().unwrap();
    assert_eq!(read(&mut body, 1).data, "one");
    drop(body);
    let mut next = kept.try_clone().unwrap();
    assert_eq!(data(&mut next), "onetwo");
}

#[test]
fn trailers_are_sent_each_time_and_end_nothing_before_them_linkerd2_proxy_1706() {
    for sized in [false, true] {
        let script = Script::new([Data("hello"), Pending, Trailers]);
        let gone = script.gone();
        let mut body = ReplayBody::tee(if sized { script.sized() } else { script }, 100);
        let kept = body.try_clone().unwrap();
        assert_eq!(read(&mut body, 1).data, "hello");
        assert!(!body.is_end_stream(), "trailers are to come");
        assert!(read(&mut body, 1).trailers);
        assert!(body.is_end_stream() && gone(), "trailers are the end, though nobody reads on");
        drop(body);
        let seen = read_all(&mut kept.try_clone().unwrap());
        assert_eq!((seen.data.as_str(), seen.trailers, seen.ended), ("hello", true, true));
    }
}

#[test]
fn a_body_longer_than_its_cap_goes_on_and_is_not_sent_again() {
    let mut body = tee([Data("abc"), Data("def"), Data("ghi")], 5);
    let kept = body.try_clone().unwrap();
    assert_eq!(read(&mut body, 1).data, "abc");
    assert!(kept.try_clone().is_some(), "not yet");
    assert_eq!(read(&mut body, 1).data, "def");
    assert!(kept.try_clone().is_none());
    assert_eq!(data(&mut body), "ghi");
    let mut kept = kept;
    assert!(read_all(&mut kept).error.unwrap().contains("longer than what is recorded"));
}

#[test]
fn a_body_that_announces_more_than_the_cap_is_not_recorded() {
    assert!(ReplayBody::tee(Script::new([Data("123456")]).sized(), 5).try_clone().is_none());
    let mut fits = ReplayBody::tee(Script::new([Data("12345")]).sized(), 5);
    assert_eq!(data(&mut fits), "12345");
    assert_eq!(data(&mut fits.try_clone().unwrap()), "12345");
}

#[test]
fn an_error_of_the_inner_body_is_final_for_every_handle() {
    let mut body = tee([Data("a"), Error], 100);
    let mut before = body.try_clone().unwrap();
    assert_eq!(read_all(&mut body).error.as_deref(), Some("broken"));
    assert!(body.try_clone().is_none());
    assert!(read_all(&mut body).ended);
    drop(body);
    assert!(read_all(&mut before).error.unwrap().contains("failed when it was read before"));
}

#[test]
fn the_source_is_dropped_as_soon_as_it_has_ended() {
    for steps in [vec![Data("a"), Trailers], vec![Data("a"), Error], vec![Data("a")]] {
        let script = Script::new(steps);
        let gone = script.gone();
        let mut body = ReplayBody::tee(script, 100);
        let _kept = body.try_clone();
        read_all(&mut body);
        assert!(gone());
    }
}

#[test]
fn a_lost_source_is_not_kept_for_nobody() {
    let script = Script::new([Data("abc"), Data("def")]);
    let gone = script.gone();
    let mut body = ReplayBody::tee(script, 2);
    let _kept = body.try_clone().unwrap();
    read(&mut body, 1);
    drop(body);
    assert!(gone());
}

#[test]
fn the_size_hint_counts_what_is_still_to_come() {
    let script = || Script::new([Data("abc"), Data("de"), Data("f")]).sized();
    let mut body = ReplayBody::tee(script(), 100);
    let mut clone = body.try_clone().unwrap();
    let exact = |body: &ReplayBody<Script>| body.size_hint().exact();
    assert_eq!(exact(&body), Some(6));
    read(&mut body, 2);
    assert_eq!((exact(&body), exact(&clone)), (Some(1), Some(6)));
    drop(body);
    assert_eq!(exact(&clone), Some(6));
    read(&mut clone, 1);
    assert_eq!(exact(&clone), Some(3), "two recorded, one from the source");
    read(&mut clone, 2);
    assert_eq!(exact(&clone), Some(0));
    assert!(clone.is_end_stream());
}

proptest! {
    /// The naive model of a tee: a list of bytes that each attempt reads from the start, as far as it likes, until one of them
    /// has read past the cap or into the error.
    #[test]
    fn every_attempt_reads_what_the_naive_model_says(
        steps in scripts(),
        sized: bool,
        cap in 0..60_usize,
        attempts in prop::collection::vec(0..14_usize, 1..6),
    ) {
        let (whole, trailers, error) = whole(&steps);
        let script = Script::new(steps);
        let kept = ReplayBody::tee(if sized { script.sized() } else { script }, cap);
        let mut lost = sized && whole.len() > cap;
        prop_assert_eq!(kept.try_clone().is_none(), lost);
        for frames in attempts.into_iter().chain([usize::MAX, usize::MAX]) {
            let Some(mut attempt) = kept.try_clone() else {
                prop_assert!(lost);
                return Ok(());
            };
            prop_assert!(!lost);
            let seen = read(&mut attempt, frames);
            prop_assert!(whole.starts_with(&seen.data));
            prop_assert!(seen.trailers <= trailers);
            prop_assert!(seen.error.is_none() || seen.error.as_deref() == Some("broken"));
            if seen.ended {
                prop_assert_eq!(&seen.data, &whole);
                prop_assert_eq!(seen.trailers, trailers);
                prop_assert!(!error);
            }
            if frames == usize::MAX {
                prop_assert!(seen.ended || error);
            }
            lost = seen.error.is_some() || seen.data.len() > cap;
        }
    }
}
