//! The binary as a shell sees it: what it prints where, and its exit codes.

#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn mainstem(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstem"));
    let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MAINSTEM_"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn run(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn in_folder(folder: &Path, yaml: &str, args: &[&str]) -> (i32, String, String) {
    std::fs::write(folder.join("m.yaml"), yaml).unwrap();
    let mut command = mainstem(&["serve", "--config", "m.yaml"]);
    command.args(args).current_dir(folder);
    run(command)
}

#[test]
fn a_bad_file_ends_with_78_and_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = in_folder(folder.path(), "nats:\n  prot: 1\n  port: 70000\n", &[]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(
        err,
        "m.yaml:2:3: nats.prot: unknown key; did you mean \"port\"?\n\
         m.yaml:3:9: nats.port: \"70000\" is not a port; allowed: 1 to 65535, or 0 for any free port\n"
    );
}

#[test]
fn the_configuration_is_checked_before_any_port_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let yaml = format!("nats: {{host: 127.0.0.1, port: {port}}}\nlog: {{level: loud}}\n");
    let (code, _, err) = in_folder(folder.path(), &yaml, &[]);
    assert_eq!(code, 78);
    assert_eq!(
        err,
        "m.yaml:2:14: log.level: \"loud\" is not a choice; allowed: error, warn, info, debug, trace\n"
    );
    assert!(!folder.path().join("mainstem-data").exists());
}

#[test]
fn bad_flags_end_with_64() {
    let (code, _, err) = run(mainstem(&["serve", "--nats-port", "x"]));
    assert_eq!(code, 64);
    assert_eq!(
        err,
        "--nats-port: nats.port: \"x\" is not a port; allowed: 1 to 65535, or 0 for any free port\n"
    );
    let (code, _, err) = run(mainstem(&["serve", "--nats-prot", "1"]));
    assert_eq!(code, 64);
    assert!(err.contains("--nats-prot"), "{err}");
}

#[test]
fn bad_variables_end_with_78() {
    let mut command = mainstem(&["serve", "--check-config"]);
    command.env("MAINSTEM_NATS_PORT", "x");
    let (code, _, err) = run(command);
    assert_eq!(code, 78);
    assert!(
        err.starts_with("MAINSTEM_NATS_PORT: nats.port: \"x\" is not a port; "),
        "{err}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let (code, _, err) = run(mainstem(&["serve", "--config", "/nowhere/m.yaml"]));
    assert_eq!(code, 78);
    let expected =
        "/nowhere/m.yaml: cannot read the configuration file: No such file or directory (os error 2)\n";
    assert_eq!(err, expected);
}

#[test]
fn a_variable_names_the_file_unless_it_is_empty() {
    for (value, code) in [("", 0), ("/nowhere/m.yaml", 78)] {
        let mut command = mainstem(&["serve", "--check-config"]);
        command.env("MAINSTEM_CONFIG", value);
        assert_eq!(run(command).0, code, "{value:?}");
    }
}

#[test]
fn a_right_configuration_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = in_folder(folder.path(), "nats: {port: 1}\n", &["--check-config"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "", "the configuration is right\n")
    );
}

#[test]
fn a_printed_configuration_prints_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "--print-config",
        "--nats-port",
        "0",
        "--set",
        "nats.websocket.compression=true",
    ];
    let (code, printed, err) = in_folder(
        folder.path(),
        "auth: {users: [{name: a, password: \"1 2\"}]}\n",
        &args,
    );
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, again, _) = in_folder(folder.path(), &printed, &["--print-config"]);
    assert_eq!(printed, again);
}

#[test]
fn a_log_file_that_cannot_be_made_ends_with_73() {
    let (code, _, err) = run(mainstem(&[
        "serve",
        "--log-file",
        "/nowhere/log",
        "--nats-port",
        "0",
    ]));
    assert_eq!(code, 73);
    let expected = "cannot open the log file /nowhere/log: No such file or directory (os error 2)\n";
    assert_eq!(err, expected);
}

#[test]
fn the_reference_goes_to_standard_output() {
    let (code, out, err) = run(mainstem(&["help", "config"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("`MAINSTEM_NATS_PORT`"), "{out}");
}
#[test]
fn the_name_nats_server_makes_it_one() {
    for (name, args) in [
        ("nats-server", vec!["--version"]),
        ("mainstem", vec!["nats-server", "--version"]),
    ] {
        let mut command = mainstem(&args);
        command.arg0(format!("/some/where/{name}"));
        let (code, out, err) = run(command);
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("nats-server: v2.14."), "{out}");
    }
}
