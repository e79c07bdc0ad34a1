use super::super::{Command, reload};
use super::{parse_config, run};

#[test]
fn a_reload_reads_the_file_again_and_keeps_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let command = parse_config(
        folder.path(),
        "port: 4333\nmax_payload: 1024\ndebug: false",
        &["-p", "-1", "-D"],
    );
    let Ok(Command::Run(before)) = command else {
        panic!("{command:?}")
    };
    std::fs::write(folder.path().join("c.conf"), "port: 4444\nmax_payload: 2048").unwrap();
    let after = reload(&before).unwrap();
    assert_eq!(
        (
            after.nats.listen.port,
            after.nats.max_payload_bytes,
            after.log.debug
        ),
        (0, 2048, true)
    );
    assert_ne!(after.config_digest, before.config_digest);
    assert_eq!(after.command_line, before.command_line);
    std::fs::write(folder.path().join("c.conf"), "port: x").unwrap();
    let error = reload(&before).unwrap_err();
    assert!(
        error.ends_with("c.conf:1:0: interface conversion: interface {} is string, not int64"),
        "{error}"
    );
}

#[test]
fn warnings_do_not_stop_a_start() {
    let options = run("ping_interval: 5\n", &[]).unwrap();
    assert_eq!(options.nats.ping_interval_ms, 5_000);
    assert!(options.warnings[0].contains("ping_interval should be converted to a duration"));
}
