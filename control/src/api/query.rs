//! The query of a request: names that the route knows, once each, in their bounds.

use axum::extract::Query as Pairs;
use http::Uri;

use super::problem::Problem;
use super::route::{Param, ParamKind, Route};

/// Tries a change without making it.
pub(super) const DRY_RUN: Param = Param {
    name: "dry_run",
    kind: ParamKind::Flag,
    about: "Try the change without making it.",
};

/// A query that was checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    pub(super) fn read(route: &Route, uri: &Uri) -> Result<Self, Problem> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::parameter("query", "it cannot be read: write name=value&name=value"))?;
        let mut query = Self::default();
        for (name, value) in pairs.0 {
            let known = route
                .query
                .iter()
                .chain(route.writes().then_some(&DRY_RUN))
                .find(|param| param.name == name);
            let known = known.ok_or_else(|| Problem::parameter(&name, "there is no such parameter here"))?;
            if query.text(known.name).is_some() {
                return Err(Problem::parameter(&name, "it is given twice"));
            }
            check(known, &value)?;
            query.0.push((name, value));
        }
        Ok(query)
    }

    /// A parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// An integer.
    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// A flag.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// The query with another `after`.
    pub(super) fn after(&self, after: &str) -> String {
        let kept = self.0.iter().filter(|(name, _)| name != "after");
        let pairs = kept.map(|(name, value)| format!("{name}={}", encode(value)));
        pairs
            .chain([format!("after={}", encode(after))])
            .collect::<Vec<_>>()
            .join("&")
    }
}

fn check(param: &Param, value: &str) -> Result<(), Problem> {
    let wrong = match param.kind {
        ParamKind::Flag => (!matches!(value, "true" | "false")).then(|| "true or false".to_owned()),
        ParamKind::Integer(least, greatest) => {
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let fits = digits
                && value
                    .parse::<u64>()
                    .is_ok_and(|number| (least..=greatest).contains(&number));
            (!fits).then(|| format!("an integer from {least} to {greatest}"))
        }
        ParamKind::Text(chars) => {
            let fits = (1..=chars).contains(&value.chars().count());
            (!fits).then(|| format!("1 to {chars} characters"))
        }
    };
    wrong.map_or(Ok(()), |right| {
        Err(Problem::parameter(param.name, format!("it must be {right}")))
    })
}

/// Percent-encoding of all but the unreserved characters (RFC 3986 section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
