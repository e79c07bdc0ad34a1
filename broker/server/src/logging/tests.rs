//! What each way of logging writes, and what changing it while it runs does.

#![allow(clippy::unwrap_used)]

use std::fs;

use tracing::subscriber::with_default;

use super::*;

/// Writes into a file what `log` logs.
fn logged(options: LogOptions, log: impl FnOnce(&LogHandle, &Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (subscriber, handle) = build(&LogOptions {
        file: Some(path.clone()),
        ..options
    })
    .unwrap();
    with_default(subscriber, || log(&handle, &path));
    handle.flush();
    fs::read_to_string(&path).unwrap_or_default()
}

fn every_level() {
    tracing::trace!("wire");
    tracing::debug!("detail");
    tracing::info!("notice");
    tracing::warn!("care");
    tracing::error!("wrong");
    crate::fatal!("end");
    tracing::debug!(target: "rustls", "of a library");
}

fn nats_server() -> LogOptions {
    LogOptions {
        format: LogFormat::NatsServer,
        time: false,
        debug: true,
        trace: true,
        ..LogOptions::default()
    }
}

#[test]
fn nats_server_lines_are_its_own() {
    let pid = std::process::id();
    let text = logged(nats_server(), |_, _| every_level());
    let expected = [
        ("TRC", "wire"),
        ("DBG", "detail"),
        ("INF", "notice"),
        ("WRN", "care"),
        ("ERR", "wrong"),
    ];
    let mut expected: Vec<String> = expected
        .iter()
        .map(|(level, text)| format!("[{pid}] [{level}] {text}"))
        .collect();
    expected.push(format!("[{pid}] [FTL] end"));
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn nats_server_time_has_microseconds() {
    let options = LogOptions {
        time: true,
        utc: true,
        ..nats_server()
    };
    let text = logged(options, |_, _| tracing::info!("Server is ready"));
    let rest = text.strip_prefix(&format!("[{}] ", std::process::id())).unwrap();
    let shape: String = rest
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000/00/00 00:00:00.000000 [INF] Server is ready\n");
}

#[test]
fn levels_choose_the_lines() {
    let levels = |options: LogOptions| {
        let options = LogOptions {
            format: LogFormat::NatsServer,
            time: false,
            ..options
        };
        let text = logged(options, |_, _| every_level());
        let codes = text
            .lines()
            .filter_map(|line| line.split(['[', ']']).nth(3))
            .collect::<Vec<_>>();
        codes.join(" ")
    };
    let default = LogOptions::default;
    assert_eq!(levels(default()), "INF WRN ERR FTL");
    assert_eq!(
        levels(LogOptions {
            debug: true,
            ..default()
        }),
        "DBG INF WRN ERR FTL"
    );
    assert_eq!(
        levels(LogOptions {
            trace: true,
            ..default()
        }),
        "TRC INF WRN ERR FTL"
    );
    assert_eq!(
        levels(LogOptions {
            level: LogLevel::Warn,
            ..default()
        }),
        "WRN ERR FTL"
    );
    assert_eq!(
        levels(LogOptions {
            level: LogLevel::Error,
            ..default()
        }),
        "ERR FTL"
    );
    assert_eq!(
        levels(LogOptions {
            filter: Some("warn".into()),
            debug: true,
            ..default()
        }),
        "WRN ERR FTL"
    );
    assert_eq!(
        levels(LogOptions {
            filter: Some("off,rustls=debug".into()),
            ..default()
        }),
        "DBG"
    );
}

#[test]
fn text_and_json_carry_fields() {
    let options = LogOptions {
        time: false,
        ..LogOptions::default()
    };
    let text = logged(options.clone(), |_, _| tracing::info!(port = 4222, "listening"));
    assert_eq!(text, " INFO mainstem::logging::tests: listening port=4222\n");
    let json = logged(
        LogOptions {
            format: LogFormat::Json,
            ..options
        },
        |_, _| {
            tracing::info!(port = 4222, "listening \"here\"\n");
        },
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["message"], "listening \"here\"\n");
    assert_eq!(json["port"], 4222);
    assert_eq!(json["level"], "INFO");
}

#[test]
fn json_time_is_rfc_3339() {
    let options = LogOptions {
        format: LogFormat::Json,
        utc: true,
        ..LogOptions::default()
    };
    let json = logged(options, |_, _| tracing::info!("x"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let time: jiff::Timestamp = json["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(time.as_second() > 0);
}

#[test]
fn reload_changes_level_format_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    let first = logged(
        LogOptions {
            debug: false,
            ..nats_server()
        },
        |log, path| {
            tracing::debug!("too early");
            let options = LogOptions {
                file: Some(path.to_owned()),
                ..nats_server()
            };
            log.reload(&options).unwrap();
            tracing::debug!("now");
            log.reload(&LogOptions {
                file: Some(second.clone()),
                format: LogFormat::Text,
                ..options
            })
            .unwrap();
            tracing::debug!("elsewhere");
            log.flush();
        },
    );
    assert_eq!(first, format!("[{}] [DBG] now\n", std::process::id()));
    assert!(
        fs::read_to_string(second)
            .unwrap()
            .ends_with("DEBUG mainstem::logging::tests: elsewhere\n")
    );
}

#[test]
fn a_refused_reload_changes_nothing() {
    let text = logged(nats_server(), |log, path| {
        let file = Some(path.to_owned());
        let bad_file = LogOptions {
            file: Some("/nowhere/at/all".into()),
            ..nats_server()
        };
        let message = log.reload(&bad_file).unwrap_err().to_string();
        assert!(
            message.starts_with("cannot open the log file /nowhere/at/all: "),
            "{message}"
        );
        assert!(
            log.reload(&LogOptions {
                filter: Some("=!".into()),
                file,
                ..nats_server()
            })
            .is_err()
        );
        tracing::debug!("still here");
    });
    assert!(text.ends_with("[DBG] still here\n"));
}

#[test]
fn a_reopened_file_is_a_new_one() {
    let text = logged(nats_server(), |log, path| {
        tracing::info!("old");
        log.flush();
        fs::rename(path, path.with_extension("1")).unwrap();
        assert!(log.reopen().unwrap());
        tracing::info!("new");
        log.flush();
        assert!(
            fs::read_to_string(path.with_extension("1"))
                .unwrap()
                .ends_with("old\n")
        );
    });
    assert!(text.ends_with("new\n") && !text.contains("old"));
}
