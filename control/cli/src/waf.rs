//! `weir waf`: the kill switches of a running proxy's WAF.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::commands::{INVALID, SYSTEM, fail, print};
use crate::running;

/// How long the proxy may take. A switch waits for an upgrade that is under way.
const PATIENCE: Duration = Duration::from_secs(75);

/// For when a rule does harm. A switch takes effect with the next request, holds over reloads, upgrades and (with
/// `node.state_dir`) restarts, and only ever takes: it makes the WAF refuse less. To keep one for good, write it into the
/// document: `waf.mode_max`, `waf.rules_off`, or the tenant's `waf.mode` and `waf.exclusions`.
#[derive(Subcommand)]
pub(crate) enum Waf {
    /// Show what is switched, in the proxy and in its document.
    Status {
        /// Admin endpoint of the proxy.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
        admin: SocketAddr,
    },
    /// Switch off: one rule (--rule), one tenant's WAF (--tenant), one rule of one tenant (both), or the whole WAF (neither).
    Off(Timed),
    /// Let the WAF record and refuse nothing: of one tenant (--tenant), or of all.
    Detect(Mode),
    /// Take back what the same options have switched.
    On(About),
}

/// What a switch is about.
#[derive(Args)]
pub(crate) struct About {
    /// Only this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Only this rule.
    #[arg(long, value_name = "ID")]
    rule: Option<u64>,
    /// Admin endpoint of the proxy.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

/// A switch that may end by itself.
#[derive(Args)]
pub(crate) struct Timed {
    #[command(flatten)]
    about: About,
    /// End by itself after so long: 90s, 15m, 1h, 7d; at most 30d. Without it, until `weir waf on`.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    for_s: Option<u64>,
}

/// A tenant's WAF, or all, that may end by itself.
#[derive(Args)]
pub(crate) struct Mode {
    /// Only this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// End by itself after so long: 90s, 15m, 1h, 7d; at most 30d. Without it, until `weir waf on`.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    for_s: Option<u64>,
    /// Admin endpoint of the proxy.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

/// A time of whole seconds, minutes, hours or days.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "give a number with s, m, h or d, such as 15m".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit_s).ok_or_else(wrong)
}

/// Asks and prints. Exit code 1 when the proxy refuses.
pub(crate) fn run(waf: &Waf, as_json: bool) -> ExitCode {
    let (admin, answered) = match waf {
        Waf::Status { admin } => (admin, running::get(*admin, "/waf", PATIENCE)),
        Waf::Off(Timed { about, for_s }) => {
            change("off", about.tenant.as_deref(), about.rule, *for_s, &about.admin)
        }
        Waf::Detect(mode) => change("detect", mode.tenant.as_deref(), None, mode.for_s, &mode.admin),
        Waf::On(about) => change("on", about.tenant.as_deref(), about.rule, None, &about.admin),
    };
    match answered {
        Ok((200, answer)) if as_json => print(&answer.to_string()),
        Ok((200, answer)) if matches!(waf, Waf::Status { .. }) => print(&status(&answer)),
        Ok((200, answer)) => print(&changed(&answer)),
        Ok((_, problem)) => {
            let detail = problem["detail"].as_str().unwrap_or_default();
            fail(INVALID, detail, as_json)
        }
        Err(error) => {
            let message = format!("{error}; is a proxy running with its admin endpoint at {admin}?");
            fail(SYSTEM, &message, as_json)
        }
    }
}

type Answered<'a> = (&'a SocketAddr, Result<(u16, Value), String>);

fn change<'a>(
    mode: &str,
    tenant: Option<&str>,
    rule: Option<u64>,
    for_s: Option<u64>,
    admin: &'a SocketAddr,
) -> Answered<'a> {
    let scope = tenant.map_or_else(|| json!("all"), |id| json!({"tenant": id}));
    let wanted = json!({"scope": scope, "rule": rule, "mode": mode, "for_s": for_s});
    (
        admin,
        running::post(*admin, "/waf", &wanted.to_string(), PATIENCE),
    )
}

/// What a switch is about.
fn about(switch: &Value) -> String {
    let whose = match switch["scope"]["tenant"].as_str() {
        Some(tenant) => format!("tenant {tenant}"),
        None => "all tenants".to_owned(),
    };
    match switch["rule"].as_u64() {
        Some(rule) => format!("rule {rule} of {whose}"),
        None => format!("the WAF of {whose}"),
    }
}

fn one(switch: &Value) -> String {
    let mode = switch["mode"].as_str().unwrap_or_default();
    let mut text = format!("{} is {mode}", about(switch));
    match switch["set_by"].as_str() {
        Some("document") => text.push_str(", by the document"),
        _ => text.push_str(&format!(
            ", since {}",
            switch["since"].as_str().unwrap_or_default()
        )),
    }
    if let Some(until) = switch["until"].as_str() {
        text.push_str(&format!(" until {until} ({} s)", switch["ends_in_s"]));
    }
    if switch["applies"] == false {
        text.push_str("; nothing that is served is meant by it");
    }
    text
}

fn status(answer: &Value) -> String {
    let switches = answer["switches"].as_array().map_or(&[][..], Vec::as_slice);
    if switches.is_empty() {
        return "nothing is switched: every tenant's WAF is as its document says".to_owned();
    }
    switches.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn changed(answer: &Value) -> String {
    let mut lines = Vec::new();
    if answer["event"] == "waf_switch_cleared" {
        lines.push(match answer["changed"].as_bool() {
            Some(true) => format!("{} is on again", about(answer)),
            _ => format!("{} was not switched here", about(answer)),
        });
    }
    lines.extend(answer["in_effect"].as_array().into_iter().flatten().map(one));
    if answer["kept"] == false && answer["changed"] == true {
        lines.push(
            "not kept over a restart of the proxy: it has no node.state_dir, or cannot write there"
                .to_owned(),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(
            ["90s", "15m", "1h", "7d"].map(|text| seconds(text).unwrap()),
            [90, 900, 3600, 604_800]
        );
        for wrong in ["", "90", "h", "1w", "1.5h", "-1h", "99999999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
