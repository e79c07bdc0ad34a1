//! Crashes of the real process under mixed load: what was acknowledged is there, once and in order.
//!
//! `CRASH_LOOPS` and `CRASH_SEED` make a run longer, or another one (`make crash`).

mod bucket;
mod consumer;
mod findings;
mod life;
mod producer;
mod scrap;
mod stream;
mod weak;

use anyhow::{Context, Result};
use findings::Table;
use life::{Fault, Run};
use mainstem_tests::faultfs::Loss;

/// Crashes of each kind in a run that nobody made longer.
const LOOPS: u64 = 4;

fn number(variable: &str, default: u64) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text}")),
        Err(_) => Ok(default),
    }
}

/// Runs the load with these faults in turn, prints what became of it, and fails if anything is wrong.
async fn crash(name: &str, faults: &[Fault]) -> Result<Table> {
    let seed = number("CRASH_SEED", 1)?;
    let loops = number("CRASH_LOOPS", LOOPS)?;
    let mut run = Run::start(seed, faults.iter().any(|fault| *fault != Fault::Kill), false).await?;
    for turn in 0..loops {
        let fault = faults[turn as usize % faults.len()];
        run.live(fault)
            .await
            .with_context(|| format!("{name}: crash {turn} of seed {seed}"))?;
        if run.findings.are_many() {
            break;
        }
    }
    let table = run.finish().await?;
    println!("{name}, seed {seed}:\n{table}");
    Ok(table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_lose_nothing() -> Result<()> {
    crash("kill -9", &[Fault::Kill]).await?.must_be_clean()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_failures_lose_nothing() -> Result<()> {
    let faults = [Fault::Power(Loss::Everything), Fault::Power(Loss::Some)];
    crash("power failure", &faults).await?.must_be_clean()
}

/// The checks above mean something: a disk that says it has synced, and has not, is caught.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_is_caught() -> Result<()> {
    let mut run = Run::start(1, true, true).await?;
    for _ in 0..3 {
        if let Err(error) = run.live(Fault::Power(Loss::Everything)).await {
            println!("the broker says: {error:#}");
            return Ok(());
        }
        if run.findings.count() > 0 {
            return Ok(());
        }
    }
    anyhow::bail!("nothing was synced, and nobody noticed")
}
