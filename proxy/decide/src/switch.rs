//! Kill switches of the WAF: what an operator has taken from it beside what tenants' documents say. A switch only ever takes;
//! nothing here makes the WAF refuse more.

use std::collections::HashMap;
use std::sync::Arc;

use weir_schema::config::checked::WafMode;
use weir_schema::ids::TenantId;

/// What is switched, for all tenants and for each that has an own switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WafSwitches {
    all: Switched,
    /// With what is switched for all.
    tenants: HashMap<TenantId, Switched>,
}

/// What is switched for a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switched {
    /// The most that a verdict does; `None` leaves it to the tenant's document.
    pub mode_max: Option<WafMode>,
    /// Ids of rules that do not run, in order; `None` when there is none.
    pub rules_off: Option<Arc<[u64]>>,
}

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WafSwitch {
    /// The most that a verdict does.
    ModeMax(WafMode),
    /// A rule that does not run.
    RuleOff(u64),
}

impl Switched {
    /// The mode that counts, of a tenant whose document says `mode`.
    pub fn mode(&self, mode: WafMode) -> WafMode {
        self.mode_max.map_or(mode, |max| lower(mode, max))
    }

    fn is_empty(&self) -> bool {
        self.mode_max.is_none() && self.rules_off.is_none()
    }

    fn of(switches: &[WafSwitch]) -> Self {
        let mut rules_off = Vec::new();
        let mut mode_max = None;
        for switch in switches {
            match switch {
                WafSwitch::ModeMax(WafMode::Block) => {}
                WafSwitch::ModeMax(max) => mode_max = Some(mode_max.map_or(*max, |mode| lower(mode, *max))),
                WafSwitch::RuleOff(id) => rules_off.push(*id),
            }
        }
        rules_off.sort_unstable();
        rules_off.dedup();
        Self {
            mode_max,
            rules_off: (!rules_off.is_empty()).then(|| rules_off.into()),
        }
    }
}

/// The one that does less.
fn lower(one: WafMode, other: WafMode) -> WafMode {
    match (one, other) {
        (WafMode::Off, _) | (_, WafMode::Off) => WafMode::Off,
        (WafMode::Detect, _) | (_, WafMode::Detect) => WafMode::Detect,
        (WafMode::Block, WafMode::Block) => WafMode::Block,
    }
}

impl WafSwitches {
    /// Sums up switches; one without a tenant is for all.
    pub fn new(switches: impl IntoIterator<Item = (Option<TenantId>, WafSwitch)>) -> Self {
        let mut by_tenant: HashMap<Option<TenantId>, Vec<WafSwitch>> = HashMap::new();
        for (tenant, switch) in switches {
            by_tenant.entry(tenant).or_default().push(switch);
        }
        let all = by_tenant.remove(&None).unwrap_or_default();
        let tenants = by_tenant.into_iter().filter_map(|(tenant, mut own)| {
            own.extend_from_slice(&all);
            Some((tenant?, Switched::of(&own)))
        });
        Self {
            tenants: tenants.collect(),
            all: Switched::of(&all),
        }
    }

    /// Whether nothing is switched.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.tenants.values().all(Switched::is_empty)
    }

    /// What is switched for a tenant; `None` for nothing.
    pub fn of(&self, tenant: &TenantId) -> Option<&Switched> {
        let switched = self.tenants.get(tenant).unwrap_or(&self.all);
        (!switched.is_empty()).then_some(switched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::new(id).unwrap()
    }

    #[test]
    fn switches_of_all_and_of_one_add_up_and_only_take() {
        let shop = || Some(tenant("shop"));
        let switches = WafSwitches::new([
            (None, WafSwitch::RuleOff(7)),
            (shop(), WafSwitch::RuleOff(5)),
            (shop(), WafSwitch::RuleOff(7)),
            (None, WafSwitch::ModeMax(WafMode::Detect)),
            (shop(), WafSwitch::ModeMax(WafMode::Block)),
        ]);
        let of_shop = switches.of(&tenant("shop")).unwrap();
        assert_eq!(of_shop.rules_off.as_deref(), Some(&[5, 7][..]));
        assert_eq!(of_shop.mode(WafMode::Block), WafMode::Detect);
        assert_eq!(of_shop.mode(WafMode::Off), WafMode::Off);
        let others = switches.of(&tenant("blog")).unwrap();
        assert_eq!(others.rules_off.as_deref(), Some(&[7][..]));
    }

    #[test]
    fn nothing_is_switched_for_others_than_the_one() {
        let switches = WafSwitches::new([(Some(tenant("shop")), WafSwitch::ModeMax(WafMode::Off))]);
        assert!(switches.of(&tenant("blog")).is_none());
        assert_eq!(
            switches.of(&tenant("shop")).unwrap().mode(WafMode::Detect),
            WafMode::Off
        );
        assert!(WafSwitches::new([(None, WafSwitch::ModeMax(WafMode::Block))]).is_empty());
    }
}
