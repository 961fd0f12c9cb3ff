//! Processes beside this one: started, watched, ended.

use std::{env, fs, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use lab::BoxError;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A server in a process of its own, which is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    /// Kept, so that what it prints has somewhere to go.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// This program in another part.
    pub(super) async fn ours(arguments: &[&str]) -> Result<Self, BoxError> {
        Self::start(Command::new(env::current_exe()?).args(["gateway"]).args(arguments)).await
    }

    /// The gateway that was built beside this program, with this file.
    pub(super) async fn gateway(name: &str, config: &str) -> Result<Self, BoxError> {
        let program = env::current_exe()?.with_file_name("gateway");
        if !program.is_file() {
            return Err(format!("{} is not there: cargo build --release --package gateway", program.display()).into());
        }
        let file: PathBuf = env::temp_dir().join(format!("lab-{name}-{}.toml", std::process::id()));
        fs::write(&file, config)?;
        let server = Self::start(Command::new(program).args(["--listen", "127.0.0.1:0", "--config"]).arg(&file)).await;
        fs::remove_file(&file)?;
        server
    }

    async fn start(command: &mut Command) -> Result<Self, BoxError> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let first = lines.next_line().await?.unwrap_or_default();
        let address = first.strip_prefix("listening on http://").ok_or("it does not listen")?.parse()?;
        Ok(Self { child, address, _lines: lines })
    }

    /// The processor time that it has taken so far, its own and the kernel's for it.
    pub(super) fn cpu(&self) -> Result<Duration, BoxError> {
        let stat = self.proc("stat")?;
        // The second field is a name in parentheses, which may hold anything; utime and stime are the 14th and 15th.
        let fields = stat.rsplit_once(')').ok_or("no name in stat")?.1.split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        // Linux counts in hundredths of a second, whatever its own ticks are.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Its resident memory in KiB.
    pub(super) fn resident(&self) -> Result<u64, BoxError> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in status")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn proc(&self, file: &str) -> Result<String, BoxError> {
        let path = format!("/proc/{}/{file}", self.child.id().ok_or("it has ended")?);
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}; this bench needs Linux").into())
    }
}
