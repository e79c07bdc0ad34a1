//! Compares two brokers.
use anyhow::Result;
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}
pub fn run(_args: &Args) -> Result<()> {
    Ok(())
}
