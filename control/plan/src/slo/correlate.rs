//! Which alerts belong together, and which are said by another already.

use std::collections::BTreeMap;

use super::alert::Alert;

/// What alerts can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Region.
    Region,
    /// Revision of the configuration: what a release broke is one message.
    Revision,
    /// Tenant.
    Tenant,
    /// Upstream pool.
    Upstream,
}

impl Dimension {
    /// Name of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Revision => "revision",
            Self::Tenant => "tenant",
            Self::Upstream => "upstream",
        }
    }
}

/// How alerts are grouped when nothing else is asked for.
pub const GROUP_BY: &[Dimension] = &[Dimension::Revision, Dimension::Region];

/// Alerts that are told in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// What they have in common; a label that they all lack is the empty text, as with Alertmanager.
    pub key: Vec<(Dimension, String)>,
    /// In the order in which they were given.
    pub alerts: Vec<&'a Alert>,
}

/// Groups alerts by some of their labels, the groups in the order of their keys.
pub fn groups<'a>(alerts: impl IntoIterator<Item = &'a Alert>, by: &[Dimension]) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<Vec<(Dimension, String)>, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        let value = |dimension: &Dimension| alert.label(dimension.as_str()).unwrap_or_default();
        let key = by
            .iter()
            .map(|dimension| (*dimension, value(dimension)))
            .collect();
        groups.entry(key).or_default().push(alert);
    }
    groups
        .into_iter()
        .map(|(key, alerts)| Group { key, alerts })
        .collect()
}

/// Whether a person who knows of `by` need not be told of `alert`: `by` fires for the same objective, is at least as urgent,
/// and is the page to a ticket of the same series, or covers more (all tenants of the region, or all tenants).
pub fn inhibits(by: &Alert, alert: &Alert) -> bool {
    if by.objective != alert.objective || by.ended_s.is_some() {
        return false;
    }
    if by.labels == alert.labels {
        return by.rule.severity > alert.rule.severity;
    }
    by.rule.severity >= alert.rule.severity && covers(by, alert)
}

/// The alerts that nothing inhibits, in the order in which they were given. Alerts that ended stay: who was told of their
/// beginning is told of their end.
pub fn uninhibited(alerts: &[Alert]) -> Vec<&Alert> {
    // Only wide alerts and pages of the same series can inhibit; there are few wide ones.
    let wide: Vec<&Alert> = alerts
        .iter()
        .filter(|alert| alert.labels.tenant.is_none())
        .collect();
    let mut pages: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        pages
            .entry((&alert.labels, alert.objective))
            .or_default()
            .push(alert);
    }
    let told = alerts.iter().filter(|alert| {
        let same = pages.get(&(&alert.labels, alert.objective)).into_iter().flatten();
        let mut others = wide.iter().chain(same);
        alert.ended_s.is_some() || !others.any(|by| inhibits(by, alert))
    });
    told.collect()
}

/// Whether every label that `wide` names is the same in `narrow`, which names a tenant that `wide` does not.
fn covers(wide: &Alert, narrow: &Alert) -> bool {
    let (wide, narrow) = (&wide.labels, &narrow.labels);
    let agrees = |ours: &Option<_>, theirs: &Option<_>| ours.is_none() || ours == theirs;
    let wider = wide.tenant.is_none()
        && (narrow.tenant.is_some() || wide.region.is_none() && narrow.region.is_some());
    wider && agrees(&wide.region, &narrow.region) && agrees(&wide.upstream, &narrow.upstream)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::super::alert::Labels;
    use super::super::objective::Kind;
    use super::super::window::RULES;
    use super::*;

    /// An alert of a tenant (none: the empty text) by the rule of that index.
    pub(in crate::slo) fn alert(tenant: &str, region: Option<&str>, rule: usize) -> Alert {
        Alert {
            labels: Arc::new(Labels {
                tenant: (!tenant.is_empty()).then(|| tenant.into()),
                region: region.map(Into::into),
                ..Labels::default()
            }),
            objective: Kind::Availability,
            rule: &RULES[rule],
            revision: 7,
            started_s: 60,
            ended_s: None,
            burn_milli: [1_000_000, 20_000],
        }
    }

    #[test]
    fn alerts_of_a_release_in_a_region_are_one_group() {
        let mut alerts = ["a", "b", "c"].map(|tenant| alert(tenant, Some("eu"), 0));
        alerts[1].labels = alert("b", Some("us"), 0).labels;
        let by_region = groups(&alerts, GROUP_BY);
        let tenants = |group: &Group<'_>| {
            let tenants = group.alerts.iter().map(|alert| alert.label("tenant").unwrap());
            tenants.collect::<String>()
        };
        assert_eq!(by_region.iter().map(tenants).collect::<Vec<_>>(), ["ac", "b"]);
        alerts[2].revision = 8;
        assert_eq!(groups(&alerts, GROUP_BY).len(), 3);
        assert_eq!(groups(&alerts, &[]).len(), 1);
        assert_eq!(
            groups(&alerts, &[Dimension::Upstream])[0].key,
            [(Dimension::Upstream, String::new())]
        );
    }

    #[test]
    fn a_ticket_is_inhibited_by_the_page_of_its_objective() {
        let (page, ticket) = (alert("a", Some("eu"), 0), alert("a", Some("eu"), 3));
        assert!(inhibits(&page, &ticket) && !inhibits(&ticket, &page));
        let mut other = ticket.clone();
        other.objective = Kind::Latency;
        assert!(!inhibits(&page, &other));
        assert!(!inhibits(&page, &alert("b", Some("eu"), 3)));
        let mut ended = page.clone();
        ended.ended_s = Some(9);
        assert!(!inhibits(&ended, &ticket));
        assert!(
            !inhibits(&page, &alert("a", Some("eu"), 1)),
            "two pages are two findings"
        );
    }

    #[test]
    fn a_tenant_is_inhibited_by_its_region_and_a_region_by_all() {
        let (tenant, region, all) = (
            alert("a", Some("eu"), 0),
            alert("", Some("eu"), 1),
            alert("", None, 0),
        );
        assert!(inhibits(&region, &tenant) && inhibits(&all, &tenant) && inhibits(&all, &region));
        assert!(!inhibits(&tenant, &region) && !inhibits(&region, &all));
        assert!(!inhibits(&alert("", Some("us"), 0), &tenant));
        assert!(
            !inhibits(&alert("", Some("eu"), 2), &tenant),
            "a ticket does not hide a page"
        );
        let alerts = [tenant.clone(), region.clone(), all.clone(), alert("b", None, 2)];
        assert_eq!(uninhibited(&alerts), [&all]);
        assert_eq!(uninhibited(&alerts[..2]), [&region]);
        let mut ended = tenant;
        ended.ended_s = Some(70);
        assert_eq!(uninhibited(&[ended.clone(), all.clone()]), [&ended, &all]);
    }
}
