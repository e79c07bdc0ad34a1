//! The undo log that crash tests stand on loses what was not synced, and nothing else.

use std::process::Command;

use anyhow::{Result, ensure};
use mainstem_tests::faultfs::{Loss, Power};
use mainstem_tests::random::Random;
use tempfile::TempDir;

/// A folder whose power fails.
struct Disk {
    folder: TempDir,
    power: Power,
}

impl Disk {
    fn new() -> Result<Disk> {
        let folder = tempfile::tempdir()?;
        let power = Power::new(&folder.path().join("data"), folder.path())?;
        Ok(Disk { folder, power })
    }

    /// Runs a script in the folder. `put` and `add` write a file as programs do: the shell's own output is buffered by
    /// stdio, which is not seen.
    fn run(&self, script: &str) -> Result<()> {
        let helpers = r"
            put() { dd of=$1 status=none; }
            add() { dd of=$1 oflag=append conv=notrunc status=none; }
            fill() { head -c $1 /dev/zero | tr '\0' $2; }
        ";
        let status = Command::new("/bin/bash")
            .args(["-ec", &format!("{helpers}\n{script}")])
            .envs(self.power.environment()?)
            .current_dir(self.folder.path().join("data"))
            .status()?;
        ensure!(status.success(), "{script}: {status}");
        Ok(())
    }

    fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("data").join(name)).ok()
    }
}

#[test]
fn what_is_not_synced_is_lost() -> Result<()> {
    let disk = Disk::new()?;
    disk.run("printf hello | put a")?;
    assert_eq!(disk.text("a").as_deref(), Some("hello"));
    let lost = disk.power.fail(Loss::Everything, &mut Random::new(1))?;
    assert_eq!(disk.text("a"), None);
    assert_eq!((lost.files, lost.names), (1, 1));
    Ok(())
}

#[test]
fn what_is_synced_stays() -> Result<()> {
    let disk = Disk::new()?;
    disk.run("printf hello | put a; sync a; sync .; printf more | add a")?;
    disk.power.fail(Loss::Everything, &mut Random::new(1))?;
    assert_eq!(disk.text("a").as_deref(), Some("hello"));
    Ok(())
}

#[test]
fn a_file_without_its_folders_sync_is_lost() -> Result<()> {
    let disk = Disk::new()?;
    disk.run("printf hello | put a; sync a")?;
    disk.power.fail(Loss::Everything, &mut Random::new(1))?;
    assert_eq!(disk.text("a"), None);
    Ok(())
}

#[test]
fn overwritten_bytes_come_back() -> Result<()> {
    let disk = Disk::new()?;
    disk.run("printf 0123456789 | put a; sync a; sync .")?;
    disk.power.forget()?;
    disk.run(
        "printf XX | dd of=a bs=1 seek=3 conv=notrunc status=none; truncate -s 6 a; printf abc | put b",
    )?;
    assert_eq!(disk.text("a").as_deref(), Some("012XX5"));
    disk.power.fail(Loss::Everything, &mut Random::new(1))?;
    assert_eq!(disk.text("a").as_deref(), Some("0123456789"));
    Ok(())
}

#[test]
fn names_come_back() -> Result<()> {
    let disk = Disk::new()?;
    disk.run("for name in a b c; do printf $name | put $name; sync $name; done; sync .")?;
    disk.power.forget()?;
    disk.run("mv a b; rm c; mkdir d; printf x | put d/x; printf new | put c")?;
    disk.power.fail(Loss::Everything, &mut Random::new(1))?;
    let texts = ["a", "b", "c", "d/x"].map(|name| disk.text(name));
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(texts, [is("a"), is("b"), is("c"), None]);
    Ok(())
}

#[test]
fn some_of_what_is_not_synced_is_lost() -> Result<()> {
    let mut kept = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let disk = Disk::new()?;
        disk.run("fill 2048 a | put a; sync a; sync .; fill 4096 b | add a")?;
        disk.power.fail(Loss::Some, &mut Random::new(seed))?;
        let text = disk.text("a").unwrap_or_default();
        assert!(text.starts_with(&"a".repeat(2048)), "synced bytes are gone");
        let sectors = text
            .as_bytes()
            .chunks(512)
            .filter(|sector| sector.iter().all(|byte| *byte == b'b'));
        kept.insert(sectors.count());
    }
    assert!(
        kept.contains(&0) && kept.contains(&8) && kept.len() > 3,
        "{kept:?}"
    );
    Ok(())
}
