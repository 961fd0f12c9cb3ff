use std::time::Duration;

use tokio::time::Instant;

use super::*;

const TIME: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_short_body_is_read_whole_and_its_connection_is_free() {
    let script = Script::new([Data("{\"error\":"), Pending, Data("1}"), Trailers]);
    let gone = script.gone();
    let mut future = ReadUpTo::new(script, 100, TIME);
    let read = (&mut future).await;
    assert!(gone() && read.is_complete() && read.error().is_none());
    assert_eq!(read.bytes(), "{\"error\":1}");
    assert_eq!(read.trailers(), Some(&trailers()));
    let mut body = read.into_body();
    assert_eq!(body.size_hint().exact(), Some(11));
    assert!(read_all(&mut body).trailers);
}

#[tokio::test(start_paused = true)]
async fn a_body_as_long_as_the_limit_is_complete() {
    let read = ReadUpTo::new(Script::new([Data("abc"), Data("def")]), 6, TIME).await;
    assert!(read.is_complete());
    assert_eq!(read.bytes(), "abcdef");
}

#[tokio::test(start_paused = true)]
async fn a_single_frame_is_not_copied() {
    let data = Bytes::from_static(b"hello");
    let read = ReadUpTo::new(Full::new(data.clone()), 100, TIME).await;
    assert_eq!(read.bytes().as_ptr(), data.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_the_rest_streams_on() {
    let read = ReadUpTo::new(Script::new([Data("abc"), Data("def"), Data("ghi"), Error]), 4, TIME).await;
    assert!(!read.is_complete());
    assert_eq!(read.bytes(), "abcdef");
    let seen = read_all(&mut read.into_body());
    assert_eq!((seen.data.as_str(), seen.error.as_deref()), ("abcdefghi", Some("broken")));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_handed_on_after_its_time() {
    let start = Instant::now();
    let read = ReadUpTo::new(Script::new([Data("abc"), Stall]), 100, TIME).await;
    assert!((200..205).contains(&start.elapsed().as_millis()));
    assert!(!read.is_complete());
    assert_eq!(read.bytes(), "abc");
    assert_eq!(read.into_body().get_ref().map(|rest| rest.steps.len()), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_error_is_kept_for_its_reader() {
    let read = ReadUpTo::new(Script::new([Data("abc"), Error]), 100, TIME).await;
    assert_eq!(read.error(), Some(&Broken));
    assert!(!read.is_complete());
    assert_eq!(read_all(&mut read.into_body()).error.as_deref(), Some("broken"));
}

#[test]
fn a_body_in_memory_needs_no_timer_and_no_runtime() {
    let mut read = tokio_test::task::spawn(ReadUpTo::new(String::from("abc"), 100, TIME));
    let Poll::Ready(read) = read.poll() else { panic!("pending") };
    assert_eq!(read.bytes(), "abc");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_comes_first_and_counts() {
    let read = ReadUpTo::new(Script::new([Data("def"), Trailers]), 100, TIME).after(Bytes::from_static(b"abc")).await;
    assert!(read.is_complete());
    assert_eq!(read.bytes(), "abcdef");
    let read = ReadUpTo::new(Script::new([Data("def")]), 2, TIME).after(Bytes::from_static(b"abc")).await;
    assert_eq!((read.bytes().as_ref(), read.is_complete()), (&b"abc"[..], false));
    assert_eq!(read_all(&mut read.into_body()).data, "abcdef");
}

#[test]
fn empty_frames_do_not_go_on_for_ever() {
    let mut read = tokio_test::task::spawn(ReadUpTo::new(Script::new(vec![Data(""); 100]), 6, TIME));
    let Poll::Ready(read) = read.poll() else { panic!("pending") };
    assert!(!read.is_complete());
}

proptest! {
    #[test]
    fn wherever_reading_stops_the_body_is_whole(steps in scripts(), sized: bool, limit in 0..80_u64, patient: bool) {
        let (whole, trailers, error) = whole(&steps);
        let script = if sized { Script::new(steps).sized() } else { Script::new(steps) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let read = runtime.block_on(ReadUpTo::new(script, limit, if patient { TIME } else { Duration::ZERO }));
        prop_assert!(whole.as_bytes().starts_with(read.bytes()));
        if read.is_complete() {
            prop_assert_eq!(read.bytes(), &whole);
        } else if patient && read.error().is_none() {
            prop_assert!(read.bytes().len() as u64 + 12 > limit, "it stopped early, twelve empty frames allowed for");
        }
        let (bytes, complete) = (read.bytes().len() as u64, read.is_complete());
        let mut body = read.into_body();
        if complete {
            prop_assert_eq!(body.size_hint().exact(), Some(bytes));
        }
        let seen = read_all(&mut body);
        prop_assert_eq!(seen.data, whole);
        prop_assert_eq!((seen.trailers, seen.error.is_some()), (trailers, error));
    }
}
