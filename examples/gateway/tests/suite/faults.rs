//! The sixteen faults, streamed and whole, for OpenAI and Anthropic callers: what the caller gets, and what each provider sees.
//!
//! One gateway serves a model for each case, and all cases run side by side, each against providers of its own. The limits are set in its file,
//! shorter than a person would: 1.5 s to the first content where the bench allows 10 s, 3 s for an attempt where a stall lasts 30 s. Two waits are as
//! long as they are told: the 2 s of a `Retry-After`, and nothing else. The outage of a minute lasts as long as eight calls.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use towline_testkit::{Dialect, Fault, MockProvider, ProviderError, Reply};

use crate::support::{Answer, Gateway, Said, base_url, path, provider, question};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::Anthropic];
/// Far more than any case takes.
const LONG: Duration = Duration::from_secs(60);

/// One fault in one dialect, streamed or whole.
struct Case {
    name: String,
    fault: Fault,
    dialect: Dialect,
    stream: bool,
    primary: MockProvider,
    second: MockProvider,
}

/// What the caller has in the end.
enum Right {
    /// The whole answer of this model.
    Whole(&'static str),
    /// So many pieces of sixty, and an error that nobody can miss.
    Begun(usize),
    /// The provider's own words.
    Refused,
}

/// What is right, and how often each provider is asked.
fn right(fault: Fault, stream: bool) -> (Right, [usize; 2]) {
    match fault {
        Fault::LimitedOnce | Fault::ErrorOnce | Fault::ResetOnce => (Right::Whole(Fault::PRIMARY), [2, 0]),
        Fault::Limited => (Right::Whole(Fault::FALLBACK), [2, 1]),
        Fault::Down | Fault::Substitute => (Right::Whole(Fault::FALLBACK), [3, 1]),
        Fault::Silent | Fault::LateFirstToken => (Right::Whole(Fault::FALLBACK), [1, 1]),
        Fault::StreamCut | Fault::PrefillRefused => (Right::Begun(40), [1, 0]),
        Fault::StreamStall => (Right::Begun(20), [1, 0]),
        Fault::BrokenEvent if !stream => (Right::Whole(Fault::FALLBACK), [3, 1]),
        Fault::BrokenEvent | Fault::NoTerminator => (Right::Whole(Fault::PRIMARY), [1, 0]),
        Fault::ContextLength | Fault::ContentPolicy => (Right::Refused, [1, 0]),
        Fault::Outage => unreachable!("it has a test of its own"),
    }
}

impl Case {
    async fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Outage) {
            for (dialect, stream) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, true), (dialect, false)]) {
                let (primary, second) = fault.start(dialect).await.unwrap();
                let name = format!("{}-{dialect:?}-{stream}", fault.number());
                cases.push(Self { name, fault, dialect, stream, primary, second });
            }
        }
        cases
    }

    fn config(&self) -> String {
        let Self { name, dialect, .. } = self;
        let of = |provider: &MockProvider| base_url(*dialect, provider);
        provider(&format!("p-{name}"), *dialect, &of(&self.primary), "")
            + &provider(&format!("s-{name}"), *dialect, &of(&self.second), "")
            + &format!("[[models]]\nname = \"{name}\"\nmax_elapsed = \"30s\"\nbackoff = {{ base = \"20ms\", max = \"100ms\" }}\n")
            + &format!(
                "targets = [{{ provider = \"p-{name}\", model = \"{}\", retries = 2, first_token_timeout = \"1500ms\", timeout = \"3s\" }},\n",
                Fault::PRIMARY
            )
            + &format!("{{ provider = \"s-{name}\", model = \"{}\", retries = 2 }}]\n", Fault::FALLBACK)
    }

    async fn ask(&self, gateway: &Gateway) -> Answer {
        let mut question = question(self.dialect, self.stream);
        question["model"] = self.name.as_str().into();
        gateway.post(path(self.dialect), question).await
    }

    async fn ridden_out(self, gateway: Arc<Gateway>) {
        let Self { name, fault, dialect, stream, .. } = &self;
        let answer = self.ask(&gateway).await;
        let said = Said::read(*dialect, &answer);
        let (right, asked) = right(*fault, *stream);
        let shown = format!("{name} {fault:?}: {} {said:?}\n{}", answer.status, answer.text());
        assert_eq!([self.primary.hits(), self.second.hits()], asked, "{shown}");
        match right {
            Right::Whole(model) => self.is_whole(&answer, &said, model, asked),
            Right::Begun(pieces) => is_begun(&answer, &said, *stream, pieces),
            Right::Refused => {
                let words = ["context", "too long", "safety system", "content filtering"];
                assert!(answer.status == 400 && words.iter().any(|word| answer.text().contains(word)), "{shown}");
            }
        }
        if *fault == Fault::LimitedOnce {
            let at = self.primary.requests().iter().map(|request| request.at).collect::<Vec<_>>();
            assert!(at[1] - at[0] >= Duration::from_secs(2), "it was told to wait for 2 s");
        }
        if [Fault::Silent, Fault::LateFirstToken, Fault::StreamStall].contains(fault) {
            self.primary.cancelled(1).await;
        }
        // Whatever happened before, a primary that is well again answers the next call.
        self.primary.speak(*dialect, Fault::answer().model(Fault::PRIMARY));
        let answer = self.ask(&gateway).await;
        self.is_whole(&answer, &Said::read(*dialect, &answer), Fault::PRIMARY, [1, 0]);
    }

    fn is_whole(&self, answer: &Answer, said: &Said, model: &str, asked: [usize; 2]) {
        let whole = Said {
            text: Fault::answer().whole_text(),
            model: Some(model.to_owned()),
            tokens: Some(60),
            finished: true,
            ..Said::default()
        };
        assert_eq!(*said, whole, "{} {:?}", self.name, self.fault);
        assert!(answer.status == 200 && !answer.broken, "{}", self.name);
        let by = if model == Fault::PRIMARY { "p" } else { "s" };
        assert_eq!(answer.header("x-towline-target"), Some(&*format!("{by}-{}/{model}", self.name)));
        assert_eq!(answer.header("x-towline-attempts"), Some(&*(asked[0] + asked[1]).to_string()), "{}", self.name);
        assert_eq!(answer.header("x-towline-fallback").is_some(), by == "s", "{}", self.name);
    }
}

/// What came is the beginning of the answer, up to where it broke, and nobody can take it for a whole one.
fn is_begun(answer: &Answer, said: &Said, stream: bool, pieces: usize) {
    assert_eq!((answer.status, said.finished), (200, false), "{}", answer.text());
    if stream {
        let begun: String = (1..=pieces).map(|n| format!("{n} ")).collect();
        assert_eq!((&*said.text, said.unreadable), (&*begun, 0));
        assert!(
            said.error.is_some() && !answer.text().contains("[DONE]") && !answer.text().contains("message_stop"),
            "{}",
            answer.text()
        );
    } else {
        assert!(answer.broken && answer.json().is_null(), "{}", answer.text());
    }
}

#[tokio::test]
async fn each_fault_is_ridden_out_in_each_dialect_streamed_and_whole() {
    let cases = Case::all().await;
    let config: String = cases.iter().map(Case::config).collect();
    let gateway = Arc::new(Gateway::start(&config).await);
    let mut all = JoinSet::new();
    for case in cases {
        let gateway = Arc::clone(&gateway);
        all.spawn(async move {
            let name = case.name.clone();
            timeout(LONG, case.ridden_out(gateway)).await.unwrap_or_else(|_| panic!("{name} takes too long"));
        });
    }
    let mut failed = 0;
    while let Some(case) = all.join_next().await {
        failed += usize::from(case.is_err());
    }
    assert_eq!(failed, 0, "cases that failed");
}

/// The fifteenth: down for a while, and 20 calls meanwhile and after. Where the bench has a minute and probes after 30 s at most, this has eight calls and
/// probes after 300 ms.
#[tokio::test]
async fn an_outage_is_served_by_the_second_with_few_probes_and_the_primary_is_back_soon_after() {
    for (dialect, stream) in DIALECTS.into_iter().flat_map(|dialect| [(dialect, true), (dialect, false)]) {
        let [primary, second] = [MockProvider::start().await.unwrap(), MockProvider::start().await.unwrap()];
        primary.otherwise(Reply::error_of(dialect, ProviderError::Overloaded));
        second.speak(dialect, Fault::answer().model(Fault::FALLBACK));
        let breaker = "circuit_breaker = { failure_threshold = 5, window = \"60s\", open_for = \"300ms\", probes = 1, success_threshold = 2 }";
        let config = provider("p", dialect, &base_url(dialect, &primary), breaker)
            + &provider("s", dialect, &base_url(dialect, &second), "")
            + "[[models]]\nname = \"chat\"\nbackoff = { base = \"1ms\", max = \"2ms\" }\n"
            + "targets = [{ provider = \"p\", model = \"primary-model\", retries = 2 }, { provider = \"s\", model = \"fallback-model\" }]\n";
        let gateway = Gateway::start(&config).await;
        let (mut calls, mut back) = (0, false);
        let served = async {
            while calls < 20 || !back {
                if calls == 8 {
                    let down = primary.hits();
                    // Two calls open the circuit; after that one probe each time that it is half-open, or none.
                    assert!((5..=8).contains(&down), "{down} attempts at a primary that is down");
                    primary.speak(dialect, Fault::answer().model(Fault::PRIMARY));
                }
                let answer = gateway.ask(dialect, stream).await;
                let said = Said::read(dialect, &answer);
                assert_eq!((said.text, said.finished, said.tokens), (Fault::answer().whole_text(), true, Some(60)), "{calls}");
                let by_primary = answer.header("x-towline-target") == Some("p/primary-model");
                assert_eq!(said.model.as_deref(), Some(if by_primary { Fault::PRIMARY } else { Fault::FALLBACK }));
                assert!(by_primary || !back, "it went away again");
                (back, calls) = (by_primary, calls + 1);
                if calls > 8 && !back {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        timeout(LONG, served).await.expect("it is back");
    }
}
