use std::cell::RefCell;

use super::*;

/// What an observer was told, in order.
type Log = Arc<parking_lot::Mutex<Vec<String>>>;

#[derive(Clone, Default)]
struct Observer(Log);

impl OnEnd<Broken> for Observer {
    fn end(self, end: End<'_, Broken>) {
        self.0.lock().push(format!("{end:?}"));
    }

    fn data(&mut self, bytes: usize) {
        self.0.lock().push(bytes.to_string());
    }
}

fn observed(script: Script) -> (ObserveEnd<Script, Observer>, impl Fn() -> String) {
    let observer = Observer::default();
    let log = observer.0.clone();
    (ObserveEnd::new(script, observer), move || log.lock().join(" "))
}

#[test]
fn reading_none_completes() {
    let (mut body, log) = observed(Script::new([Data("abc"), Pending, Data("de")]));
    assert_eq!(read(&mut body, 2).data, "abcde");
    assert_eq!(log(), "3 2");
    assert!(!body.is_settled());
    assert!(read_all(&mut body).ended);
    assert!(body.is_settled());
    drop(body);
    assert_eq!(log(), "3 2 Complete");
}

#[test]
fn reading_trailers_completes() {
    let (mut body, log) = observed(Script::new([Data("abc"), Trailers]));
    assert!(read(&mut body, 2).trailers);
    drop(body);
    assert_eq!(log(), "3 Complete");
}

#[test]
fn a_last_frame_completes_since_hyper_does_not_poll_again() {
    let (mut body, log) = observed(Script::new([Data("abc")]).sized());
    read(&mut body, 1);
    assert_eq!(log(), "3 Complete");
    drop(body);
    assert_eq!(log(), "3 Complete");
}

#[test]
fn a_body_without_content_completes_when_it_is_wrapped() {
    let (body, log) = observed(Script::new([]).sized());
    assert_eq!(log(), "Complete");
    drop(body);
    assert_eq!(log(), "Complete");
}

#[test]
fn an_error_is_told_before_it_is_handed_on() {
    let (mut body, log) = observed(Script::new([Data("abc"), Error]));
    assert_eq!(read_all(&mut body).error.as_deref(), Some("broken"));
    drop(body);
    assert_eq!(log(), "3 Failed(Broken)");
}

#[test]
fn a_drop_is_told_whether_or_not_anything_was_read() {
    for frames in 0..2 {
        let (mut body, log) = observed(Script::new([Data("abc"), Data("de")]).sized());
        read(&mut body, frames);
        drop(body);
        assert!(log().ends_with("Dropped"), "{}", log());
    }
}

#[test]
fn a_drop_with_nothing_left_completes() {
    /// A body that knows its size and not its end, as some wrappers do.
    struct Careless(Script);
    impl Body for Careless {
        type Data = Bytes;
        type Error = Broken;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn size_hint(&self) -> SizeHint {
            self.0.size_hint()
        }
    }
    let log = RefCell::new(String::new());
    let mut body = ObserveEnd::new(Careless(Script::new([Data("abc")]).sized()), |end: End<'_, Broken>| {
        *log.borrow_mut() = format!("{end:?}");
    });
    read(&mut body, 1);
    assert_eq!(*log.borrow(), "");
    drop(body);
    assert_eq!(*log.borrow(), "Complete");
}

#[test]
fn nobody_has_to_listen() {
    let mut body = ObserveEnd::<_, Observer>::passthrough(Script::new([Data("abc"), Trailers]));
    assert_eq!(body.get_ref().steps.len(), 2);
    assert!(read_all(&mut body).trailers);
}

proptest! {
    #[test]
    fn everything_passes_and_one_end_is_told(steps in scripts(), sized: bool, frames in 0..16_usize) {
        let (whole, trailers, error) = whole(&steps);
        let script = || if sized { Script::new(steps.clone()).sized() } else { Script::new(steps.clone()) };
        let (mut body, log) = observed(script());
        let seen = read(&mut body, frames);
        prop_assert_eq!(&seen, &read(&mut script(), frames));
        drop(body);
        let log = log();
        let (ends, counts): (Vec<_>, Vec<_>) = log.split(' ').partition(|word| word.parse::<usize>().is_err());
        let counted: usize = counts.iter().map(|count| count.parse::<usize>().unwrap()).sum();
        prop_assert_eq!(counted, seen.data.len());
        let end = match &seen {
            Seen { error: Some(_), .. } => "Failed(Broken)",
            Seen { ended: true, .. } | Seen { trailers: true, .. } => "Complete",
            // Sized bodies say when nothing is left to come, but for a failure and trailers that nobody waited for.
            _ if sized && seen.data == whole => "Complete",
            _ => "Dropped",
        };
        prop_assert_eq!(ends, vec![end], "{:?} {} {}", seen, trailers, error);
    }
}
