//! Services that are readied within a call.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tower_service::Service;

/// What a service said that was asked, within a call, whether it is ready. See [`ready_at_once`].
#[derive(Debug)]
pub enum AtOnce<S, E> {
    /// It is, and must be called now.
    Ready,
    /// It is not. This is the instance that was asked: it is the one to be asked again, by whoever can wait, and the one to be called.
    Later(S),
    /// It never will be.
    Failed(E),
}

/// Asks a service whether it is ready, for a layer that is always ready itself and decides in `call`, where nobody can wait.
///
/// Nearly always it is, and no clone of it is needed then. Where it is not, or has failed, a clone takes its place, so that `service` can be asked
/// anew for the next call: an instance that holds a place in a line, or that must not be asked again, is nobody else's.
///
/// ```
/// use std::{convert::Infallible, task::{Context, Poll}};
///
/// use towline_core::{AtOnce, ready_at_once};
/// use tower_service::Service;
///
/// fn begin<S: Service<u32> + Clone>(service: &mut S, request: u32) -> Option<S::Future> {
///     match ready_at_once(service) {
///         AtOnce::Ready => Some(service.call(request)),
///         AtOnce::Later(_) | AtOnce::Failed(_) => None, // a layer would wait, or answer with the error
///     }
/// }
/// # let mut service = tower::service_fn(|n: u32| std::future::ready(Ok::<_, Infallible>(n)));
/// # assert!(begin(&mut service, 7).is_some());
/// ```
pub fn ready_at_once<S, Q>(service: &mut S) -> AtOnce<S, S::Error>
where
    S: Service<Q> + Clone,
{
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(())) => AtOnce::Ready,
        Poll::Ready(Err(error)) => {
            *service = service.clone();
            AtOnce::Failed(error)
        }
        Poll::Pending => {
            let clone = service.clone();
            AtOnce::Later(mem::replace(service, clone))
        }
    }
}

/// A service to clone further ones from, for a layer whose calls may need the service beneath more than once, as a retry does.
///
/// Nearly all calls need it once. They take along one count of this, in the place of the many that a clone of a whole stack counts, and
/// clone the service when they need it again. It is behind a lock, since a service need not be `Sync`.
pub struct Spare<S>(Arc<Mutex<S>>);

impl<S: Clone> Spare<S> {
    /// One of `service`, as it is now.
    pub fn of(service: &S) -> Self {
        Self(Arc::new(Mutex::new(service.clone())))
    }

    /// A service, which has to be readied before it is called.
    #[must_use]
    pub fn service(&self) -> S {
        self.0.lock().clone()
    }
}

impl<S> Clone for Spare<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Spare<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{Ready, ready},
        rc::Rc,
    };

    use super::*;

    type Says = Poll<Result<(), ()>>;

    /// Says what it is told to say, and writes down which instance was asked or called.
    struct Script {
        instance: usize,
        says: Rc<RefCell<Vec<Says>>>,
        log: Rc<RefCell<Vec<(&'static str, usize)>>>,
    }

    impl Clone for Script {
        fn clone(&self) -> Self {
            Self { instance: self.instance + 1, says: Rc::clone(&self.says), log: Rc::clone(&self.log) }
        }
    }

    impl Service<()> for Script {
        type Response = ();
        type Error = ();
        type Future = Ready<Result<(), ()>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            self.log.borrow_mut().push(("asked", self.instance));
            self.says.borrow_mut().pop().unwrap_or(Poll::Ready(Ok(())))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            self.log.borrow_mut().push(("called", self.instance));
            ready(Ok(()))
        }
    }

    fn script(says: Says) -> Script {
        Script { instance: 0, says: Rc::new(RefCell::new(vec![says])), log: Rc::default() }
    }

    #[test]
    fn who_is_ready_is_asked_once_and_called_without_a_clone() {
        let mut service = script(Poll::Ready(Ok(())));
        assert!(matches!(ready_at_once(&mut service), AtOnce::Ready));
        assert_eq!((service.instance, &*service.log.borrow()), (0, &vec![("asked", 0)]));
    }

    #[test]
    fn who_is_not_ready_is_handed_out_and_a_clone_stays() {
        let mut service = script(Poll::Pending);
        let AtOnce::Later(asked) = ready_at_once(&mut service) else { panic!("it was not ready") };
        assert_eq!((asked.instance, service.instance), (0, 1));
    }

    #[test]
    fn who_has_failed_is_never_asked_again() {
        let mut service = script(Poll::Ready(Err(())));
        assert!(matches!(ready_at_once(&mut service), AtOnce::Failed(())));
        assert!(matches!(ready_at_once(&mut service), AtOnce::Ready));
        assert_eq!(*service.log.borrow(), [("asked", 0), ("asked", 1)]);
    }
}
