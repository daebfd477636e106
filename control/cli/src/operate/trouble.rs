//! Why a command was not done.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::table::plain;
use crate::commands::{INVALID, SYSTEM, USAGE, complain, print};

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was given cannot be: sentences.
    Invalid(Vec<String>),
    /// Control refused, with its problem document (RFC 9457).
    Refused(Value),
    /// The system, the network, or control itself failed.
    System(String),
    /// The command was called in a way that has no meaning.
    Usage(String),
}

impl Trouble {
    /// What control answered with a status that is no success.
    pub(super) fn answered(status: u16, problem: Value) -> Self {
        match status {
            429 | 500.. => Self::System(format!("control answered {status}: {}", detail(&problem))),
            _ => Self::Refused(problem),
        }
    }

    /// The stable code of a refusal.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => problem["type"].as_str()?.strip_prefix("urn:weir:problem:"),
            _ => None,
        }
    }

    /// Tells it, and gives the exit code.
    pub(crate) fn tell(&self, as_json: bool) -> ExitCode {
        let code = ExitCode::from(match self {
            Self::Invalid(_) | Self::Refused(_) => INVALID,
            Self::System(_) => SYSTEM,
            Self::Usage(_) => USAGE,
        });
        if as_json {
            print(&self.json().to_string());
            return code;
        }
        for line in self.lines() {
            complain(&format!("weir: {line}"));
        }
        code
    }

    fn json(&self) -> Value {
        if let Self::Refused(problem) = self {
            let mut about = problem.clone();
            if let Some(members) = about.as_object_mut() {
                members.remove("errors");
            }
            let mut value = json!({"problem": about});
            value["errors"] = match problem["errors"].as_array() {
                Some(faults) => faults
                    .iter()
                    .map(|fault| json!({"message": fault["detail"], "pointer": fault["pointer"], "code": fault["code"]}))
                    .collect(),
                None => json!([{"message": detail(problem)}]),
            };
            return value;
        }
        let errors = self.lines().into_iter().map(|line| json!({"message": line}));
        json!({"errors": errors.collect::<Vec<_>>()})
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Invalid(reasons) => reasons.clone(),
            Self::System(reason) | Self::Usage(reason) => vec![reason.clone()],
            Self::Refused(problem) => {
                let faults = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
                if faults.is_empty() {
                    return vec![detail(problem)];
                }
                faults.iter().map(fault).collect()
            }
        }
    }
}

fn fault(fault: &Value) -> String {
    let text = |name: &str| fault[name].as_str().filter(|text| !text.is_empty()).map(plain);
    let told = text("detail").unwrap_or_default();
    match text("pointer").or_else(|| text("parameter")) {
        Some(at) => format!("{at}: {told}"),
        None => told,
    }
}

fn detail(problem: &Value) -> String {
    let text = problem["detail"].as_str().or_else(|| problem["title"].as_str());
    text.map_or_else(|| "control refused it, and did not say why".to_owned(), plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_refusal_is_told_with_its_place() {
        let refused = Trouble::answered(
            422,
            json!({"type": "urn:weir:problem:invalid", "detail": "/a: wrong",
                "errors": [{"pointer": "/a", "detail": "wrong"}, {"detail": "also\u{1b}[2J"}]}),
        );
        assert_eq!(refused.code(), Some("invalid"));
        assert_eq!(refused.lines(), ["/a: wrong", "also\u{fffd}[2J"]);
        assert_eq!(refused.json()["errors"][1]["message"], "also\u{1b}[2J");
        assert!(matches!(Trouble::answered(503, Value::Null), Trouble::System(_)));
    }
}
