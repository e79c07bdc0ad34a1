//! The text form of scenarios (its grammar stands at [`super`]).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::escape::Template;

#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub name: String,
    /// Name of the profile that its server runs with.
    pub profile: String,
    /// nats-server answers differently when the same bytes come in several reads. What it answers to one
    /// write a step is the reference for both.
    pub varies: bool,
    /// The server's PINGs are part of the transcript. Elsewhere they are skipped: on a slow machine one
    /// may come at any point.
    pub shows_pings: bool,
    /// Deliveries are shown without what varies, as [`super::answer`] has it.
    pub masks_answers: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// The step's line in its file, counted from 0.
    pub line: usize,
    pub connection: String,
    pub action: Action,
    /// The transcript of what was read, one message a string.
    pub expected: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Open,
    Send(Template),
    /// Close our side.
    Close,
    /// Show the INFO that came first.
    Info,
    /// Send PING and read until so many PONGs came.
    Ping {
        pongs: usize,
    },
    Read {
        messages: usize,
    },
    /// Read until the server closes.
    Closed,
}

impl Action {
    fn parse(text: &str) -> Result<Self> {
        let (verb, count) = text
            .split_once(' ')
            .map_or((text, None), |(verb, count)| (verb, Some(count)));
        let count = count
            .map(str::parse)
            .transpose()
            .with_context(|| format!("{text:?} needs a number"))?;
        Ok(match (verb, count) {
            ("open", None) => Self::Open,
            ("close", None) => Self::Close,
            ("info", None) => Self::Info,
            ("closed", None) => Self::Closed,
            ("ping", count) => Self::Ping {
                pongs: count.unwrap_or(1),
            },
            ("read", Some(messages)) => Self::Read { messages },
            _ => bail!("unknown step {text:?}"),
        })
    }
}

/// All scenarios of a file.
///
/// # Errors
/// A line that is none of the grammar, or a scenario that ends with a connection nobody looked at.
pub fn parse(text: &str) -> Result<Vec<Scenario>> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        parse_line(number, line, &mut scenarios).with_context(|| format!("line {}: {line}", number + 1))?;
    }
    for scenario in &scenarios {
        check(scenario).with_context(|| format!("scenario {}", scenario.name))?;
    }
    Ok(scenarios)
}

fn parse_line(number: usize, line: &str, scenarios: &mut Vec<Scenario>) -> Result<()> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if let Some(name) = line.strip_prefix("=== ") {
        scenarios.push(Scenario {
            name: name.to_owned(),
            ..Scenario::default()
        });
        return Ok(());
    }
    let scenario = scenarios.last_mut().context("stands before the first scenario")?;
    if let Some((key, value)) = line.split_once(": ").filter(|(key, _)| !key.contains(' ')) {
        return parse_header(key, value, scenario);
    }
    let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
    if let Some(connection) = head.strip_suffix('<') {
        let step = scenario
            .steps
            .last_mut()
            .filter(|step| step.connection == connection);
        step.context("follows no step of its connection")?
            .expected
            .push(rest.to_owned());
        return Ok(());
    }
    let (connection, action) = match head.strip_suffix('>') {
        Some(connection) => (connection, Action::Send(Template::parse(rest)?)),
        None => (head, Action::parse(rest)?),
    };
    let connection = connection.to_owned();
    scenario.steps.push(Step {
        line: number,
        connection,
        action,
        expected: Vec::new(),
    });
    Ok(())
}

fn parse_header(key: &str, value: &str, scenario: &mut Scenario) -> Result<()> {
    match key {
        "server" => scenario.profile = value.to_owned(),
        "varies" => scenario.varies = true,
        "answers" => scenario.masks_answers = value == "masked",
        "pings" => scenario.shows_pings = value == "shown",
        _ => bail!("unknown header"),
    }
    Ok(())
}

/// What is sent last must be answered for: else a wrong answer would go unseen.
fn check(scenario: &Scenario) -> Result<()> {
    ensure!(!scenario.profile.is_empty(), "has no `server:`");
    let mut last = BTreeMap::new();
    for step in &scenario.steps {
        last.insert(&step.connection, step);
    }
    for (connection, step) in last {
        let unseen = matches!(step.action, Action::Send(_) | Action::Open);
        ensure!(!unseen, "nothing is read from {connection} after its last step");
    }
    Ok(())
}

/// The file's text with the transcripts of all steps replaced; `read` has them by the step's line.
#[must_use]
pub fn rewrite(text: &str, read: &BTreeMap<usize, (String, Vec<String>)>) -> String {
    let mut written = String::with_capacity(text.len());
    for (number, line) in text.lines().enumerate() {
        if line
            .split(' ')
            .next()
            .is_some_and(|head| head.len() > 1 && head.ends_with('<'))
        {
            continue;
        }
        written.push_str(line);
        written.push('\n');
        let Some((connection, messages)) = read.get(&number) else {
            continue;
        };
        for message in messages {
            written.push_str(&format!("{connection}< {message}\n"));
        }
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "# theme\n=== one\nserver: open\nA open\nA> PUB\\r\\n\nA ping\nA< old\n";

    #[test]
    fn steps_keep_their_transcripts() {
        let scenarios = parse(TEXT).unwrap();
        assert_eq!(scenarios[0].name, "one");
        assert_eq!(scenarios[0].profile, "open");
        assert_eq!(scenarios[0].steps[2].line, 5);
        assert_eq!(scenarios[0].steps[2].expected, ["old"]);
    }

    #[test]
    fn a_recording_replaces_the_transcripts_and_nothing_else() {
        let read = BTreeMap::from([(5, ("A".to_owned(), vec!["new".to_owned(), "er".to_owned()]))]);
        assert_eq!(rewrite(TEXT, &read), TEXT.replace("A< old\n", "A< new\nA< er\n"));
    }

    #[test]
    fn a_scenario_that_checks_nothing_is_refused() {
        assert!(parse("=== one\nserver: open\nA open\nA> x\n").is_err());
        assert!(parse("=== one\nA open\nA ping\n").is_err());
        assert!(parse("A open\n").is_err());
        assert!(parse("=== one\nserver: open\nA dance\n").is_err());
    }
}
