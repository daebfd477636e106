//! The data as the page sees it, without a socket.

use std::collections::BTreeSet;

use axum::response::IntoResponse as _;
use http::StatusCode;
use http::request::Parts as Head;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use weir_schema::codes::RefusalCode;
use weir_schema::push::ObjectHash;
use weir_schema::telemetry::frame::{Entry, Frame, StatusClass};
use weir_schema::telemetry::record::Outcome;

use super::*;
use crate::auth::{Names, Principal, Role};
use crate::push::{FrameSink, Hub, Keeping};
use crate::store::{Batch, NewEvent, SqliteOptions, SqliteStore};
use crate::versions::{Compiler, Tried};

const TENANTS: usize = 10_000;

struct Blind;

impl Compiler for Blind {
    fn check(
        &mut self,
        _index: &ObjectHash,
        _object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        Ok(Tried {
            warnings: vec![],
            quarantined: json!([]),
            diff: json!([]),
            compile_ms: 0,
        })
    }
}

struct NoFrames;

impl FrameSink for NoFrames {
    fn keep(&self, _node: &str, _region: &str, _frames: Vec<Value>) -> Keeping {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn only(name: &str) -> Names {
    Names::Only(BTreeSet::from([name.to_owned()]))
}

/// Lets `all`, `tenant` and `region` in.
struct Door;

impl Guard for Door {
    fn admit<'a>(&'a self, request: &'a Head) -> Admitting<'a> {
        Box::pin(async move {
            let name = request
                .headers
                .get("authorization")
                .map_or("", |name| name.to_str().unwrap());
            let scope = match name {
                "all" => Scope::ALL,
                "tenant" => Scope {
                    tenants: only("t00007"),
                    regions: Names::All,
                },
                "region" => Scope {
                    tenants: Names::All,
                    regions: only("eu"),
                },
                _ => return Err(StatusCode::UNAUTHORIZED.into_response()),
            };
            Ok(Arc::new(Principal {
                id: name.to_owned(),
                role: Role::Read,
                scope,
                expires_ms: None,
            }))
        })
    }

    fn is_still_valid(&self, _who: &Principal, _now_ms: u64) -> bool {
        true
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Response {
        let status = match refusal {
            Refusal::Failed => 500,
            Refusal::Parameter { .. } => 400,
            Refusal::TooManyWatchers => 503,
        };
        StatusCode::from_u16(status).unwrap().into_response()
    }
}

struct Known;

impl ServiceLevels for Known {
    fn levels(&self) -> Arc<Levels> {
        let level = |left_ppm| Level {
            target_ppm: 999_000,
            left_ppm,
            burn_5m_milli: 500,
            burn_1h_milli: 900,
        };
        let tenants = (0..TENANTS).map(|place| {
            let left = i64::try_from(place).unwrap() * 50 - 500;
            let level = TenantLevel {
                tier: "starter",
                availability: level(left),
                latency: level(1_000_000),
                alert: (place < 3).then_some(Urgency::Page),
            };
            (format!("t{place:05}").into(), level)
        });
        Arc::new(Levels {
            tiers: vec![TierLevel {
                tier: "starter",
                availability: level(900_000),
                latency: level(900_000),
            }],
            tenants: tenants.collect(),
        })
    }
}

impl Costs for Known {
    fn costs(&self) -> Arc<CostSheet> {
        let tenants = (0..TENANTS).map(|place| {
            let today_nano = i64::try_from(place).unwrap() * 1_000_000;
            let cost = TenantCost {
                today_nano,
                budget_today_nano: Some(9_000_000_000),
                month_nano: today_nano,
                ..TenantCost::default()
            };
            (format!("t{place:05}").into(), cost)
        });
        Arc::new(CostSheet {
            currency: "USD",
            tenants: tenants.collect(),
        })
    }
}

fn entry(place: usize, name: String) -> Entry {
    let requests = place as u64 % 100 + 1;
    let mut entry = Entry::new(&name, "a-route-with-a-rather-long-name-that-takes-room");
    entry
        .requests
        .add((StatusClass::Successful, Outcome::Answered), requests);
    for (at, code) in RefusalCode::ALL.iter().enumerate() {
        let count = if place == 0 { at as u64 + 1 } else { 0 };
        entry.refusals.add(*code, count);
        entry
            .requests
            .add((StatusClass::ClientError, Outcome::Refused), count);
    }
    (0..requests).for_each(|step| entry.latency.record(1000 + 300 * u32::try_from(step).unwrap()));
    entry.cpu_ns = requests * 50_000;
    entry
}

struct Bed {
    router: Router,
    store: Arc<dyn Store>,
    live: Arc<Live>,
    _folder: tempfile::TempDir,
}

impl Bed {
    async fn new(known: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::new(folder.path())).unwrap());
        let versions = Versions::open(Arc::clone(&store), Box::new(Blind), 1)
            .await
            .unwrap();
        let (versions, fleet) = (Arc::new(versions), Arc::new(Fleet::default()));
        let hub = Hub::new(
            Arc::clone(&store),
            Arc::clone(&versions),
            Arc::new(NoFrames),
            Arc::clone(&fleet),
        );
        let rollouts = Rollouts::open(Arc::clone(&store), Arc::clone(&versions), Arc::new(hub)).unwrap();
        let live = Arc::new(Live::new(clock::unix_ms() - 60_000));
        let router = router(Parts {
            live: Arc::clone(&live),
            store: Arc::clone(&store),
            versions,
            fleet,
            rollouts: Arc::new(rollouts),
            guard: Arc::new(Door),
            levels: known.then(|| Arc::new(Known) as Arc<dyn ServiceLevels>),
            costs: known.then(|| Arc::new(Known) as Arc<dyn Costs>),
        });
        Self {
            router,
            store,
            live,
            _folder: folder,
        }
    }

    /// One second of 10,000 tenants in two regions.
    fn feed(&self) {
        let now_ms = clock::unix_ms();
        for region in ["eu", "us"] {
            let frame = Frame {
                from_ms: now_ms - 4000,
                to_ms: now_ms - 3000,
                entries: (0..TENANTS)
                    .map(|place| entry(place, format!("t{place:05}")))
                    .collect(),
                ..Frame::default()
            };
            self.live.count(region, &frame, now_ms);
        }
    }

    async fn ask(&self, who: &str, target: &str) -> Response {
        let request = Request::get(target).header("authorization", who);
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, who: &str, target: &str) -> Value {
        let response = self.ask(who, target).await;
        assert_eq!(response.status(), 200, "{target}");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(text.len() < 100_000, "{target}: {} bytes", text.len());
        serde_json::from_slice(&text).unwrap()
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["tenant"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_overview_is_small_and_right_at_10_000_tenants() {
    let bed = Bed::new(true).await;
    bed.feed();
    let long = "x".repeat(500);
    for _ in 0..20 {
        let event = NewEvent {
            actor: long.clone(),
            action: long.clone(),
            subject: long.clone(),
            from: String::new(),
            result: long.clone(),
            detail: json!({}),
        };
        bed.store.commit(Batch::at(1).event(event)).await.unwrap();
    }
    let overview = bed.get("all", "/v1/overview").await;
    let minute = &overview["traffic"]["minute"];
    let codes = RefusalCode::ALL.len() as u64;
    let answered = 2 * 100 * 5050;
    assert_eq!(minute["answered"], answered);
    assert_eq!(minute["requests"], answered + codes * (codes + 1));
    assert_eq!(
        overview["refusals"].as_array().unwrap().len(),
        RefusalCode::ALL.len()
    );
    assert_eq!(overview["refusals"][0]["minute"], 2 * codes);
    assert_eq!(overview["regions"].as_array().unwrap().len(), 2);
    let series = overview["traffic"]["seconds"].as_array().unwrap();
    let sum: u64 = series
        .iter()
        .map(|second| second["requests"].as_u64().unwrap())
        .sum();
    assert_eq!((series.len(), Value::from(sum)), (60, minute["requests"].clone()));
    assert_eq!(names(&overview["talkers"]["tenants"])[..2], ["t00000", "t00099"]);
    assert_eq!(overview["talkers"]["routes"].as_array().unwrap().len(), 10);
    assert_eq!(overview["slo"]["tiers"][0]["tenants"], TENANTS);
    assert_eq!(overview["slo"]["tiers"][0]["spent"], 11);
    assert_eq!(names(&overview["slo"]["worst"])[..2], ["t00000", "t00001"]);
    assert_eq!(overview["cost"]["over_total"], 999);
    assert_eq!(names(&overview["cost"]["over"])[0], "t09999");
    assert_eq!(overview["events"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn a_token_of_a_tenant_or_region_sees_no_other() {
    let bed = Bed::new(true).await;
    bed.feed();
    let tenant = bed.get("tenant", "/v1/overview").await;
    assert_eq!(tenant["traffic"]["minute"]["requests"], 16);
    assert_eq!(tenant["traffic"]["seconds"], Value::Null);
    assert_eq!(names(&tenant["talkers"]["tenants"]), ["t00007"]);
    assert_eq!(names(&tenant["talkers"]["routes"]), ["t00007"]);
    assert_eq!(names(&tenant["slo"]["worst"]), ["t00007"]);
    assert_eq!(tenant["slo"]["tiers"][0]["availability"], Value::Null);
    assert_eq!(tenant["cost"]["today_nano"], 7_000_000);
    assert_eq!(tenant["hidden"], json!(["rollout", "events"]));
    assert_eq!(
        names(&bed.get("tenant", "/v1/overview/tenants").await["items"]),
        ["t00007"]
    );
    let region = bed.get("region", "/v1/overview").await;
    let all = bed.get("all", "/v1/overview").await;
    let requests = |of: &Value| of["traffic"]["minute"]["requests"].as_u64().unwrap();
    assert_eq!(requests(&region) * 2, requests(&all));
    assert_eq!(region["regions"].as_array().unwrap().len(), 1);
    let text = tenant.to_string();
    assert!(!text.contains("t00008") && !text.contains("t00000"), "{text}");
}

#[tokio::test]
async fn tenants_are_searched_sorted_and_paged_without_a_gap() {
    let bed = Bed::new(true).await;
    bed.feed();
    for sort in ["requests", "name", "budget", "cost", "latency", "error_rate"] {
        let (mut seen, mut after) = (BTreeSet::new(), String::new());
        let mut last = Vec::new();
        loop {
            let target = format!("/v1/overview/tenants?q=T009&limit=30&sort={sort}&after={after}");
            let page = bed.get("all", &target).await;
            assert_eq!((&page["found"], &page["total"]), (&json!(100), &json!(TENANTS)));
            last.extend(names(&page["items"]).into_iter().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        seen.extend(last.iter().cloned());
        assert_eq!((seen.len(), last.len()), (100, 100), "{sort}");
        let first = match sort {
            "requests" | "cost" | "latency" => "t00999",
            _ => "t00900",
        };
        assert_eq!(last[0], first, "{sort}");
    }
    for wrong in [
        "sort=x",
        "limit=0",
        "limit=101",
        "after=x",
        "other=1",
        &format!("q={}", "x".repeat(601)),
    ] {
        let response = bed.ask("all", &format!("/v1/overview/tenants?{wrong}")).await;
        assert_eq!(response.status(), 400, "{wrong}");
    }
}

#[tokio::test]
async fn nothing_but_the_page_is_served_without_a_token() {
    let bed = Bed::new(false).await;
    for target in ["/v1/overview", "/v1/overview/tenants", "/v1/overview/watch"] {
        assert_eq!(bed.ask("", target).await.status(), 401, "{target}");
    }
    let page = bed.ask("", "/dashboard/").await;
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(!page.headers().contains_key("set-cookie"));
    assert_eq!(bed.ask("", "/").await.headers()["location"], "/dashboard/");
}

#[tokio::test]
async fn what_nobody_computes_is_said_to_be_missing_and_not_zero() {
    let bed = Bed::new(false).await;
    let overview = bed.get("all", "/v1/overview").await;
    for part in ["slo", "cost", "rollout", "frame_ms"] {
        assert_eq!(overview[part], Value::Null, "{part}");
    }
    assert_eq!(overview["traffic"]["minute"]["latency"], Value::Null);
}

#[tokio::test]
async fn watchers_get_an_overview_each_second_and_are_bounded() {
    let bed = Bed::new(false).await;
    let mut all = Vec::new();
    for _ in 0..WATCHERS_MAX {
        all.push(bed.ask("all", "/v1/overview/watch").await);
    }
    assert_eq!(bed.ask("all", "/v1/overview/watch").await.status(), 503);
    let mut body = all.pop().unwrap().into_body();
    let mut times = Vec::new();
    for _ in 0..2 {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(event.to_vec()).unwrap();
        let data = text.strip_prefix("event: overview\ndata: ").unwrap();
        let overview: Value = serde_json::from_str(data.trim_end()).unwrap();
        times.push(overview["now_ms"].as_u64().unwrap());
    }
    assert!(times[1] >= times[0] + 800, "{times:?}");
    drop((body, all));
    let deadline = clock::unix_ms() + 10_000;
    while bed.ask("all", "/v1/overview/watch").await.status() != 200 {
        assert!(
            clock::unix_ms() < deadline,
            "watchers that went keep their places"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
