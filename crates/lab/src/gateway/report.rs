//! The rounds, and the table of goals.

use std::time::Duration;

use lab::BoxError;

use super::{
    client::{Ask, get, load},
    measure::{Round, median, middle},
    process::Server,
};
use crate::table::{self, thousands};

/// Each round takes the proxy and the gateway one after the other, so that a bad moment of the machine is everybody's.
const ROUNDS: usize = 9;
const LOAD: Duration = Duration::from_secs(2);
const ONE: Duration = Duration::from_secs(1);

/// The rounds of the proxy, of the gateway, and of no server in between.
#[derive(Default)]
struct Rounds([Vec<Round>; 3]);

type Row = [String; 5];

pub(super) async fn print() -> Result<(), BoxError> {
    let provider = Server::ours(&["provider"]).await?;
    let proxy = Server::ours(&["proxy", &provider.address.to_string()]).await?;
    let gateway = Server::gateway("well", &config(&provider, "")).await?;
    let all = [&proxy, &gateway, &provider];
    // Connections are made, pages touched, code is warm.
    for server in all {
        load(server.address, 64, Ask::Document, ONE).await?;
    }
    let mut rows = Vec::new();
    for callers in [16, 64] {
        rows.extend(under_load(callers, &Rounds::of(&all[..2], callers, Ask::Document, LOAD).await?));
    }
    let resident = gateway.resident()? as f64 / 1024.0;
    let beside = proxy.resident()? as f64 / 1024.0;
    rows.push(row("resident memory after it, MiB", "< 24", resident < 24.0, format!("{resident:.1}"), format!("{beside:.1}")));
    let one = Rounds::of(&all, 1, Ask::Document, ONE).await?;
    rows.push(added("median of one caller, added, microseconds", "at most twice", &one, |gateway, proxy| gateway <= 2.0 * proxy));
    let first = Rounds::of(&all, 1, Ask::FirstEvent, ONE).await?;
    let rule = |gateway: f64, _: f64| gateway <= 200.0;
    rows.push(added("first event of a stream, later by microseconds", "at most 200", &first, rule));
    rows.extend(with_a_dead_primary(&provider).await?);
    println!(
        "{ROUNDS} rounds, of which each figure is the middle one; where there are two to compare, that of each round's ratio.\n"
    );
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.to_vec()).collect();
    table::print(&["", "goal", "the gateway", "the bare proxy", ""], &rows);
    Ok(())
}

impl Rounds {
    async fn of(servers: &[&Server], callers: usize, ask: Ask, time: Duration) -> Result<Self, BoxError> {
        let mut rounds = Self::default();
        for round in 0..ROUNDS {
            eprint!("\r{callers} callers: round {} of {ROUNDS} ", round + 1);
            for (server, rounds) in servers.iter().zip(&mut rounds.0) {
                rounds.push(Round::of(server, callers, ask, time).await?);
            }
        }
        eprintln!();
        Ok(rounds)
    }

    fn middle(&self, server: usize, of: impl Fn(&Round) -> f64) -> f64 {
        middle(self.0.get(server).into_iter().flatten().map(of))
    }

    /// The gateway's beside the proxy's.
    fn ratio(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let [proxy, gateway, _] = &self.0;
        middle(gateway.iter().zip(proxy).map(|(gateway, proxy)| of(gateway) / of(proxy)))
    }
}

fn under_load(callers: usize, rounds: &Rounds) -> [Row; 2] {
    let (speed, cpu) = (|round: &Round| round.per_second, |round: &Round| round.cpu);
    let seen = |of: fn(&Round) -> f64| (thousands(rounds.middle(1, of)), thousands(rounds.middle(0, of)), rounds.ratio(of));
    let (mine, bare, ratio) = seen(speed);
    let first = row(
        &format!("requests a second, {callers} connections"),
        "at least 75 %",
        ratio >= 0.75,
        format!("{mine} ({:.0} %)", ratio * 100.0),
        bare,
    );
    let (mine, bare, ratio) = seen(cpu);
    let what = format!("processor time of a request, microseconds, {callers} connections");
    [first, row(&what, "at most 1.5 times", ratio <= 1.5, format!("{mine} ({ratio:.2} times)"), bare)]
}

/// What a server adds to the median of a call without one.
fn added(what: &str, goal: &str, rounds: &Rounds, met: impl Fn(f64, f64) -> bool) -> Row {
    let [proxy, gateway, none] = &rounds.0;
    let above = |server: &[Round]| middle(server.iter().zip(none).map(|(server, none)| server.median - none.median));
    let (mine, bare) = (above(gateway), above(proxy));
    let than_proxy = goal.contains("200");
    let seen = if than_proxy { middle(gateway.iter().zip(proxy).map(|(a, b)| a.median - b.median)) } else { mine };
    let shown = if than_proxy { format!("{seen:.0}, than the proxy's") } else { format!("{seen:.0} ({:.2} times)", mine / bare) };
    row(what, goal, met(seen, bare), shown, if than_proxy { "-".to_owned() } else { format!("{bare:.0}") })
}

/// A primary that answers 503 for ever, and a second that is well.
async fn with_a_dead_primary(provider: &Server) -> Result<[Row; 2], BoxError> {
    let gateway = Server::gateway("dead", &config(provider, "/down")).await?;
    let times = load(gateway.address, 1, Ask::Document, 10 * ONE).await?;
    let attempts = get(provider.address, "/asked").await?.parse::<f64>()? / times.len() as f64;
    let middle = median(&times);
    Ok([
        row("dead primary: attempts on it for each call", "at most 0.1", attempts <= 0.1, format!("{attempts:.4}"), "-".into()),
        row("dead primary: median, microseconds", "< 1,000", middle < 1000.0, thousands(middle), "-".into()),
    ])
}

fn row(what: &str, goal: &str, met: bool, gateway: String, proxy: String) -> Row {
    [what.to_owned(), goal.to_owned(), gateway, proxy, if met { "met" } else { "**missed**" }.to_owned()]
}

/// Two targets at the same provider, as most have; the first below `path`.
fn config(provider: &Server, path: &str) -> String {
    let section = |name: &str, path: &str| {
        let base = format!("http://{}{path}/v1", provider.address);
        format!("[providers.{name}]\ndialect = \"openai\"\nbase_url = \"{base}\"\napi_key = \"sk-of-the-gateway\"\n")
    };
    let targets = r#"targets = [{ provider = "one", model = "gpt-5-mini" }, { provider = "two", model = "gpt-5-nano" }]"#;
    format!("{}{}[[models]]\nname = \"gpt-5\"\n{targets}\n", section("one", path), section("two", ""))
}
