//! The body that a webhook gets: one group of alerts, with what stands above them left out.

use serde_json::{Map, Value, json};

use super::alert::Alert;
use super::alertmanager::{annotations, generator_url};
use super::correlate::Group;
use super::when::rfc3339;

/// Version of the body's form.
pub const VERSION: u32 = 1;

/// Name of the field that carries the signature: `t=UNIX_SECONDS,v1=HEX`, HMAC-SHA256 over [`signed`].
pub const SIGNATURE_FIELD: &str = "weir-signature";

/// The body. `status` is `firing` while one of the group's alerts fires.
pub fn payload(group: &Group<'_>, origin: &str) -> Value {
    let firing = group.alerts.iter().any(|alert| alert.ended_s.is_none());
    let key: Map<String, Value> = group
        .key
        .iter()
        .map(|(dimension, value)| (dimension.as_str().to_owned(), value.clone().into()))
        .collect();
    json!({
        "version": VERSION,
        "group": key,
        "status": status(firing),
        "alerts": group.alerts.iter().map(|alert| one(alert, origin)).collect::<Vec<_>>(),
    })
}

/// What is signed: the time, a full stop, the body. The time is signed with it, so that an old message cannot be sent again.
pub fn signed(unix_s: u64, body: &[u8]) -> Vec<u8> {
    [unix_s.to_string().as_bytes(), b".", body].concat()
}

fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

fn one(alert: &Alert, origin: &str) -> Value {
    let labels: Map<String, Value> = alert
        .label_pairs()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    json!({
        "status": status(alert.ended_s.is_none()),
        "labels": labels,
        "annotations": annotations(alert),
        "starts_at": rfc3339(alert.started_s),
        "ends_at": alert.ended_s.map(rfc3339),
        "url": generator_url(alert, origin),
    })
}

#[cfg(test)]
mod tests {
    use super::super::correlate::tests::alert;
    use super::super::correlate::{Dimension, groups};
    use super::*;

    #[test]
    fn a_group_fires_while_one_of_its_alerts_does() {
        let (first, mut second) = (alert("a", Some("eu"), 0), alert("b", Some("eu"), 2));
        second.ended_s = Some(90);
        let groups = groups([&first, &second], &[Dimension::Revision, Dimension::Region]);
        let body = payload(&groups[0], "http://c");
        assert_eq!(body["group"], json!({ "revision": "7", "region": "eu" }));
        assert_eq!(
            (&body["status"], &body["alerts"][1]["status"]),
            (&json!("firing"), &json!("resolved"))
        );
        assert_eq!(body["alerts"][1]["ends_at"], "1970-01-01T00:01:30Z");
        assert_eq!(body["alerts"][0]["ends_at"], Value::Null);
        assert_eq!(signed(12, b"{}"), b"12.{}");
    }
}
