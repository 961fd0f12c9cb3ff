//! Presets with their roles filled, and not.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::util::ServiceFn;
use towline::{Credential, Failure, Handover, InvalidConfig, Preset, Queue, Role, Stack, Target};

type Nobody = ServiceFn<fn(Request<Full<Bytes>>) -> std::future::Ready<Result<Response<Full<Bytes>>, std::io::Error>>>;

/// A stack that is never called.
fn stack() -> Stack<Nobody> {
    towline::stack(tower::service_fn(|_| std::future::ready(Ok(Response::default()))))
}

fn target(name: &str) -> Target {
    Target::new(name, format!("https://{name}.example.com/v1")).unwrap()
}

fn keyed(name: &str) -> Target {
    target(name).with_keys(["sk-one", "sk-two"].map(|key| Credential::bearer(key).unwrap()))
}

struct Tickets;

impl Queue for Tickets {
    fn take_over(&self, _: Request<Bytes>, _: &Failure) -> Handover {
        Box::pin(async { Ok(Response::default()) })
    }
}

/// The stack of a preset with each role that it needs filled.
fn filled(preset: &Preset) -> Stack<Nobody> {
    let stack = stack().preset(preset.clone());
    match &*preset.name {
        "chat" => stack.targets(["a", "b", "c"].map(target)),
        "documents" => stack.targets([target("a")]).unwrap().context_window_targets([target("large")]),
        "code" => stack.targets([keyed("a"), target("b")]),
        "batch" => stack.queue(Tickets).targets(["a", "b"].map(target)),
        "legal" => stack.on_refusal(|_, _, _| {}).targets([target("a")]),
        _ => stack.targets([target("a")]),
    }
    .unwrap()
}

fn refused(stack: &Stack<Nobody>) -> InvalidConfig {
    stack.build().map(drop).unwrap_err()
}

#[test]
fn each_preset_is_built_once_its_roles_are_filled() {
    for preset in Preset::all() {
        filled(&preset).build().map(drop).unwrap();
    }
}

#[test]
fn a_role_that_nobody_fills_is_an_error_which_names_it() {
    let one = || [target("a")];
    let two = || ["a", "b"].map(target);
    for (stack, field, role) in [
        (stack().preset(Preset::chat()), "targets", Role::Primary),
        (stack().preset(Preset::chat()).targets(one()).unwrap(), "targets", Role::OtherFamily),
        (stack().preset(Preset::documents()).targets(two()).unwrap(), "context_window_targets", Role::LargerWindow),
        (stack().preset(Preset::code()).targets(two()).unwrap(), "with_keys", Role::SecondKey),
        (stack().preset(Preset::batch()).targets(two()).unwrap(), "queue", Role::Queue),
        (stack().preset(Preset::legal()).targets(one()).unwrap(), "on_refusal", Role::Reviewer),
    ] {
        let error = refused(&stack);
        let told = error.to_string();
        assert_eq!(error.field(), field, "{told}");
        assert!(told.contains(&role.to_string()) && told.contains(role.purpose()), "{told}");
    }
    let alone = Preset::chat().without(Role::OtherFamily);
    assert!(stack().preset(alone).targets(one()).unwrap().build().is_ok(), "who says so does without");
}

#[test]
fn targets_queues_and_hooks_may_be_named_before_the_preset() {
    let batch = stack().queue(Tickets).targets(["a", "b"].map(target)).unwrap().preset(Preset::batch());
    assert!(batch.build().is_ok());
    let legal = stack().on_refusal(|_, _, _| {}).targets([target("a")]).unwrap().preset(Preset::legal());
    assert!(legal.build().is_ok());
    let switched = stack().queue(Tickets).targets(["a", "b"].map(target)).unwrap().preset(Preset::chat()).preset(Preset::batch());
    assert_eq!(refused(&switched).field(), "queue", "a second preset begins anew");
}

#[test]
fn vectors_of_two_models_are_not_mixed_unless_that_is_said() {
    let regions = ["east", "west"].map(|name| target(name).with_model("text-embedding-3-large"));
    assert!(stack().preset(Preset::embeddings()).targets(regions.clone()).unwrap().build().is_ok());
    let other = target("other").with_model("embed-v4");
    let mixed = |preset| stack().preset(preset).targets(regions.clone()).unwrap().targets([other.clone()]).unwrap();
    let error = refused(&mixed(Preset::embeddings()));
    assert_eq!(
        error.to_string(),
        "invalid configuration: `targets` must all have the same model with preset `embeddings`: \"west\" has text-embedding-3-large, \
         \"other\" has embed-v4; set `one_model` to false if their answers mix"
    );
    assert!(mixed(Preset::embeddings().with(|preset| preset.one_model = false)).build().is_ok());
}

#[test]
fn a_preset_for_less_time_than_it_was_made_for_can_be_built() {
    for preset in Preset::all() {
        for secs in [1, 7, 60, 3600] {
            let short = preset.clone().within(std::time::Duration::from_secs(secs)).with(|preset| preset.roles.clear());
            let stack = stack().limits(towline::Limits::none()).preset(short).targets(["a", "b"].map(target)).unwrap();
            assert!(stack.build().is_ok(), "{} within {secs} s:\n{}", preset.name, stack.explain());
        }
    }
}

#[test]
fn a_number_of_a_preset_that_makes_no_sense_is_an_error_when_built() {
    for (wrong, field) in [
        (Preset::chat().with(|chat| chat.attempts = 0), "attempts"),
        (Preset::chat().with(|chat| chat.breaker.share = Some(1.5)), "ratio"),
        (Preset::chat().with(|chat| chat.limit_share = 0.0), "share"),
        (Preset::chat().with(|chat| chat.backoff.1 = std::time::Duration::ZERO), "cap"),
    ] {
        let stack = stack().targets(["a", "b"].map(target)).unwrap().limits(towline::Limits::none()).preset(wrong);
        assert_eq!(refused(&stack).field(), field);
    }
}
