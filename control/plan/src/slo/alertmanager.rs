//! The body of `POST /api/v2/alerts` of Alertmanager (its OpenAPI 2.0 file, `postableAlerts`).
//!
//! Alertmanager knows an alert by its labels. A firing one is posted again and again, each time with an end that lies some
//! minutes ahead: when the control process dies, its alerts end by themselves instead of standing for ever.

use serde_json::{Map, Value, json};

use super::alert::Alert;
use super::when::rfc3339;

/// How long Alertmanager believes in a firing alert of which it hears nothing.
pub const VALID_S: u64 = 300;

/// How often a firing alert should be posted again.
pub const REPEAT_S: u64 = 60;

/// The body. `origin` is the address of the control process as a browser finds it, without a slash at its end.
pub fn payload<'a>(alerts: impl IntoIterator<Item = &'a Alert>, origin: &str, now_s: u64) -> Value {
    alerts
        .into_iter()
        .map(|alert| one(alert, origin, now_s))
        .collect()
}

fn one(alert: &Alert, origin: &str, now_s: u64) -> Value {
    let labels: Map<String, Value> = alert
        .label_pairs()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    json!({
        "labels": labels,
        "annotations": annotations(alert),
        "startsAt": rfc3339(alert.started_s),
        "endsAt": rfc3339(alert.ended_s.unwrap_or(now_s + VALID_S)),
        "generatorURL": generator_url(alert, origin),
    })
}

/// Texts for a person, and figures that may change while the alert is the same.
pub(super) fn annotations(alert: &Alert) -> Value {
    let [long, short] = alert
        .burn_milli
        .map(|milli| format!("{}.{:03}", milli / 1000, milli % 1000));
    json!({ "summary": alert.summary(), "burn_rate": long, "burn_rate_short": short })
}

/// Where more is to be seen.
pub(super) fn generator_url(alert: &Alert, origin: &str) -> String {
    let objective = alert.objective.as_str();
    match &alert.labels.tenant {
        Some(tenant) => format!(
            "{origin}/slo?tenant={}&objective={objective}",
            percent_encoded(tenant)
        ),
        None => format!("{origin}/slo?objective={objective}"),
    }
}

/// As a part of a query (RFC 3986 section 2.3: what is not unreserved is encoded).
fn percent_encoded(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::super::correlate::tests::alert;
    use super::*;

    #[test]
    fn a_firing_alert_ends_ahead_and_a_resolved_one_when_it_did() {
        let mut alert = alert("a b/ü", Some("eu"), 0);
        let body = payload([&alert], "https://control.test", 1_764_071_553);
        assert_eq!(body[0]["endsAt"], "2025-11-25T11:57:33Z");
        assert_eq!(
            body[0]["generatorURL"],
            "https://control.test/slo?tenant=a%20b%2F%C3%BC&objective=availability"
        );
        alert.ended_s = Some(1_764_071_500);
        assert_eq!(
            payload([&alert], "", 1_764_071_553)[0]["endsAt"],
            "2025-11-25T11:51:40Z"
        );
        assert_eq!(
            body[0]["labels"],
            json!({
                "alertname": "WeirBudgetBurn1h", "objective": "availability", "region": "eu", "revision": "7",
                "severity": "page", "tenant": "a b/ü", "window": "1h",
            })
        );
    }
}
