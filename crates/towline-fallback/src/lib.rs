//! Sends a call that one target cannot answer to the next.
//!
//! A [`Target`](towline_core::Target) is data: a name, a base URI, a model, a credential. [`FallbackLayer`] tries them in order. For each hop it makes
//! the request anew **from the original**, so that nothing of one target is carried to another: the URI is joined to the target's base, the
//! model is replaced byte-exactly, every credential is stripped and the target's own put in. The target itself goes into the request's
//! extensions, where the layers beneath find it and keep a circuit, a limiter and a retry budget for each; it also goes into the extensions of the
//! response, so that the caller sees who answered.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use towline_core::{Credential, Target};
//! use towline_fallback::FallbackLayer;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let targets = [
//!     Target::new("openai", "https://api.openai.com/v1")?.with_credential(Credential::bearer("sk-one")?),
//!     Target::new("groq", "https://api.groq.com/openai/v1")?.with_model("llama-4").with_credential(Credential::bearer("gsk-two")?),
//! ];
//! // A client whose first target is down.
//! let client = tower::service_fn(|request: http::Request<Full<Bytes>>| async move {
//!     let status = if request.uri().host() == Some("api.openai.com") { 503 } else { 200 };
//!     Ok::<_, towline_core::BoxError>(http::Response::builder().status(status).body(Full::<Bytes>::default())?)
//! });
//! let service = ServiceBuilder::new().layer(FallbackLayer::new(targets)?).service(client);
//!
//! let request = http::Request::post("/v1/chat/completions").body(Full::from(r#"{"model":"gpt-5"}"#))?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(Target::of(response.extensions()).map(Target::name), Some("groq"));
//! # Ok::<(), towline_core::BoxError>(()) }).unwrap();
//! ```
//!
//! # What is one target's own
//!
//! Beside what makes the request, a target may carry what the layers beneath take in the place of what they were told for all: attempts
//! ([`with_attempts`](towline_core::Target::with_attempts)), time limits of an attempt
//! ([`with_timeout`](towline_core::Target::with_timeout)); and what orders the targets: a weight, by which they are drawn, or a
//! price ([`cheapest_first`](FallbackLayer::cheapest_first)).
//!
//! One that needs a client or layers of its own brings a service: [`Via`] sends each request to that of its target. It is no part of the
//! target, which is the same data whatever the bodies are, and which every layer can read.
//!
//! # What moves on
//!
//! What became of a hop is read by `Outcome::of`. In this order:
//!
//! 1. A success is the answer, and so is `Aborted`. Nothing replaces an answer that has begun: `ClassifyLayer` holds a stream until its first
//!    content, so what fails before it still moves on.
//! 2. [`moves_on_from`](FallbackLayer::moves_on_from) this target, then [`moves_on`](FallbackLayer::moves_on), if it has an opinion, decides.
//! 3. `ContextLength` goes to the [`context_window_targets`](FallbackLayer::context_window_targets), and `ContentPolicy`, unless it is the request's
//!    own (scope `Request`), to the [`content_policy_targets`](FallbackLayer::content_policy_targets). Where there are none it stays, in the provider's
//!    own words: another policy or a larger window is a choice that nobody can make for the caller.
//! 4. A failure that is the request's own would fail anywhere, and so would one that the caller or our own deadline caused: it is the answer. The
//!    exceptions are `CircuitOpen` and `LimitedLocally`, which speak of one target, and `Untranslatable`.
//! 5. `Auth` and `Permission` of a credential stay: a key that is wrong wants a person ([`on_auth_failure`](FallbackLayer::on_auth_failure)), not
//!    another provider's bill, unless [`auth_moves_on`](FallbackLayer::auth_moves_on).
//! 6. Everything else moves on.
//!
//! It moves on within the list that it is in, to no target twice, as long as the body can be sent again, the call's deadline has not
//! passed, no more than [`max_targets`](FallbackLayer::max_targets) (4) were asked and fewer than [`max_attempts`](FallbackLayer::max_attempts)
//! (4) attempts made over all targets, though a second target has its turn in any case. Retries count as attempts; what never left us, since
//! no connection was made or a breaker or limiter of ours refused it, does not.
//!
//! When no target answered, the caller gets the most useful failure with its body: one that a provider spoke rather than a refusal of ours;
//! among those that name a wait, the shortest; else the first. What a special target did wrong hides no prompt that was too long. Unless it
//! is one that no time mends, its `Retry-After` (of a response with a status of which that is said: 408, 409, 429, 5xx) or its hint (of an
//! error) tells of the earliest recovery that any target, breaker or limiter told of.
//!
//! # Demand that is too high
//!
//! An outage moves all calls to the next target; that is what it is there for. A demand that is too high for the first one (it limits
//! the rate, or our limiter does) moves to the next one too, and may be more than that can bear. [`spill_over`](FallbackLayer::spill_over)
//! caps how many calls may: beyond it a call gets the failure itself, with its `Retry-After`. There is no cap by default, since only you know how
//! small a target is; a limiter beneath guards each of them anyway, by refusing.
//!
//! # Conversations
//!
//! A provider that has a conversation's beginning in its cache reads it sooner, and for less. With
//! [`sticky`](FallbackLayer::sticky) a conversation stays with the target that answered it last, as long as that answers.
//!
//! # Targets that are kept back, and time
//!
//! A breaker beneath answers at once for a target that is to be left alone, and so does a limiter whose wait is longer than 2 s while another
//! target waits, which this layer tells it in the [`Call`](towline_core::Call): passing a target over costs nothing. When *all* were
//! refused like that, the one that recovers first is waited for, once: for at most 5 s
//! ([`wait_for_recovery`](FallbackLayer::wait_for_recovery)), with up to a tenth, 250 ms at most, of chance on top, and only if the
//! deadline is later than that. Where it takes longer, the call stands in the line of the limiter that is the first to open, for as long as that
//! lets it. Then the others have their turn again. A single target is not waited for; that is the limiter's affair.
//!
//! The service beneath is one for all targets, so where that is not ready it is waited for, within the hop and its share of the time. A service of
//! a target's own that is not ready is passed over like a circuit that is open ([`Via`]).
//!
//! Where a call has a deadline and there is a target left, a hop may take half of the time left
//! ([`deadline_share`](FallbackLayer::deadline_share)) until its answer begins. Then it is dropped, and has failed with `Timeout(Head)`; the last
//! one may take all. An answer that has begun may go on until the deadline. A breaker beneath learns of it by `Call::cut_off`.
//!
//! # Keys, tokens, signatures
//!
//! A [`Credential`](towline_core::Credential) that never changes is put in here. Several keys for one target
//! (`Target::with_keys`), a token that expires ([`Tokens`]) or a signature (`Target::with_authorizer`) must be chosen for each attempt, retries
//! included: that does [`AuthorizeLayer`], which stands next to the transport.
//!
//! # When all have failed
//!
//! The caller gets the failure, loudly. [`DegradeLayer`] above gives a substitute instead: a good answer from its cache, what the user's queue
//! says, or one that was designed beforehand.
//!
//! # How a request is made anew
//!
//! - **URI**: the base's path, then the request's. Where the base ends with what the request's path begins with (`/v1` and `/v1/messages`), it
//!   stands there once. The query stays, without its credentials.
//! - **Model**: where the target names one, the top-level `"model"` of a JSON body is replaced, or the model in the path for dialects that keep it
//!   there.
//! - **Parameters** of the target ([`with_parameters`](towline_core::Target::with_parameters)) are merged into the body as RFC 7396 has it. They name
//!   neither a model, which may stand in the path, nor whether to stream, which is the caller's; either is an error when the layer is made.
//! - **System prompt** of the target ([`with_system_prompt`](towline_core::Target::with_system_prompt)): it takes the place of the caller's, as
//!   [`Patch::system_prompt`](towline_wire::patch::Patch::system_prompt) lists for each dialect. The request's path tells the dialect, else the target; where
//!   neither does, and where a body has no conversation (embeddings), there is no place for one.
//! - Of the body everything else keeps its bytes. One that is not a JSON object, or that does not lie in memory, is left as it is.
//! - **Stripped**: `authorization`, `proxy-authorization`, `x-api-key`, `api-key`, `x-goog-api-key` and their like, cookies, organisation and project
//!   headers, each header whose value is marked sensitive, each that any of the targets uses for its credential, hop-by-hop headers, and
//!   `host`; of the query `key`, `api_key`, `access_token` and their like.
//! - **Added**: the target's headers, then its credential.
//!
//! # Errors
//!
//! [`towline_core::Error`]: what came from beneath, converted and not wrapped; `Timeout(Head)` of a hop that had used up its share; and
//! `Untranslatable` where no URI can be made of a base and a path. A service
//! beneath that fails to become ready fails for all targets, and ends the call. The trail of the [`Call`](towline_core::Call) has each hop that no retry
//! layer beneath has written down itself.
//!
//! # Cancellation, cost
//!
//! It is always ready: the inner service is readied within the call. Dropping the future cancels the hop under way; there is never
//! more than one, and nothing else is held.
//!
//! A success allocates the same however many targets there are: the copy of the request's head where there is more than one target, a URI (one
//! without a query), the target in the extensions of the request and of the response (one each, and two more where it is the first
//! thing in them), the first line of the trail of a [`Call`](towline_core::Call), and a body if the target changes it. A conversation
//! that sticks costs what its key does.
//!
//! # What it does not do
//!
//! It opens no circuits and counts no limits: it asks the layers beneath. It sends nothing twice at once (no hedging), nothing again to a target
//! that has failed, and a body that can be sent only once to its first target only. With no targets at all it hands every request on untouched.
//!
//! # Elsewhere in the stack
//!
//! It stands above the layers that keep state by target (retry, breaker, limiter). Beneath them they would keep one state for all.

mod acts;
mod answer;
mod authorize;
mod config;
mod degrade;
mod explain;
mod future;
mod hops;
mod layer;
mod progress;
mod rewrite;
mod service;
mod spill;
mod sticky;
mod table;
mod targets;
mod via;

pub use authorize::{AuthorizeFuture, AuthorizeLayer, AuthorizeService, KeyState, KeysExhausted, Tokens};
pub use degrade::{Cache, Degrade, DegradeBody, DegradeFuture, DegradeLayer, Degraded, Handover, Queue};
pub use future::ResponseFuture;
pub use layer::FallbackLayer;
pub use service::Fallback;
pub use via::{Via, ViaFuture};
