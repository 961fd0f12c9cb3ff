//! A token that expires, fetched when it is needed.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};
use towline_core::{Authorize, Authorized, BoxError, Credential, Failure, Unsigned};

/// An authorizer that shows a token until shortly before it expires, and then fetches the next: once for all who wait for it.
///
/// `fetch` answers with the credential and how long it is good for. It is fetched again when a tenth of that time is left (a minute at
/// most), and after the target did not accept it.
///
/// ```
/// use std::time::Duration;
///
/// use towline_core::{BoxError, Credential, Target};
/// use towline_fallback::Tokens;
///
/// let tokens = Tokens::new(|| async {
///     let token = "what the identity provider says"; // a request of your own
///     Ok::<_, BoxError>((Credential::bearer(token)?, Duration::from_secs(3600)))
/// });
/// let target = Target::new("vertex", "https://host")?.with_authorizer(tokens);
/// # Ok::<(), towline_core::InvalidConfig>(())
/// ```
pub struct Tokens<F>(Arc<Shared<F>>);

struct Shared<F> {
    fetch: F,
    kept: Mutex<Option<(Credential, Instant)>>,
    turn: Semaphore,
}

impl<F, Fut> Tokens<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(Credential, Duration), BoxError>> + Send + 'static,
{
    /// Tokens from `fetch`.
    pub fn new(fetch: F) -> Self {
        Self(Arc::new(Shared { fetch, kept: Mutex::new(None), turn: Semaphore::new(1) }))
    }
}

impl<F> Shared<F> {
    fn kept(&self) -> Option<Vec<Credential>> {
        let now = Instant::now();
        self.kept.lock().as_ref().filter(|(_, until)| now < *until).map(|(token, _)| vec![token.clone()])
    }
}

impl<F, Fut> Authorize for Tokens<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(Credential, Duration), BoxError>> + Send + 'static,
{
    fn authorize(&self, _: &Unsigned<'_>) -> Authorized {
        if let Some(kept) = self.0.kept() {
            return Authorized::Now(Ok(kept));
        }
        let shared = Arc::clone(&self.0);
        Authorized::Later(Box::pin(async move {
            // Who leaves meanwhile makes room for the next; nothing is locked.
            let _turn = shared.turn.acquire().await?;
            if let Some(kept) = shared.kept() {
                return Ok(kept);
            }
            let (token, good_for) = (shared.fetch)().await?;
            let early = (good_for / 10).min(Duration::from_secs(60));
            let until = Instant::now().checked_add(good_for.saturating_sub(early));
            *shared.kept.lock() = until.map(|until| (token.clone(), until));
            Ok(vec![token])
        }))
    }

    fn rejected(&self, _: &Failure) -> bool {
        // Another may have dropped it, and fetched the next one, already.
        *self.0.kept.lock() = None;
        true
    }
}

impl<F> fmt::Debug for Tokens<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(<hidden>)")
    }
}
