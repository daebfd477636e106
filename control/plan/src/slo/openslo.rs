//! Objectives as OpenSLO v1 documents (`apiVersion: openslo/v1`, kind `SLO`): JSON, which is YAML too.

use serde_json::{Value, json};

use weir_schema::telemetry::names::SLO_EVENTS;

use super::objective::{Kind, MILLION, Objectives};
use super::window::BUDGET_DAYS;

/// One document per objective of a tenant, over the metrics that [`super::prometheus::exposition`] writes. `data_source` is the
/// name of a Prometheus in the reader's tools.
pub fn documents(tenant: &str, objectives: &Objectives, data_source: &str) -> Vec<Value> {
    Kind::ALL
        .map(|kind| document(tenant, objectives, kind, data_source))
        .into()
}

fn document(tenant: &str, objectives: &Objectives, kind: Kind, data_source: &str) -> Value {
    let metric = |outcome: &str| {
        let tenant = Value::from(tenant);
        let query = format!(
            "sum({}{{tenant={tenant},objective=\"{}\"{outcome}}})",
            SLO_EVENTS.name,
            kind.as_str()
        );
        json!({ "metricSource": { "type": "Prometheus", "metricSourceRef": data_source, "spec": { "query": query } } })
    };
    let description = match kind {
        Kind::Availability => "Requests that are answered.".to_owned(),
        Kind::Latency => format!("Requests that are answered within {} ms.", objectives.latency_ms),
    };
    let good = MILLION - objectives.target(kind).bad_ppm();
    json!({
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": { "name": format!("{tenant}-{}", kind.as_str()), "displayName": format!("{tenant}: {}", kind.as_str()) },
        "spec": {
            "description": description,
            "service": tenant,
            "indicator": {
                "metadata": { "name": format!("{tenant}-{}", kind.as_str()) },
                "spec": { "ratioMetric": { "counter": true, "good": metric(",outcome=\"good\""), "total": metric("") } },
            },
            "timeWindow": [{ "duration": format!("{BUDGET_DAYS}d"), "isRolling": true }],
            "budgetingMethod": "Occurrences",
            "objectives": [{ "displayName": description, "target": good as f64 / MILLION as f64 }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Tier;

    #[test]
    fn a_tenant_has_a_document_per_objective() {
        let documents = documents("acme", &Tier::Professional.objectives(), "prometheus");
        assert_eq!(documents.len(), 2);
        let spec = &documents[1]["spec"];
        assert_eq!(spec["objectives"][0]["target"], 0.9995);
        assert_eq!(spec["description"], "Requests that are answered within 500 ms.");
        assert_eq!(
            spec["indicator"]["spec"]["ratioMetric"]["good"]["metricSource"]["spec"]["query"],
            "sum(weir_slo_events_total{tenant=\"acme\",objective=\"latency\",outcome=\"good\"})"
        );
    }
}
