//! The configuration.

use std::{fmt, sync::Arc, time::Duration};

use http::response::Parts;
use tower_layer::Layer;
use towline_core::{Failure, Observer, Outcome};

use crate::Classify;

/// Decides what became of each response. See the [crate's documentation](crate) for what, when and why.
///
/// Cheap to clone; all services that it makes share its configuration.
#[derive(Clone, Debug, Default)]
pub struct ClassifyLayer {
    pub(crate) config: Arc<Config>,
}

type Rule = Arc<dyn Fn(&Parts, &[u8]) -> Option<Outcome> + Send + Sync>;
type Validator = Arc<dyn Fn(&Parts, &[u8]) -> Result<(), Failure> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) rules: Vec<Rule>,
    pub(crate) validators: Vec<Validator>,
    pub(crate) read_bytes: u64,
    pub(crate) read_time: Duration,
    pub(crate) look_into_success: bool,
    pub(crate) reject_empty: bool,
    pub(crate) hold: HoldLimits,
    pub(crate) fail_cut_streams: bool,
    pub(crate) drop_broken_events: bool,
    pub(crate) usage: bool,
    pub(crate) observer: Observer,
}

/// How long a stream is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldLimits {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

impl ClassifyLayer {
    /// A layer that knows all dialects at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule of yours, asked before all that is built in; of several, the first with an opinion wins.
    ///
    /// It sees the head and the body as far as it was read, which is empty where it is compressed. It is asked about each
    /// failed status, and about a success whose body was read: one that looks like an error, or any small one with
    /// [`validate`](Self::validate) or [`reject_empty`](Self::reject_empty).
    #[must_use]
    pub fn rule(self, rule: impl Fn(&Parts, &[u8]) -> Option<Outcome> + Send + Sync + 'static) -> Self {
        self.with(|config| config.rules.push(Arc::new(rule)))
    }

    /// Adds a check of successes: what it refuses is a failure, as it says. All checks must pass.
    ///
    /// It sees each 2xx whose body is JSON, text or of no told type, is not compressed, and was read to its end within
    /// [`read_up_to`](Self::read_up_to); the response is held back until then. Streams and longer bodies pass unseen.
    #[must_use]
    pub fn validate(self, check: impl Fn(&Parts, &[u8]) -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        self.with(|config| config.validators.push(Arc::new(check)))
    }

    /// How much of an error's body is read, and how long it is waited for. Default: 64 KiB and 2 s.
    ///
    /// An error's body nearly always comes with its head; one that does not must not keep a retry from happening.
    #[must_use]
    pub fn read_up_to(self, bytes: u64, time: Duration) -> Self {
        self.with(|config| (config.read_bytes, config.read_time) = (bytes, time))
    }

    /// Whether a small JSON answer with a 2xx is looked into, since it may be an error in disguise. Default: yes.
    #[must_use]
    pub fn look_into_success(self, look: bool) -> Self {
        self.with(|config| config.look_into_success = look)
    }

    /// Whether a small JSON answer with a 2xx that holds nothing, or nothing of its dialect, is a failure
    /// ([`Malformed`](towline_core::FailureKind::Malformed)). It holds such answers back until they are read. Default: no.
    #[must_use]
    pub fn reject_empty(self, reject: bool) -> Self {
        self.with(|config| config.reject_empty = reject)
    }

    /// How many events, how many bytes, and how long a stream without content is held at most; then it flows on as it is, and
    /// can no longer be replaced. Default: 64 events, 256 KiB and 120 s. With 0 events nothing is held.
    ///
    /// The time is a last resort, for where no `TimeoutLayer` with a limit on first content stands above.
    #[must_use]
    pub fn hold_up_to(self, events: u64, bytes: u64, time: Duration) -> Self {
        self.with(|config| config.hold = HoldLimits { events, bytes, time })
    }

    /// Whether the body of a stream that ends without the event which ends it yields an error
    /// ([`StreamBroken`](towline_core::FailureKind::StreamBroken)) as its last item, so that nobody takes half an answer for a whole one.
    /// Default: yes.
    #[must_use]
    pub fn fail_cut_streams(self, fail: bool) -> Self {
        self.with(|config| config.fail_cut_streams = fail)
    }

    /// Whether server-sent events whose data is no JSON are left out of a stream that speaks JSON, so that a reader who would fail on one gets
    /// the rest. For that the beginning of an event is kept back until its end has come, up to 16 KiB. Default: yes.
    ///
    /// A stream speaks JSON if its [`Target`](towline_core::Target) names a dialect, or once content was found in it. One whose length
    /// is told beforehand is left as it is, and so is Bedrock's binary framing.
    #[must_use]
    pub fn drop_broken_events(self, drop: bool) -> Self {
        self.with(|config| config.drop_broken_events = drop)
    }

    /// Whether what an answer tells about tokens is read and told by the [`StreamHandle`](towline_core::StreamHandle). Default: no.
    #[must_use]
    pub fn usage(self, read: bool) -> Self {
        self.with(|config| config.usage = read)
    }

    /// Who is told how each stream ended ([`StreamEnded`](towline_core::Event::StreamEnded)). Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Into<Observer>) -> Self {
        let observer = observer.into();
        self.with(|config| config.observer = observer)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        Classify::new(inner, Arc::clone(&self.config))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            validators: Vec::new(),
            read_bytes: 64 * 1024,
            read_time: Duration::from_secs(2),
            look_into_success: true,
            reject_empty: false,
            hold: HoldLimits { events: 64, bytes: 256 * 1024, time: Duration::from_secs(120) },
            fail_cut_streams: true,
            drop_broken_events: true,
            usage: false,
            observer: Observer::none(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("rules", &self.rules.len())
            .field("validators", &self.validators.len())
            .field("read_bytes", &self.read_bytes)
            .field("read_time", &self.read_time)
            .field("look_into_success", &self.look_into_success)
            .field("reject_empty", &self.reject_empty)
            .field("hold", &self.hold)
            .field("fail_cut_streams", &self.fail_cut_streams)
            .field("drop_broken_events", &self.drop_broken_events)
            .field("usage", &self.usage)
            .field("observer", &self.observer)
            .finish()
    }
}
