//! The program: started, asked, ended.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{
    ask::{self, Client},
    file::File,
};

/// A gateway that serves, in a process of its own. It is killed when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    /// What it prints after the line that says where it listens.
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
    complaints: Arc<Mutex<String>>,
    _file: Option<File>,
}

/// A run of the program to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Gateway {
    /// Starts it with this file, on a port that is free.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_in(config, &[]).await
    }

    /// Starts it with this file and these variables in its environment.
    pub(crate) async fn start_in(config: &str, environment: &[(&str, &str)]) -> Self {
        let file = File::new(config);
        let arguments = ["--listen", "127.0.0.1:0", "--config", file.path()];
        let mut gateway = Self::spawn(&arguments, environment).await;
        gateway._file = Some(file);
        gateway
    }

    /// Starts it with these arguments, and waits until it says where it listens.
    pub(crate) async fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = command(arguments, environment).spawn().unwrap();
        let complaints = Arc::new(Mutex::default());
        tokio::spawn(keep(child.stderr.take().unwrap(), Arc::clone(&complaints)));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap_or_default();
        let address = first.strip_prefix("listening on http://").map(str::parse);
        let Some(Ok(address)) = address else {
            child.wait().await.unwrap();
            panic!("the first line is {first:?}; it complains {:?}", complaints.lock())
        };
        Self { child, address, client: ask::client(), lines, complaints, _file: None }
    }

    /// All that it has printed on stderr so far.
    pub(crate) fn complaints(&self) -> String {
        self.complaints.lock().clone()
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it SIGTERM, by the shell, which every machine has.
    pub(crate) async fn terminate(&self) {
        let line = format!("kill -TERM {}", self.pid());
        assert!(Command::new("sh").args(["-c", &line]).status().await.unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }
}

/// Runs the program to its end.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let output = command(arguments, environment).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The resident memory of its process in KiB; 0 where nobody tells.
pub(crate) fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn keep(mut from: impl AsyncRead + Unpin, to: Arc<Mutex<String>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        to.lock().push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}
