//! What no source file of ours may say. Comments and literals are blanked first, so that only code is judged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::code::code_of;

mod code;

/// Files and folders that may look at a real clock: routines and benchmarks take real time, and an HTTP-date can only be read
/// against a wall clock.
const CLOCKS: [&str; 3] = ["xtask/src/step.rs", "lab/src/", "towline-core/src/outcome.rs"];

/// Breaches in every `src` beneath the folder of the crates.
pub(crate) fn breaches(crates: &Path) -> Result<Vec<String>, String> {
    let mut breaches = Vec::new();
    for package in entries(crates)? {
        for file in files(&package.join("src"))? {
            let name = file.strip_prefix(crates).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            breaches.extend(told(&name, &super::text(&file)?));
        }
    }
    Ok(breaches)
}

/// Breaches in one file, whose name counts from the folder of the crates.
fn told(name: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut found: Vec<(usize, &str)> = Vec::new();
    found.extend(words(&code, "unsafe").map(|at| (at, "no unsafe code")));
    found.extend(
        unready_clones(&code)
            .map(|at| (at, "calls a clone that nobody readied: ready the clone, or swap it in with mem::replace")),
    );
    if !CLOCKS.iter().any(|place| name.starts_with(place)) {
        found.extend(
            real_clocks(&code).map(|at| (at, "looks at a real clock: use tokio::time::Instant, or take `now` as an argument")),
        );
    }
    found.sort_unstable();
    found.iter().map(|(at, law)| format!("crates/{name}:{}: {law}", line(&code, *at))).collect()
}

/// `.clone().call(`, however it is broken over lines.
fn unready_clones(code: &str) -> impl Iterator<Item = usize> {
    let called = |at: &usize| code.get(at + ".clone()".len()..).is_some_and(|rest| rest.trim_start().starts_with(".call("));
    code.match_indices(".clone()").map(|(at, _)| at).filter(called)
}

/// `SystemTime::now` and the `Instant::now` of std, which clippy finds too where no attribute silences it.
fn real_clocks(code: &str) -> impl Iterator<Item = usize> {
    let imported = code.split("use ").filter_map(|rest| rest.split_once(';')).any(|(import, _)| {
        let import = import.trim_start();
        import.starts_with("std::") && words(import, "time").next().is_some() && words(import, "Instant").next().is_some()
    });
    let instants = words(code, "Instant::now").filter(move |at| {
        let before = code.get(..*at).unwrap_or_default();
        before.ends_with("std::time::") || (imported && !before.ends_with("::"))
    });
    words(code, "SystemTime::now").chain(instants)
}

/// Where `word` stands by itself.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code.get(..*at).and_then(|before| before.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn line(code: &str, at: usize) -> usize {
    code.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// The Rust files beneath a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>();
    let mut entries = read().map_err(|error| format!("{}: {error}", folder.display()))?;
    entries.sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str) -> Vec<String> {
        told("x/src/lib.rs", source)
    }

    #[test]
    fn unsafe_code_is_told_with_its_line() {
        assert_eq!(lines("fn f() {\n    unsafe { g() }\n}"), ["crates/x/src/lib.rs:2: no unsafe code"]);
        assert_eq!(lines("#![forbid(unsafe_code)] // no unsafe\nconst WORD: &str = \"unsafe\";"), [""; 0]);
    }

    #[test]
    fn a_clone_that_is_called_at_once_is_told() {
        assert_eq!(lines("self.inner.clone().call(request)").len(), 1);
        assert!(lines("self.inner\n    .clone()\n    .call(request)")[0].starts_with("crates/x/src/lib.rs:2: calls a clone"));
        assert_eq!(lines("let inner = self.inner.clone();\nself.inner.call(request)"), [""; 0]);
        assert_eq!(lines("inner.clone().oneshot(request)"), [""; 0], "oneshot readies the clone");
    }

    #[test]
    fn a_real_clock_is_told() {
        for bad in [
            "SystemTime::now()",
            "std::time::SystemTime::now()",
            "std::time::Instant::now()",
            "use std::time::Instant;\nfn f() { Instant::now() }",
            "use std::{fmt, time::{Duration, Instant}};\nfn f() { Instant::now() }",
        ] {
            assert_eq!(lines(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_clock_that_a_test_can_stop_is_lawful() {
        for good in [
            "use tokio::time::Instant;\nfn f() { Instant::now() }",
            "use std::time::{Duration, SystemTime};\nuse tokio::time::Instant;\nfn f(now: SystemTime) { Instant::now() }",
            "use std::time::Instant;\nfn f(now: Instant) { tokio::time::Instant::now() }",
        ] {
            assert_eq!(lines(good), [""; 0], "{good}");
        }
        assert_eq!(told("lab/src/timing.rs", "SystemTime::now()"), [""; 0]);
    }
}
