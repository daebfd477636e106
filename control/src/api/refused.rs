//! Refusals of versions as problems.

use serde_json::Value;

use super::problem::{Code, Fault, Problem};
use crate::versions::Refused;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Conflict { .. } => Self::new(Code::PreconditionFailed, text),
            Refused::Invalid(reasons) => Self::faults(Code::Invalid, reasons.iter().map(fault).collect()),
            Refused::NoVersion(_) => Self::new(Code::NotFound, text),
            Refused::Same(_) => Self::new(Code::Conflict, text),
            Refused::Store(error) => error.into(),
            Refused::TooLarge => Self::new(Code::TooLarge, text),
        }
    }
}

fn fault(reason: &Value) -> Fault {
    let text = |name: &str| reason[name].as_str().map(str::to_owned);
    let message = text("message").unwrap_or_else(|| reason.to_string());
    let hint = text("hint").map(|hint| format!("; {hint}")).unwrap_or_default();
    let path = text("path")
        .filter(|path| !path.is_empty())
        .map(|path| format!("{path}: "))
        .unwrap_or_default();
    Fault {
        pointer: text("pointer"),
        parameter: None,
        detail: format!("{path}{message}{hint}"),
        code: text("code"),
    }
}
