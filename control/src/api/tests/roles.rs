//! Who may call what: every route with every role and every scope. What is expected is worked out here from what each row of the
//! table says, on requests that name things of one tenant and one region.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::route::{BodyKind, Route, Scoped};
use super::super::routes::ROUTES;
use super::{Bed, proxy, scope};
use crate::auth::{Role, Scope};

/// A request of a route, and the tenant or region that it is about.
struct Example {
    target: String,
    body: Option<Value>,
    tenant: Option<&'static str>,
    region: Option<&'static str>,
}

/// The requests of a route, one for each kind of thing that it can be about.
fn examples(route: &Route) -> Vec<Example> {
    let example = |target: &str, body: Option<Value>, tenant, region| {
        vec![Example {
            target: target.to_owned(),
            body,
            tenant,
            region,
        }]
    };
    let path = route.path.replace("{id}", "p1").replace("{revision}", "1");
    match (route.scope, route.id) {
        (Scoped::Any | Scoped::Everything, _) => example(&path, body_of(route.id), None, None),
        (Scoped::Path, _) => [
            ("edge", None, None),
            ("files/a", None, None),
            ("tenants/acme", Some("acme"), None),
            ("edge/eu", None, Some("eu")),
        ]
        .into_iter()
        .map(|(at, tenant, region)| Example {
            target: format!("/v1/config/{at}"),
            body: Some(json!({})),
            tenant,
            region,
        })
        .collect(),
        (Scoped::Region, "proxy.create") => example(&path, proxy("p2", "eu"), None, Some("eu")),
        (Scoped::Region, _) => example(&path, None, None, Some("eu")),
        (Scoped::Tenant, id) => example(&path.replace("{tenant}", "acme"), body_of(id), Some("acme"), None),
        (Scoped::Subject, "tenant.create") => example(&path, body_of("tenant.put"), Some("acme"), None),
        (Scoped::Subject, "config.change") => {
            let change = |at: &str| Some(json!({"put": {at: {}}}));
            let mut all = example(&path, change("edge"), None, None);
            all.extend(example(&path, change("tenants/acme"), Some("acme"), None));
            all.extend(example(&path, change("edge/eu"), None, Some("eu")));
            all
        }
        (Scoped::Subject, _) => {
            let mut all = example(&path, None, None, None);
            all.extend(example(
                &format!("{path}?subject=tenant/acme"),
                None,
                Some("acme"),
                None,
            ));
            all
        }
    }
}

fn kind(route: &Route) -> (&'static str, &'static str) {
    let merge = matches!(route.body, BodyKind::MergePatch);
    (
        "content-type",
        if merge {
            "application/merge-patch+json"
        } else {
            "application/json"
        },
    )
}

fn body_of(id: &str) -> Option<Value> {
    match id {
        "token.create" => Some(json!({"role": "read", "tenants": [], "regions": []})),
        "version.rollback" | "rollout_policy.change" => Some(json!({})),
        "tier.put" => Some(super::tenants::tier(29)),
        "tenant.put" => Some(json!({"id": "acme", "tenant": {}})),
        "tenant.patch" => Some(json!({})),
        "tenant.migrate" => Some(json!({"region": "us"})),
        _ => None,
    }
}

/// Whether a token may: the role reaches, and what the request is about is in the scope.
fn may(route: &Route, example: &Example, role: Role, scope: &Scope) -> bool {
    let reaches = match (route.scope, example.tenant, example.region) {
        (Scoped::Any, ..) => true,
        (_, Some(tenant), _) => scope.tenants.has(tenant),
        (_, _, Some(region)) => scope.regions.has(region),
        _ => scope.is_all(),
    };
    role >= route.role && reaches
}

#[tokio::test]
async fn every_route_allows_what_its_row_says_and_nothing_else() {
    let bed = Bed::new().await;
    assert_eq!(
        bed.admin("POST /v1/proxies", &[], proxy("p1", "eu")).await.status,
        201
    );
    let scopes = [
        Scope::ALL,
        scope(&["acme"], &["eu"]),
        scope(&["other"], &["us"]),
        scope(&["*"], &[]),
        scope(&[], &["*"]),
        scope(&[], &[]),
    ];
    let mut cases = 0;
    for role in Role::ALL {
        for scope in &scopes {
            let token = bed.token(role, scope.clone()).await;
            for route in ROUTES {
                for example in examples(route) {
                    let sign = if example.target.contains('?') { '&' } else { '?' };
                    let dry_run = if route.writes() {
                        format!("{sign}dry_run=true")
                    } else {
                        String::new()
                    };
                    let line = format!(
                        "{} {}{dry_run}",
                        route.verb.as_str().to_uppercase(),
                        example.target
                    );
                    let got = bed
                        .ask(
                            &token,
                            &line,
                            &[("if-match", "*"), kind(route)],
                            example.body.clone(),
                        )
                        .await;
                    let allowed = may(route, &example, role, scope);
                    let refused = got.problem() == (403, "forbidden");
                    assert!(
                        got.status != 401 && got.status < 500 && got.status != 429,
                        "{line}: {got:?}"
                    );
                    assert_eq!(refused, !allowed, "{line} as {role:?} over {scope:?}: {got:?}");
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
    println!("{cases} cases of {} routes", ROUTES.len());
}

#[tokio::test]
async fn nothing_is_answered_without_a_token() {
    let bed = Bed::new().await;
    for route in ROUTES {
        for example in examples(route) {
            let line = format!("{} {}", route.verb.as_str().to_uppercase(), example.target);
            let got = bed.ask("", &line, &[], example.body).await;
            assert_eq!(got.problem(), (401, "unauthorized"), "{line}");
            assert_eq!(got.header("www-authenticate"), "Bearer realm=\"weir\"");
        }
    }
}

#[test]
fn rows_differ_and_say_what_they_are() {
    let ids: BTreeSet<&str> = ROUTES.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), ROUTES.len());
    for route in ROUTES {
        assert!(
            route.path.starts_with("/v1/") && !route.summary.is_empty(),
            "{}",
            route.id
        );
        // Nobody who may only look changes anything.
        assert!(!route.writes() || route.role > Role::Read, "{}", route.id);
    }
}
