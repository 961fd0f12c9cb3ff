//! `lab counts`: what does not depend on the machine's mood.

use std::{
    collections::BTreeMap,
    env, io,
    process::{Child, Command, Stdio},
};

use lab::{BoxError, Stack, per_call, stacks};

use crate::table::{self, thousands};

/// Long enough for what comes once to vanish, short enough for valgrind.
const CALLS: [u64; 2] = [2_000, 12_000];

/// One number for each stack, by its name and whether its service pends.
type Counts = BTreeMap<(String, bool), f64>;

pub(crate) fn print(filter: &str) -> Result<(), BoxError> {
    let stacks = stacks(filter)?;
    let (allocations, bytes) = allocations(filter)?;
    let instructions = instructions(&stacks)?;
    println!("Each call, above the bare one (whose row is absolute); \"pending\" where the service is pending once.\n");
    let columns = [(&allocations, false), (&bytes, false), (&instructions, false), (&allocations, true), (&bytes, true)];
    let columns = [&columns[..], &[(&instructions, true)]].concat();
    let rows = stacks.iter().filter(|stack| !stack.pends()).map(|stack| {
        let cells = columns.iter().map(|(counts, pends)| cell(counts, stack.name(), *pends));
        [stack.name().to_owned()].into_iter().chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let head =
        ["stack", "allocations", "bytes", "instructions", "allocations, pending", "bytes, pending", "instructions, pending"];
    table::print(&head, &rows);
    if instructions.is_empty() {
        println!("\nNo instructions were counted: valgrind is not installed.");
    }
    Ok(())
}

fn cell(counts: &Counts, name: &str, pends: bool) -> String {
    let of = |name: &str| counts.get(&(name.to_owned(), pends)).copied();
    let base = if name == Stack::BARE { Some(0.0) } else { of(Stack::BARE) };
    match (of(name), base) {
        (Some(count), Some(base)) => thousands(count - base),
        _ => "-".to_owned(),
    }
}

/// Allocations and bytes, from the program that counts them.
fn allocations(filter: &str) -> Result<(Counts, Counts), BoxError> {
    let (mut allocations, mut bytes) = (Counts::new(), Counts::new());
    for line in bench("allocations", filter)?.lines() {
        let [name, pends, count, size] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let key = (name.to_owned(), pends.parse()?);
        allocations.insert(key.clone(), count.parse()?);
        bytes.insert(key, size.parse()?);
    }
    Ok((allocations, bytes))
}

/// What one of the programs prints that count allocations.
pub(crate) fn bench(program: &str, argument: &str) -> Result<String, BoxError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let bench = ["bench", "--quiet", "--locked", "--package", "lab", "--bench", program, "--", argument];
    let output = Command::new(cargo).args(bench).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("counting allocations: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Instructions; nothing at all without valgrind.
fn instructions(stacks: &[Stack]) -> Result<Counts, BoxError> {
    let mut counts = Counts::new();
    for (at, stack) in stacks.iter().enumerate() {
        eprint!("\rcounting instructions: {} of {}", at + 1, stacks.len());
        let (name, pends) = (stack.name(), stack.pends().to_string());
        let Some(count) = instructions_per_call(CALLS, &["run", name, &pends])? else { return Ok(counts) };
        counts.insert((name.to_owned(), stack.pends()), count);
    }
    eprintln!();
    Ok(counts)
}

/// What one call takes of so many that this program makes if it is told `arguments` and how many; `None` without valgrind.
pub(crate) fn instructions_per_call(calls: [u64; 2], arguments: &[&str]) -> Result<Option<f64>, BoxError> {
    let mut runs = Vec::new();
    for calls in calls {
        match valgrind(arguments, calls) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            run => runs.push(run?),
        }
    }
    let counted = runs.into_iter().map(collected).collect::<Result<Vec<_>, _>>()?;
    let [few, many] = counted[..] else { return Err("two runs were counted".into()) };
    Ok(Some(per_call(calls, [few, many])))
}

/// This program again, beneath valgrind.
fn valgrind(arguments: &[&str], calls: u64) -> io::Result<Child> {
    Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(arguments)
        .arg(calls.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// What valgrind tells at its end: `==42== Collected : 123456`.
fn collected(run: Child) -> Result<u64, BoxError> {
    let output = run.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let count = told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind: {}\n{told}", output.status).into())
}
