//! One kill switch of the WAF as an operator sets it, as it is kept, and as it is shown.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use weir_decide::switch::WafSwitch;
use weir_schema::config::checked::WafMode;
use weir_schema::ids::TenantId;

use crate::clock;

/// Whose WAF a switch is about.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Every tenant's.
    All,
    /// One tenant's.
    #[serde(deserialize_with = "tenant_id")]
    Tenant(TenantId),
}

fn tenant_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TenantId, D::Error> {
    let text = String::deserialize(deserializer)?;
    TenantId::new(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "a tenant's id has 1 to {} bytes of a-z A-Z 0-9 . _ -",
            TenantId::BYTES_MAX
        ))
    })
}

impl Scope {
    /// The tenant; `None` for all.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::All => None,
            Self::Tenant(id) => Some(id),
        }
    }
}

/// What a switch leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    /// Matches are recorded, nothing is refused.
    Detect,
    /// Nothing: the rule, or the WAF, does not run.
    Off,
}

/// One switch. No two have the same scope and rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Switch {
    /// Whose WAF.
    pub(crate) scope: Scope,
    /// Which rule of it; `None` for the WAF as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<u64>,
    /// What is left; of a rule always [`Position::Off`].
    pub(crate) mode: Position,
    /// When it was set, milliseconds since the Unix epoch.
    pub(crate) since_unix_ms: u64,
    /// When it ends by itself; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_unix_ms: Option<u64>,
}

impl Switch {
    /// Whether both are about the same.
    pub(crate) fn is_about(&self, scope: &Scope, rule: Option<u64>) -> bool {
        self.scope == *scope && self.rule == rule
    }

    /// Whether its time is over.
    pub(crate) fn has_ended(&self, unix_ms: u64) -> bool {
        self.until_unix_ms.is_some_and(|until| until <= unix_ms)
    }

    /// As the request path needs it.
    pub(crate) fn effect(&self) -> (Option<TenantId>, WafSwitch) {
        let switch = match (self.rule, self.mode) {
            (Some(id), _) => WafSwitch::RuleOff(id),
            (None, Position::Detect) => WafSwitch::ModeMax(WafMode::Detect),
            (None, Position::Off) => WafSwitch::ModeMax(WafMode::Off),
        };
        (self.scope.tenant().cloned(), switch)
    }

    /// Label of `weir_waf_switches`; one of [`KINDS`].
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.scope, self.rule) {
            (Scope::All, None) => "all",
            (Scope::All, Some(_)) => "rule",
            (Scope::Tenant(_), None) => "tenant",
            (Scope::Tenant(_), Some(_)) => "tenant_rule",
        }
    }

    /// For `GET /waf` and events.
    pub(crate) fn shown(&self, unix_ms: u64) -> Value {
        let mut shown = json!({
            "scope": self.scope,
            "rule": self.rule,
            "mode": self.mode,
            "set_by": "admin",
            "since": clock::rfc3339(self.since_unix_ms),
        });
        if let (Some(until), Some(members)) = (self.until_unix_ms, shown.as_object_mut()) {
            members.insert("until".to_owned(), clock::rfc3339(until).into());
            let left_s = until.saturating_sub(unix_ms).div_ceil(1000);
            members.insert("ends_in_s".to_owned(), left_s.into());
        }
        shown
    }
}

/// Every [`Switch::kind`].
pub(crate) const KINDS: [&str; 4] = ["all", "tenant", "rule", "tenant_rule"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_reads_as_it_is_written() {
        let switch = Switch {
            scope: Scope::Tenant(TenantId::new("shop").unwrap()),
            rule: Some(942_100),
            mode: Position::Off,
            since_unix_ms: 5,
            until_unix_ms: None,
        };
        let text = serde_json::to_string(&switch).unwrap();
        assert_eq!(
            text,
            r#"{"scope":{"tenant":"shop"},"rule":942100,"mode":"off","since_unix_ms":5}"#
        );
        assert_eq!(serde_json::from_str::<Switch>(&text).unwrap(), switch);
        assert!(serde_json::from_str::<Scope>(r#"{"tenant":"no tenant"}"#).is_err());
    }

    #[test]
    fn every_kind_is_listed() {
        let shop = Scope::Tenant(TenantId::new("shop").unwrap());
        for (scope, rule) in [
            (Scope::All, None),
            (Scope::All, Some(1)),
            (shop.clone(), None),
            (shop, Some(1)),
        ] {
            let switch = Switch {
                scope,
                rule,
                mode: Position::Off,
                since_unix_ms: 0,
                until_unix_ms: None,
            };
            assert!(KINDS.contains(&switch.kind()));
        }
    }
}
