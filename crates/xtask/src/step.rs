//! Steps: a heading, a command or a check, a duration; the first failure ends all.

use std::{
    env, fmt,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The steps of one routine, in the order in which they ran.
pub(crate) struct Steps {
    root: PathBuf,
    out: Box<dyn Write>,
    began: Instant,
    done: usize,
    notes: Vec<String>,
}

/// One call to cargo.
pub(crate) struct Cargo {
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

/// Why a routine ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    reason: String,
    repeat: String,
}

impl Steps {
    /// Steps that run in `root` and tell of themselves on `out`.
    pub(crate) fn new(root: PathBuf, out: impl Write + 'static) -> Self {
        Self { root, out: Box::new(out), began: now(), done: 0, notes: Vec::new() }
    }

    /// The folder of the workspace; every command runs in it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs cargo as a step of its own.
    pub(crate) fn cargo(&mut self, title: &str, cargo: &Cargo) -> Result<(), Failure> {
        let line = cargo.to_string();
        let mut command = cargo.command(&self.root);
        self.step(title, &line, &line, || match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("cargo did not start: {error}")),
        })
    }

    /// Runs a check that needs no process; `repeat` is the line that runs it again.
    pub(crate) fn check<T>(
        &mut self,
        title: &str,
        repeat: &str,
        check: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.step(title, "", repeat, check)
    }

    /// Keeps a line that the reader must not miss until the end, such as a step that could not run.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        let line = line.into();
        self.say(&format!("-- {line}"));
        self.notes.push(line);
    }

    /// Prints the last line of a routine that went well, and the notes once more.
    pub(crate) fn close(&mut self, routine: &str) {
        let took = seconds(now().duration_since(self.began));
        let steps = if self.done == 1 { "step" } else { "steps" };
        self.say(&format!("\ncargo xtask {routine}: {} {steps} passed in {took}", self.done));
        for note in std::mem::take(&mut self.notes) {
            self.say(&format!("but: {note}"));
        }
    }

    /// Prints a line before the next command can print its own.
    fn say(&mut self, line: &str) {
        // A reader who has gone away is no reason to stop the routine.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    fn step<T>(
        &mut self,
        title: &str,
        detail: &str,
        repeat: &str,
        run: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, Failure> {
        let number = self.done + 1;
        let colon = if detail.is_empty() { "" } else { ": " };
        self.say(&format!("\n== {number}. {title}{colon}{detail}"));
        let began = now();
        let outcome = run();
        let took = seconds(now().duration_since(began));
        match outcome {
            Ok(answer) => {
                self.say(&format!("-- {title}: {took}"));
                self.done = number;
                Ok(answer)
            }
            Err(reason) => {
                Err(Failure { step: format!("step {number} ({title}) failed after {took}"), reason, repeat: repeat.to_owned() })
            }
        }
    }
}

impl Cargo {
    /// `cargo` with these arguments, parted by white space.
    pub(crate) fn new(arguments: &str) -> Self {
        Self { arguments: arguments.split_whitespace().map(str::to_owned).collect(), environment: Vec::new() }
    }

    pub(crate) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// What cargo prints, or why it printed nothing.
    pub(crate) fn output(&self, root: &Path) -> Result<Vec<u8>, String> {
        let output = self.command(root).output().map_err(|error| format!("cargo did not start: {error}"))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("`{self}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
        }
    }

    fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(&self.arguments)
            .current_dir(root)
            .stdin(Stdio::null())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        // What `cargo run` told us about this package would make build scripts that look at it run again.
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
            if ours {
                command.env_remove(name);
            }
        }
        command
    }
}

impl fmt::Display for Cargo {
    /// The line that a shell would take.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str("cargo")?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED: {}: {}\nrepeat it with: {}", self.step, self.reason, self.repeat)
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[allow(clippy::disallowed_methods, reason = "a routine's duration is real time; no runtime is near")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_says_what_failed_and_how_to_repeat_it() {
        let mut steps = Steps::new(PathBuf::new(), std::io::sink());
        assert!(steps.check("fine", "cargo xtask fine", || Ok(())).is_ok());
        let failure =
            steps.check("law", "cargo xtask law", || Err::<(), _>("two laws broken".to_owned())).unwrap_err().to_string();
        assert!(failure.contains("step 2 (law) failed") && failure.contains("two laws broken"), "{failure}");
        assert!(failure.ends_with("repeat it with: cargo xtask law"), "{failure}");
    }

    #[test]
    fn the_line_to_repeat_is_one_that_a_shell_takes() {
        let cargo = Cargo::new("doc --no-deps").env("RUSTDOCFLAGS", "-D warnings").args(["it's"]);
        assert_eq!(cargo.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn a_command_that_fails_says_so() {
        let told = Cargo::new("no-such-routine-at-all").output(&crate::workspace::root()).unwrap_err();
        assert!(told.starts_with("`cargo no-such-routine-at-all`: exit status"), "{told}");
    }
}
