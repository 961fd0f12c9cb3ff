//! Presets as values.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::time::Duration;

use towline::{Preset, Role};

#[test]
fn each_preset_is_found_by_its_name_and_no_other_is() {
    let names = Preset::all().map(|preset| preset.name.into_owned());
    assert_eq!(names, ["chat", "documents", "code", "batch", "legal", "embeddings"]);
    for preset in Preset::all() {
        assert_eq!(Preset::by_name(&preset.name), Some(preset));
    }
    assert_eq!(Preset::by_name("Chat"), None);
}

#[test]
fn a_preset_can_be_changed_and_prints_what_it_says() {
    let preset = Preset::legal().with(|legal| legal.deadline = Duration::from_secs(240)).without(Role::OneStepDown);
    assert_ne!(preset, Preset::legal());
    assert_eq!(
        preset.to_string(),
        "\
preset legal: legal and compliance: no weaker answer unnoticed, refusals reviewed, loud when it fails
  primary        answers while all is well; needed
  reviewer       hears of each refusal by a content policy; needed
  calls          end after 4 min, streams after 15 min
  attempts       3 at one target; 2 targets; after 6 no further one
  waits          0 to 500 ms, doubling to 8 s
                 0 to 1 s, doubling to 20 s, where the rate is limited
                 as long as the provider says, up to 1 min
  time limits    head 2 min, first content 1 min, silence 1 min, no content 2 min
  breaker        opens after 5 failures in 1 min, for 5 s at first and 10 s at most; 2 good probes close it
  limits         95 % of what the provider grants; in line for at most 30 s
  moves on       as the fallback's own table says
                 content_policy: no
                 a prompt that is too long: stays
                 a refusal by a content policy: stays, and is reviewed
                 a key that is not accepted: stays
  when all fail  the failure, loudly
"
    );
}

type Tell = fn(&Preset, fn(Duration) -> String) -> String;

/// The rows of the page that are numbers, and where they come from.
const ROWS: [(&str, Tell); 12] = [
    ("attempts at one target", |preset, _| preset.attempts.to_string()),
    ("targets, attempts over all", |preset, _| format!("{}, {}", preset.max_targets, preset.max_attempts)),
    ("wait, doubling to", |preset, t| format!("{}, {}", t(preset.backoff.0), t(preset.backoff.1))),
    ("the same where the rate is limited", |preset, t| {
        format!("{}, {}", t(preset.throttle_backoff.0), t(preset.throttle_backoff.1))
    }),
    ("longest wait that is obeyed", |preset, t| t(preset.max_server_delay)),
    ("a call ends after", |preset, t| t(preset.deadline)),
    ("a stream ends after", |preset, t| t(preset.stream_deadline)),
    ("head", |preset, t| t(preset.head)),
    ("first content", |preset, t| t(preset.first_content)),
    ("silence, no content", |preset, t| format!("{}, {}", t(preset.idle), t(preset.content_idle))),
    ("an open circuit is probed after, at most", |preset, t| {
        format!("{}, {}", t(preset.breaker.open.0), t(preset.breaker.open.1))
    }),
    ("share of the limits, time in line", |preset, t| format!("{} %, {}", preset.limit_share * 100.0, t(preset.limit_wait))),
];

/// As the page writes it, which keeps to seconds up to 90.
fn time(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        secs if secs > 90 && secs % 60 == 0 => format!("{} min", secs / 60),
        secs => format!("{secs} s"),
    }
}

fn cells(row: &str) -> Vec<String> {
    let mut page = include_str!("../docs/presets.md").lines();
    let line = page.find(|line| line.starts_with(&format!("| {row} |"))).unwrap();
    line.trim_matches('|').split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_page_tells_the_numbers_that_the_presets_have() {
    for (row, tell) in ROWS {
        let told = Preset::all().map(|preset| tell(&preset, time));
        assert_eq!(cells(row), told, "{row}");
    }
    let roles = |needed: bool| {
        Preset::all().map(|preset| {
            let roles = preset.roles.iter().filter(|wanted| wanted.needed == needed);
            let names: Vec<_> = roles.map(|wanted| wanted.role.to_string()).collect();
            if names.is_empty() { "-".to_owned() } else { names.join(", ") }
        })
    };
    assert_eq!((cells("roles needed"), cells("roles that may be")), (roles(true).to_vec(), roles(false).to_vec()));
}
