//! The command line of `mainstem`. Flags that set a key of the configuration come from its table.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _, value_parser};
use mainstem_load::cli::Args as BenchArgs;

use crate::client;
use crate::config::{self, Setting, Sources};
use crate::doctor::Doctor;
use crate::exit::{Exit, Failure};

/// What to do.
#[derive(Debug)]
pub enum Action {
    Serve(Serve),
    /// `mainstem bench`.
    Bench(Box<BenchArgs>),
    /// `mainstem stream` and `mainstem kv`.
    Client(Box<client::Command>),
    Doctor(Doctor),
    /// `mainstem nats-server ...`: arguments in nats-server's style.
    NatsServer(Vec<OsString>),
    /// Text for standard output: help, version, reference.
    Print(String),
}

/// `mainstem serve`.
#[derive(Debug)]
pub struct Serve {
    pub sources: Sources,
    pub mode: Mode,
}

/// What to do with the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Check it and leave.
    Check,
    /// Print it and leave.
    Print,
}

/// Reads the arguments, the program's name first.
///
/// # Errors
/// The usage is wrong: exit code 64 and what is wrong about it.
pub fn parse(args: &[OsString]) -> Result<Action, Failure> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(wrong(&error)),
        Err(help) => return Ok(Action::Print(help.render().to_string())),
    };
    match matches.subcommand() {
        Some(("serve", matches)) => serve(matches).map(Action::Serve),
        Some(("bench", matches)) => match BenchArgs::from_arg_matches(matches) {
            Ok(args) => Ok(Action::Bench(Box::new(args))),
            Err(error) => Err(wrong(&error)),
        },
        Some(("stream", matches)) => match client::args::Stream::from_arg_matches(matches) {
            Ok(args) => Ok(Action::Client(Box::new(client::Command::Stream(args)))),
            Err(error) => Err(wrong(&error)),
        },
        Some(("kv", matches)) => match client::args::Kv::from_arg_matches(matches) {
            Ok(args) => Ok(Action::Client(Box::new(client::Command::Kv(args)))),
            Err(error) => Err(wrong(&error)),
        },
        Some(("doctor", matches)) => match Doctor::from_arg_matches(matches) {
            Ok(args) => Ok(Action::Doctor(args)),
            Err(error) => Err(wrong(&error)),
        },
        Some(("nats-server", matches)) => Ok(Action::NatsServer(
            matches
                .get_many::<OsString>("args")
                .unwrap_or_default()
                .cloned()
                .collect(),
        )),
        Some(("version", _)) => Ok(Action::Print(format!("mainstem {}\n", env!("CARGO_PKG_VERSION")))),
        Some(("help", matches)) => help(matches.get_one::<String>("topic")),
        _ => Ok(Action::Print(command().render_help().to_string())),
    }
}

fn command() -> Command {
    Command::new("mainstem")
        .about("A message broker.")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve_command())
        .subcommand(BenchArgs::augment_args(
            Command::new("bench").about("Measure a NATS broker"),
        ))
        .subcommand(client::args::Stream::augment_args(
            Command::new("stream").about("Work with streams of a NATS server"),
        ))
        .subcommand(client::args::Kv::augment_args(
            Command::new("kv").about("Work with key-value buckets of a NATS server"),
        ))
        .subcommand(Doctor::augment_args(
            Command::new("doctor").about("Check the store of a broker that is stopped"),
        ))
        .subcommand(
            Command::new("nats-server")
                .about("Run with nats-server's flags, configuration grammar and log lines")
                .disable_help_flag(true)
                .arg(
                    Arg::new("args")
                        .value_name("ARGS")
                        .num_args(0..)
                        .allow_hyphen_values(true)
                        .trailing_var_arg(true)
                        .value_parser(value_parser!(OsString)),
                ),
        )
        .subcommand(Command::new("version").about("Print the version"))
        .subcommand(
            Command::new("help")
                .about("Explain a command, or all keys of the configuration (`help config`)")
                .arg(Arg::new("topic").value_name("TOPIC")),
        )
}

fn serve_command() -> Command {
    let command = Command::new("serve")
        .about("Run the broker")
        .after_help("Every key can also be set by a variable MAINSTEM_<SECTION>_<KEY>; `mainstem help config` lists them.")
        .arg(
            Arg::new("config")
                .long("config")
                .short('c')
                .value_name("file")
                .env(config::FILE_VARIABLE)
                .value_parser(OsStringValueParser::new().map(PathBuf::from))
                .help("Configuration file (YAML)"),
        )
        .arg(switch("check-config", "Check the configuration and leave"))
        .arg(switch("print-config", "Print the whole configuration, passwords included, and leave"))
        .arg(
            Arg::new("set")
                .long("set")
                .value_name("key=value")
                .action(ArgAction::Append)
                .help("Set any key of the configuration, such as nats.max_payload=2MiB"),
        );
    config::settables()
        .into_iter()
        .fold(command, |command, key| match key.flag {
            Some(flag) => command.arg(Arg::new(flag).long(flag).value_name(key.noun).help(key.help)),
            None => command,
        })
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn serve(matches: &ArgMatches) -> Result<Serve, Failure> {
    let settables = config::settables();
    let mut flags: Vec<Setting> = settables
        .iter()
        .filter_map(|key| {
            let flag = key.flag?;
            let text = matches.get_one::<String>(flag)?.clone();
            Some(Setting {
                flag: format!("--{flag}"),
                key: key.key.clone(),
                text,
            })
        })
        .collect();
    for pair in matches.get_many::<String>("set").unwrap_or_default() {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(usage(format!(
                "--set: {pair:?} is no setting; allowed: KEY=VALUE"
            )));
        };
        if !settables.iter().any(|settable| settable.key == key) {
            let near = config::nearest_key(key).map(|near| format!("did you mean {near:?}?"));
            let hint = near.unwrap_or_else(|| "`mainstem help config` lists all".to_owned());
            return Err(usage(format!("--set: {key}: unknown key; {hint}")));
        }
        flags.push(Setting {
            flag: "--set".to_owned(),
            key: key.to_owned(),
            text: text.to_owned(),
        });
    }
    // An empty variable is no file.
    let file = matches
        .get_one::<PathBuf>("config")
        .filter(|file| !file.as_os_str().is_empty())
        .cloned();
    let mode = if matches.get_flag("print-config") {
        Mode::Print
    } else if matches.get_flag("check-config") {
        Mode::Check
    } else {
        Mode::Run
    };
    Ok(Serve {
        sources: Sources {
            file,
            environment: Sources::environment(),
            flags,
        },
        mode,
    })
}

fn help(topic: Option<&String>) -> Result<Action, Failure> {
    let mut command = command();
    match topic.map(String::as_str) {
        None => Ok(Action::Print(command.render_long_help().to_string())),
        Some("config") => Ok(Action::Print(config::reference())),
        Some(topic) => match command.find_subcommand_mut(topic) {
            Some(command) => Ok(Action::Print(command.render_long_help().to_string())),
            None => Err(usage(format!(
                "help: {topic:?} is no topic; allowed: config, or a command"
            ))),
        },
    }
}

fn wrong(error: &clap::Error) -> Failure {
    usage(error.render().to_string().trim_end().to_owned())
}

fn usage(line: String) -> Failure {
    Failure::new(Exit::Usage, line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Action, Failure> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&args)
    }

    fn serve_line(line: &str) -> Serve {
        match parse_line(&format!("mainstem serve {line}").replace("  ", " ")).unwrap() {
            Action::Serve(serve) => serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_set_keys() {
        let serve = serve_line(
            "--config a.yaml --nats-port 1 --nats-host h --admin-port off --metrics 2 --data-dir d --log-format json \
             --log-level debug --server-name s --workers 3 --client-advertise c:1 --set nats.max_payload=2MiB",
        );
        assert_eq!(serve.mode, Mode::Run);
        assert_eq!(serve.sources.file, Some(PathBuf::from("a.yaml")));
        let set: Vec<String> = serve
            .sources
            .flags
            .iter()
            .map(|set| format!("{} {}={}", set.flag, set.key, set.text))
            .collect();
        assert_eq!(
            set,
            [
                "--server-name server_name=s",
                "--data-dir data_dir=d",
                "--nats-host nats.host=h",
                "--nats-port nats.port=1",
                "--client-advertise nats.client_advertise=c:1",
                "--admin-port admin.port=off",
                "--metrics admin.metrics_port=2",
                "--workers limits.workers=3",
                "--log-format log.format=json",
                "--log-level log.level=debug",
                "--set nats.max_payload=2MiB",
            ]
        );
    }

    #[test]
    fn modes_are_switches() {
        assert_eq!(serve_line("--check-config").mode, Mode::Check);
        assert_eq!(serve_line("--print-config --check-config").mode, Mode::Print);
    }

    #[test]
    fn nats_server_gets_its_arguments_as_they_are() {
        let Action::NatsServer(args) = parse_line("mainstem nats-server -DV -p -1 --help -- x").unwrap()
        else {
            panic!("another action");
        };
        assert_eq!(args, ["-DV", "-p", "-1", "--help", "--", "x"]);
    }

    #[test]
    fn bench_takes_its_own_arguments() {
        let action = parse_line("mainstem bench pubsub 2:3 --size 16").unwrap();
        assert!(matches!(action, Action::Bench(_)));
        let failure = parse_line("mainstem bench pubsub --size many").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn clients_and_the_doctor_have_their_arguments() {
        for line in [
            "stream ls --names",
            "stream create S --subjects a,b --max-age 1h --json",
            "stream purge S --keep 3 --force -s nats://h:1",
            "stream tail S -n 5 --no-follow",
            "kv put b k v --revision 3",
            "kv watch b a.> --user u --password p",
        ] {
            assert!(
                matches!(parse_line(&format!("mainstem {line}")), Ok(Action::Client(_))),
                "{line}"
            );
        }
        assert!(matches!(
            parse_line("mainstem doctor --accept-loss d"),
            Ok(Action::Doctor(_))
        ));
        for line in [
            "stream",
            "stream create",
            "stream purge S --keep 1 --seq 2",
            "kv get b",
            "doctor",
        ] {
            let failure = parse_line(&format!("mainstem {line}")).map(drop).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
        }
    }

    #[test]
    fn help_and_version_go_to_standard_output() {
        for line in [
            "mainstem --help",
            "mainstem serve --help",
            "mainstem help",
            "mainstem help serve",
        ] {
            let Action::Print(text) = parse_line(line).unwrap() else {
                panic!("{line}")
            };
            assert!(text.contains("Usage:"), "{line}: {text}");
        }
        let Action::Print(text) = parse_line("mainstem help config").unwrap() else {
            panic!("no reference")
        };
        assert!(text.contains("| `nats.port` |"), "{text}");
        let Action::Print(text) = parse_line("mainstem version").unwrap() else {
            panic!("no version")
        };
        assert_eq!(text, format!("mainstem {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn wrong_usage_is_named() {
        for (line, expected) in [
            ("mainstem", "Usage: mainstem"),
            ("mainstem swim", "unrecognized subcommand 'swim'"),
            (
                "mainstem serve --nats-prot 1",
                "unexpected argument '--nats-prot'",
            ),
            (
                "mainstem serve --nats-port",
                "a value is required for '--nats-port <port>'",
            ),
            (
                "mainstem serve --set nats.port",
                "--set: \"nats.port\" is no setting; allowed: KEY=VALUE",
            ),
            (
                "mainstem serve --set nats.prot=1",
                "--set: nats.prot: unknown key; did you mean \"nats.port\"?",
            ),
            (
                "mainstem serve --set zebra=1",
                "--set: zebra: unknown key; `mainstem help config` lists all",
            ),
            (
                "mainstem help swim",
                "help: \"swim\" is no topic; allowed: config, or a command",
            ),
        ] {
            let failure = parse_line(line).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{line}");
            assert!(failure.to_string().contains(expected), "{line}: {failure}");
        }
    }
}
