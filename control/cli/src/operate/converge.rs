//! Waits until a version is served, taken back or overtaken, and tells how it goes.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::ask::{Client, query};
use super::difference::reason;
use super::table::{counted, now_ms, plain, span, text};
use super::trouble::Trouble;
use crate::commands::{INVALID, SYSTEM, complain, print};
use crate::waf::seconds;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two lines when nothing but time goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Refusals whose reasons are told.
const REFUSALS_MAX: usize = 20;

/// Whether a command waits for the proxies.
#[derive(Args)]
pub(crate) struct Waiting {
    /// Wait until all connected proxies serve the version and every stage was watched, or it is taken back. That is so on a
    /// terminal. Exit code 1 when it was refused or taken back, 3 when time is over.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Do not wait.
    #[arg(long)]
    no_wait: bool,
    /// Wait at most so long: 90s, 15m, 1h.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = seconds)]
    timeout: u64,
}

impl Waiting {
    /// Whether to wait, and how long.
    pub(super) fn time(&self) -> Option<Duration> {
        let waits = self.wait || (!self.no_wait && std::io::stderr().is_terminal());
        waits.then(|| Duration::from_secs(self.timeout))
    }
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is served.
    Converged,
    /// It is not, and will not be.
    Refused(String),
    /// Time is over.
    Timeout(String),
}

/// How it ended, with what was seen last.
pub(super) struct Convergence {
    pub(super) end: End,
    pub(super) rollout: Value,
    /// Of proxies that refused it.
    pub(super) reasons: Vec<String>,
    /// Proxies that were connected at the last look.
    pub(super) connected: u64,
}

impl Convergence {
    /// `converged`, `refused` or `timeout`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self.end {
            End::Converged => "converged",
            End::Refused(_) => "refused",
            End::Timeout(_) => "timeout",
        }
    }

    pub(super) fn code(&self) -> ExitCode {
        match self.end {
            End::Converged => ExitCode::SUCCESS,
            End::Refused(_) => ExitCode::from(INVALID),
            End::Timeout(_) => ExitCode::from(SYSTEM),
        }
    }

    /// Tells how it ended, on standard output if well.
    pub(super) fn tell(&self, revision: u64) {
        if self.end == End::Converged {
            print(&match self.connected {
                0 => format!("revision {revision} is published; no proxy is connected"),
                connected => format!(
                    "revision {revision} is served by {}",
                    counted(connected, "connected proxy", "connected proxies")
                ),
            });
        }
        if let End::Refused(why) | End::Timeout(why) = &self.end {
            complain(&format!("weir: {why}"));
            self.reasons
                .iter()
                .for_each(|reason| complain(&format!("  {reason}")));
        }
    }

    /// Adds it to what a change gave.
    pub(super) fn add_to(&self, value: &mut Value) {
        value["outcome"] = json!(self.outcome());
        value["rollout"] = self.rollout.clone();
        value["reasons"] = json!(self.reasons);
        value["connected"] = json!(self.connected);
        if let End::Refused(why) | End::Timeout(why) = &self.end {
            value["why"] = json!(why);
        }
    }
}

/// Follows a version to its end.
pub(super) fn follow(client: &Client, revision: u64, patience: Duration) -> Result<Convergence, Trouble> {
    let deadline = Instant::now() + patience;
    let mut told: Option<(String, Instant)> = None;
    loop {
        let (rollout, regions) = match look(client, revision) {
            Err(Trouble::System(error)) if Instant::now() < deadline => {
                // It may be starting again: what it published stays published.
                say(&mut told, "control does not answer", &error);
                sleep(LOOK_EVERY * 4);
                continue;
            }
            seen => seen?,
        };
        if let Some(end) = end(&rollout, &regions, revision) {
            let reasons = match end {
                End::Converged => Vec::new(),
                _ => refusals(client, revision)?,
            };
            return Ok(Convergence {
                end,
                rollout,
                reasons,
                connected: sum(&regions, "connected"),
            });
        }
        let (fact, line) = progress(&rollout, &regions, revision);
        if Instant::now() >= deadline {
            let why = format!("time is over: {line}");
            let reasons = refusals(client, revision)?;
            return Ok(Convergence {
                end: End::Timeout(why),
                rollout,
                reasons,
                connected: sum(&regions, "connected"),
            });
        }
        say(&mut told, &fact, &line);
        sleep(LOOK_EVERY);
    }
}

fn say(told: &mut Option<(String, Instant)>, fact: &str, line: &str) {
    if told
        .as_ref()
        .is_some_and(|(known, at)| known == fact && at.elapsed() < TELL_EVERY)
    {
        return;
    }
    complain(line);
    *told = Some((fact.to_owned(), Instant::now()));
}

/// The version's rollout, null before it began; and what is seen of the newest version in each region.
fn look(client: &Client, revision: u64) -> Result<(Value, Value), Trouble> {
    let Some(mut current) = client.find("/v1/rollouts/current")?.map(|answer| answer.body) else {
        return Ok((Value::Null, Value::Null));
    };
    let newest = current["rollout"]["revision"].as_u64().unwrap_or(0);
    if newest == revision {
        return Ok((current["rollout"].take(), current["regions"].take()));
    }
    if newest < revision {
        return Ok((Value::Null, Value::Null));
    }
    Ok((find(client, revision)?.unwrap_or_default(), Value::Null))
}

/// The rollout of a version.
pub(super) fn find(client: &Client, revision: u64) -> Result<Option<Value>, Trouble> {
    let before = revision.saturating_add(1).to_string();
    let path = format!(
        "/v1/rollouts{}",
        query(&[("limit", Some("1".to_owned())), ("after", Some(before))])
    );
    let mut found = client.get(&path)?.body;
    let found = found["items"].get_mut(0).map(Value::take);
    Ok(found.filter(|found| found["revision"].as_u64() == Some(revision)))
}

fn each(regions: &Value) -> impl Iterator<Item = (&String, &Value)> {
    regions.as_object().into_iter().flatten()
}

fn count(seen: &Value, what: &str) -> u64 {
    seen[what].as_u64().unwrap_or(0)
}

fn sum(regions: &Value, what: &str) -> u64 {
    each(regions).map(|(_, seen)| count(seen, what)).sum()
}

fn end(rollout: &Value, regions: &Value, revision: u64) -> Option<End> {
    let refuses = |why: String| Some(End::Refused(format!("revision {revision} {why}")));
    match rollout["state"].as_str()? {
        "done" => {
            let late = each(regions)
                .any(|(_, seen)| count(seen, "serving") + count(seen, "refused") < count(seen, "connected"));
            match sum(regions, "refused") {
                _ if late => None,
                0 => Some(End::Converged),
                number => refuses(format!(
                    "was refused by {number} proxies, which serve on what they have"
                )),
            }
        }
        "halted" => refuses("was halted; regions stay where they are".to_owned()),
        "rolled_back" => refuses(format!("was taken back: {}", trip(&rollout["reason"]))),
        "superseded" => refuses(format!("was overtaken by revision {}", text(&rollout["by"]))),
        _ => None,
    }
}

/// What does not change while only time goes on, and the line to tell.
fn progress(rollout: &Value, regions: &Value, revision: u64) -> (String, String) {
    if rollout.is_null() {
        let line = format!("revision {revision}: published, its rollout begins");
        return (line.clone(), line);
    }
    let (now_ms, stages) = (now_ms(), rollout["stages"].as_array().map_or(0, Vec::len));
    let stage = rollout["stage"].as_u64().unwrap_or(0);
    let place = usize::try_from(stage).unwrap_or(0);
    let named = text(&rollout["stages"][place]);
    let (serving, refused) = (sum(regions, "serving"), sum(regions, "refused"));
    let mut fact = format!("revision {revision}: ");
    if rollout["state"] == "running" {
        fact.push_str(&format!("stage {} of {stages} ({}): ", stage + 1, plain(&named)));
    }
    fact.push_str(&format!(
        "{serving} of {} connected proxies serve it",
        sum(regions, "connected")
    ));
    if refused > 0 {
        fact.push_str(&format!(", {refused} refused it"));
    }
    let since = |key: &str| {
        rollout[key]
            .as_u64()
            .map(|since_ms| span(now_ms.saturating_sub(since_ms)))
    };
    let time = match (since("served_ms"), since("since_ms")) {
        (Some(served), _) => format!(", watched for {served}"),
        (None, Some(sent)) => format!(", the stage waits for its proxies for {sent}"),
        (None, None) => String::new(),
    };
    let line = format!("{fact}{time}");
    (fact, line)
}

/// Why a version was taken back.
pub(super) fn trip(reason: &Value) -> String {
    let share = |key: &str| {
        let per_10k = reason[key].as_u64().unwrap_or(0);
        format!("{}.{:02} %", per_10k / 100, per_10k % 100)
    };
    let us = |key: &str| reason[key].as_u64().unwrap_or(0) / 1000;
    let region = plain(&text(&reason["region"]));
    match reason["gate"].as_str() {
        Some("blocked") => format!(
            "in {region} the WAF refused {} of requests, before {}",
            share("after_per_10k"),
            share("before_per_10k")
        ),
        Some("cpu") => format!(
            "in {region} a request took {} us of CPU, before {} us",
            us("after_ns"),
            us("before_ns")
        ),
        Some("errors") => format!(
            "in {region} {} of requests failed, before {}",
            share("after_per_10k"),
            share("before_per_10k")
        ),
        Some("no_answer") => format!(
            "in {region} a proxy neither served nor refused it for {}",
            span(reason["waited_ms"].as_u64().unwrap_or(0))
        ),
        Some("refused") => {
            let number = reason["proxies"].as_u64().unwrap_or(0);
            format!(
                "in {region} it was refused by {}",
                counted(number, "proxy", "proxies")
            )
        }
        _ => plain(&reason.to_string()),
    }
}

/// What proxies said when they refused a version; a token that may not see the events is told nothing.
fn refusals(client: &Client, revision: u64) -> Result<Vec<String>, Trouble> {
    let pairs = [
        ("action", Some("version.refuse".to_owned())),
        ("subject", Some(format!("version/{revision}"))),
        ("limit", Some(REFUSALS_MAX.to_string())),
    ];
    let events = match client.get(&format!("/v1/events{}", query(&pairs))) {
        Err(trouble) if trouble.code() == Some("forbidden") => return Ok(Vec::new()),
        events => events?.body,
    };
    let events = events["items"].as_array().into_iter().flatten();
    let told = events.map(|event| {
        let reasons = event["detail"]["reasons"].as_array().into_iter().flatten();
        let reasons: Vec<String> = reasons.map(reason).collect();
        format!("{}: {}", plain(&text(&event["actor"])), reasons.join("; "))
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(connected: u64, serving: u64, refused: u64) -> Value {
        json!({"eu": {"connected": connected, "serving": serving, "refused": refused}})
    }

    #[test]
    fn a_version_has_converged_when_it_is_done_and_nobody_is_late() {
        let done = json!({"state": "done"});
        assert_eq!(end(&done, &regions(2, 2, 0), 7), Some(End::Converged));
        assert_eq!(end(&done, &regions(2, 1, 0), 7), None);
        assert!(matches!(end(&done, &regions(2, 1, 1), 7), Some(End::Refused(_))));
        assert_eq!(end(&json!({"state": "running"}), &regions(2, 2, 0), 7), None);
        assert_eq!(end(&Value::Null, &Value::Null, 7), None);
        for state in ["halted", "rolled_back", "superseded"] {
            assert!(matches!(
                end(&json!({"state": state}), &Value::Null, 7),
                Some(End::Refused(_))
            ));
        }
    }

    #[test]
    fn progress_names_the_stage_and_who_is_late() {
        let running =
            json!({"state": "running", "stage": 1, "stages": [["ap"], ["eu", "us"]], "since_ms": u64::MAX});
        let (fact, line) = progress(&running, &regions(3, 1, 1), 7);
        assert_eq!(
            fact,
            "revision 7: stage 2 of 2 (eu,us): 1 of 3 connected proxies serve it, 1 refused it"
        );
        assert_eq!(line, format!("{fact}, the stage waits for its proxies for 0.0 s"));
    }

    #[test]
    fn every_gate_has_a_sentence() {
        let reason = json!({"gate": "errors", "region": "eu", "before_per_10k": 10, "after_per_10k": 250});
        assert_eq!(trip(&reason), "in eu 2.50 % of requests failed, before 0.10 %");
        for gate in ["blocked", "cpu", "no_answer", "refused"] {
            let told = trip(&json!({"gate": gate, "region": "eu", "proxies": 2}));
            assert!(told.starts_with("in eu "), "{told}");
        }
    }
}
