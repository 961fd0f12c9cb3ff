use super::*;

fn frame(data: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(data.as_bytes()))
}

#[test]
fn a_body_of_which_nothing_is_held_passes_as_it_is() {
    let mut body = Held::passthrough(Script::new([Data("abc"), Pending, Trailers]).sized());
    assert_eq!(body.size_hint().exact(), Some(3));
    let seen = read_all(&mut body);
    assert_eq!((seen.data.as_str(), seen.trailers, seen.ended), ("abc", true, true));
    assert!(body.get_ref().is_some());
}

#[test]
fn held_frames_come_first_and_count_linkerd2_proxy_3947() {
    let mut body = Held::new([frame("ab"), frame(""), frame("c")].into(), Script::new([Data("de")]).sized());
    let mut hints = Vec::new();
    while !body.is_end_stream() {
        hints.push(body.size_hint().exact());
        read(&mut body, 1);
    }
    assert_eq!(hints, [Some(5), Some(3), Some(3), Some(2)]);
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[test]
fn a_complete_body_has_no_rest() {
    let mut body = Held::<Script>::complete([frame("ab"), Frame::trailers(trailers())].into());
    assert!(body.get_ref().is_none());
    assert_eq!(body.size_hint().exact(), Some(2));
    let seen = read(&mut body, 2);
    assert!(seen.trailers && body.is_end_stream());
    assert!(read_all(&mut body).ended);
    assert!(Held::<Script>::complete(VecDeque::new()).is_end_stream());
}

#[test]
fn a_body_cut_short_is_not_announced_as_a_whole_one() {
    let mut body = Held::<Script>::failed([frame("ab")].into(), Broken);
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (2, None));
    assert_eq!(read(&mut body, 1).data, "ab");
    assert!(!body.is_end_stream());
    assert_eq!(read_all(&mut body).error.as_deref(), Some("broken"));
    assert!(body.is_end_stream());
    assert!(read_all(&mut body).ended);
}

proptest! {
    #[test]
    fn whatever_is_held_back_the_body_is_whole(steps in scripts(), sized: bool, held in 0..16_usize) {
        let (whole, trailers, error) = whole(&steps);
        let mut rest = if sized { Script::new(steps).sized() } else { Script::new(steps) };
        let mut frames = VecDeque::new();
        let mut failed = None;
        let mut cx = Context::from_waker(Waker::noop());
        while frames.len() < held {
            match Pin::new(&mut rest).poll_frame(&mut cx) {
                Poll::Pending => {}
                Poll::Ready(None) => break,
                Poll::Ready(Some(Ok(frame))) => frames.push_back(frame),
                Poll::Ready(Some(Err(error))) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut body = match failed {
            Some(error) => Held::failed(frames, error),
            None => Held::new(frames, rest),
        };
        let seen = read_all(&mut body);
        prop_assert_eq!(seen.data, whole);
        prop_assert_eq!((seen.trailers, seen.error.is_some()), (trailers, error));
    }
}
