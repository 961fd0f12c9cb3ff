//! The gateway: an OpenAI- and Anthropic-compatible endpoint in front of any providers, with all of towline's layers between.
//!
//! `gateway` alone runs a demonstration on this machine; `gateway --config FILE` serves; `--check` only reads the file and
//! explains it.

mod app;
mod client;
mod config;
mod demo;
mod guards;
mod serve;
mod stacks;
mod status;
mod targets;

use std::{env, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use towline::BoxError;

use crate::{
    app::Gateway,
    config::{Config, Source},
    demo::Demo,
};

const USAGE: &str =
    "usage: gateway [--config FILE [--check]] [--listen ADDR]; without a file, a demonstration: [--calls N] [--every MS]";

#[derive(Default)]
struct Args {
    config: Option<PathBuf>,
    listen: Option<String>,
    check: bool,
    calls: Option<usize>,
    every: Option<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let args = Args::read(env::args().skip(1))?;
    match &args.config {
        Some(path) => from_file(&Source::open(path)?, &args).await,
        None => demonstrate(&args).await,
    }
}

async fn from_file(source: &Source, args: &Args) -> Result<(), BoxError> {
    let (config, gateway) = gateway(source)?;
    if args.check {
        print!("{}", gateway.explain());
        return Ok(());
    }
    let listener = bind(args.listen.as_deref(), &config).await?;
    // Before anybody is told where to send what a signal would end.
    let stop = serve::signal();
    println!("listening on http://{}", listener.local_addr()?);
    Ok(serve::serve(listener, Arc::clone(&gateway).router(), gateway.read_timeout, stop).await?)
}

async fn demonstrate(args: &Args) -> Result<(), BoxError> {
    let demo = Demo::start().await?;
    let (config, gateway) = gateway(&demo.file())?;
    let listener = match bind(args.listen.as_deref(), &config).await {
        // Somebody else's port is no reason not to show anything.
        Err(_) if args.listen.is_none() => bind(Some("127.0.0.1:0"), &config).await?,
        bound => bound?,
    };
    let base = format!("http://{}", listener.local_addr()?);
    println!("listening on {base}");
    println!("Two simulated providers misbehave by turns; ctrl-c ends it. Ask it yourself:");
    println!(r#"  curl {base}/v1/chat/completions -d '{{"model":"chat","messages":[{{"role":"user","content":"Hello?"}}]}}'"#);
    let app = Arc::clone(&gateway).router();
    tokio::select! {
        ended = serve::serve(listener, app, gateway.read_timeout, serve::signal()) => Ok(ended?),
        ended = demo.run(&base, &gateway, args.calls, args.every.unwrap_or(Duration::from_secs(1))) => ended,
    }
}

fn gateway(source: &Source) -> Result<(Config, Arc<Gateway>), BoxError> {
    let config = source.config()?;
    // Counters are made at once, and count for the recorder that there is.
    let recorder = PrometheusBuilder::new().install_recorder()?;
    let gateway = Gateway::new(&config, recorder).map_err(|problem| source.invalid(&problem))?;
    Ok((config, gateway))
}

async fn bind(told: Option<&str>, config: &Config) -> Result<TcpListener, BoxError> {
    let address = match (told, &config.listen) {
        (Some(told), _) => told.to_owned(),
        (None, Some(listen)) => listen.0.to_string(),
        (None, None) => "127.0.0.1:8080".to_owned(),
    };
    TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

impl Args {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; {USAGE}"));
            match word.as_str() {
                "--config" => args.config = Some(value()?.into()),
                "--listen" => args.listen = Some(value()?),
                "--check" => args.check = true,
                "--calls" => args.calls = Some(value()?.parse().map_err(|_| "--calls needs a number")?),
                "--every" => {
                    args.every = Some(Duration::from_millis(value()?.parse().map_err(|_| "--every needs milliseconds")?))
                }
                _ => return Err(format!("{word} is not known; {USAGE}")),
            }
        }
        Ok(args)
    }
}
