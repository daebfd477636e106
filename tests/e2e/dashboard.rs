//! The dashboard in a real Chromium, with 10,000 tenants and two real proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use weir_control::api::{Api, ApiAddress, ApiOptions, ApiParts, ApiServer};
use weir_control::dashboard::{self, CostSheet, Costs, Guard, Level, Levels, Live, Parts, ServiceLevels};
use weir_control::dashboard::{TenantCost, TenantLevel, TierLevel, Urgency};
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::frame::{Entry, Frame, StatusClass};
use weir_schema::telemetry::record::Outcome;
use weir_tests::chromium::Chromium;
use weir_tests::control::Control;
use weir_tests::weir::Weir;

const TENANTS: u32 = 10_000;
const REGIONS: [&str; 3] = ["ap", "eu", "us"];
/// Requests of each second: one of each tenant and region, and those of the busiest.
const PER_SECOND: u64 = 3 * (TENANTS as u64 - 1 + BUSIEST);
const BUSIEST: u64 = 2_000;

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    u64::try_from(now.as_millis()).expect("milliseconds")
}

fn name(place: u32) -> String {
    format!("shop-{place:05}")
}

fn entry(place: u32, second: u64) -> Entry {
    let mut entry = Entry::new(&name(place), if place.is_multiple_of(2) { "api" } else { "site" });
    let requests = if place == 42 { BUSIEST } else { 1 };
    let refused = if place == 42 { 40 } else { 0 };
    let failed = u64::from(place % 500 == 7 && second.is_multiple_of(3));
    let mut ended = |class, outcome, count| entry.requests.add((class, outcome), count);
    ended(StatusClass::ServerError, Outcome::Answered, failed);
    ended(StatusClass::ClientError, Outcome::Refused, refused);
    ended(
        StatusClass::Successful,
        Outcome::Answered,
        requests - refused - failed,
    );
    entry.refusals.add(RefusalCode::LimitTenant, refused / 2);
    entry.refusals.add(RefusalCode::GeoBlocked, refused - refused / 2);
    for step in 0..requests - refused {
        let spread = u32::try_from((step * 7919 + second * 31) % 9000).expect("small");
        entry.latency.record(2000 + spread);
    }
    entry.cpu_ns = requests * 70_000;
    entry.waf_ns = requests * 21_000;
    (entry.bytes_in, entry.bytes_out) = (requests * 900, requests * 14_000);
    entry
}

/// What all tenants do in the three kinds of seconds that there are.
fn frames() -> [Frame; 3] {
    [0, 1, 2].map(|second| Frame {
        entries: (0..TENANTS).map(|place| entry(place, second)).collect(),
        ..Frame::default()
    })
}

/// Counts a second in each region.
fn feed(live: &Live, frames: &mut [Frame; 3], second: u64) {
    let frame = &mut frames[second as usize % 3];
    (frame.from_ms, frame.to_ms) = (second * 1000, second * 1000 + 999);
    for region in REGIONS {
        live.count(region, frame, now_ms());
    }
}

/// Budgets and costs as their engines would have them.
struct Known;

impl ServiceLevels for Known {
    fn levels(&self) -> Arc<Levels> {
        let level = |target_ppm, left_ppm, burn| Level {
            target_ppm,
            left_ppm,
            burn_5m_milli: burn,
            burn_1h_milli: burn,
        };
        let tiers = [
            ("starter", 999_000),
            ("professional", 999_500),
            ("enterprise", 999_900),
        ];
        let tenants = (0..TENANTS).map(|place| {
            let (tier, target) = tiers[place as usize % 3];
            let bad = place % 500 == 7;
            let left = if bad { -20_000 } else { 910_000 };
            let level = TenantLevel {
                tier,
                availability: level(target, left, if bad { 16_000 } else { 200 }),
                latency: level(target, 970_000, 100),
                alert: bad.then_some(Urgency::Page),
            };
            (name(place).into(), level)
        });
        let tiers = tiers.map(|(tier, target)| TierLevel {
            tier,
            availability: level(target, 880_000, 350),
            latency: level(target, 965_000, 120),
        });
        Arc::new(Levels {
            tenants: tenants.collect(),
            tiers: tiers.to_vec(),
        })
    }
}

impl Costs for Known {
    fn costs(&self) -> Arc<CostSheet> {
        let tenants = (0..TENANTS).map(|place| {
            let today_nano = if place == 42 { 61_500_000_000 } else { 810_000_000 };
            let cost = TenantCost {
                today_nano,
                budget_today_nano: Some(1_000_000_000),
                month_nano: today_nano * 20,
                budget_month_nano: Some(30_000_000_000),
                forecast_month_nano: Some(today_nano * 29),
            };
            (name(place).into(), cost)
        });
        Arc::new(CostSheet {
            currency: "USD",
            tenants: tenants.collect(),
        })
    }
}

/// Control with its dashboard, figures that come each second, and two proxies.
struct Bed {
    runtime: Runtime,
    api: Arc<Api>,
    parts: Parts,
    token: String,
    fed: Arc<AtomicBool>,
    feeding: Option<JoinHandle<()>>,
    // Before control, so that they end first.
    _proxies: Vec<(Weir, TempDir)>,
    _control: Control,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.fed.store(false, Ordering::Relaxed);
        if let Some(feeding) = self.feeding.take() {
            // It says itself what failed in it.
            let _ = feeding.join();
        }
    }
}

fn proxies(control: &Control) -> Vec<(Weir, TempDir)> {
    let edge = json!({
        "version": 1,
        "node": { "workers": 1 },
        "regions": REGIONS.map(|id| json!({"id": id})),
        "listeners": [ { "id": "web", "address": "127.0.0.1:0" } ],
    });
    let revision = control.apply(&[("edge", edge)]);
    let started = ["eu", "us"].map(|region| {
        let (node, state) = (format!("{region}-1"), TempDir::new().expect("a folder"));
        let token = control.join(&node, region);
        let weir = Weir::start_controlled(&control.url(), &token, state.path(), &[]);
        control.wait_served(&node, revision);
        (weir, state)
    });
    started.into()
}

impl Bed {
    fn start() -> Self {
        let control = Control::start();
        let proxies = proxies(&control);
        let api = Api::new(ApiParts {
            store: Arc::clone(&control.store),
            versions: Arc::clone(&control.versions),
            fleet: Arc::clone(&control.fleet),
            rollouts: Arc::clone(&control.rollouts),
            pinned: None,
        });
        let api = api.expect("an API");
        control
            .block_on(api.tokens().bootstrap(control.folder(), now_ms()))
            .expect("a token");
        let token = std::fs::read_to_string(control.folder().join("admin.token")).expect("a token");
        let live = Arc::new(Live::new(now_ms() - 90_000));
        let now_s = now_ms() / 1000;
        let mut frames = frames();
        (now_s - 75..now_s).for_each(|second| feed(&live, &mut frames, second));
        let fed = Arc::new(AtomicBool::new(true));
        let (fed_live, go_on) = (Arc::clone(&live), Arc::clone(&fed));
        let feeding = std::thread::spawn(move || {
            let mut next = now_s;
            while go_on.load(Ordering::Relaxed) {
                while next < now_ms() / 1000 {
                    feed(&fed_live, &mut frames, next);
                    next += 1;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let parts = Parts {
            live,
            store: Arc::clone(&control.store),
            versions: Arc::clone(&control.versions),
            fleet: Arc::clone(&control.fleet),
            rollouts: Arc::clone(&control.rollouts),
            guard: Arc::clone(&api) as Arc<dyn Guard>,
            levels: Some(Arc::new(Known)),
            costs: Some(Arc::new(Known)),
        };
        Self {
            runtime: Runtime::new().expect("a runtime"),
            api,
            parts,
            token: token.trim().to_owned(),
            fed,
            feeding: Some(feeding),
            _proxies: proxies,
            _control: control,
        }
    }

    /// Serves until the sender goes.
    fn serve(&self, port: u16) -> (SocketAddr, watch::Sender<bool>) {
        let options = ApiOptions {
            address: ApiAddress::Tcp(([127, 0, 0, 1], port).into()),
            certificate: None,
            plain: false,
        };
        let server = self.runtime.block_on(ApiServer::bind(&options, &self.api));
        let server = server
            .expect("a listener")
            .beside(dashboard::router(self.parts.clone()));
        let address = server.address().expect("an address").expect("one of TCP");
        let (end, ending) = watch::channel(false);
        self.runtime.spawn(server.run(ending));
        (address, end)
    }
}

fn text(browser: &mut Chromium, id: &str) -> String {
    let text = browser.eval(&format!("document.getElementById('{id}').innerText"));
    text.as_str().expect("a text").to_owned()
}

fn sign_in(browser: &mut Chromium, token: &str) {
    browser.wait("document.activeElement.id === 'token'");
    browser.type_text(token);
    browser.press("Enter", 13);
}

#[test]
fn the_dashboard_works_in_chromium_with_10_000_tenants() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let browser = &mut browser;
    let bed = Bed::start();
    let (address, end) = bed.serve(0);
    let url = format!("http://{address}/");
    let size = json!({"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
    browser.call("Emulation.setDeviceMetricsOverride", size);
    browser.go(&url);
    assert!(text(browser, "status").contains("Not signed in"));
    sign_in(browser, &bed.token);
    browser.wait("document.getElementById('status').innerText === 'Live'");
    browser.wait("document.querySelectorAll('#tenants tbody tr').length === 25");
    figures_are_right(browser);
    tenants_are_found(browser);
    keyboard_reaches_all(browser);
    names_are_there(browser);
    looks_are_right(browser);
    nothing_went_wrong(browser, &url, &bed.token);
    picture(browser);
    drop(end);
    let _end = connections_come_back(browser, &bed, address);
    wrong_tokens_are_told(browser);
}

fn figures_are_right(browser: &mut Chromium) {
    // A machine with other work may feed late: it comes right.
    let (low, high) = (PER_SECOND as f64 * 0.9e-3, PER_SECOND as f64 * 1.1e-3);
    browser.wait(&format!(
        "(rate => rate > {low} && rate < {high})(Number(document.querySelector('.tile[aria-label=\"Requests\"] .value').innerText.replace(' k/s', '')))"
    ));
    let curve = browser.eval("document.querySelector('.tile svg').getAttribute('aria-label')");
    assert!(
        curve.as_str().expect("a text").contains("most 35,997/s"),
        "{curve}"
    );
    let refusals = text(browser, "refusals");
    assert!(
        refusals.contains("geo_blocked") && refusals.contains("limit_tenant"),
        "{refusals}"
    );
    for (id, wanted) in [
        ("regions", "ap\t0 of 0"),
        ("slo", "enterprise\t3,333\t88 %\t0.35×\t96.5 %\t0.12×"),
        ("slo", "shop-00007\tprofessional\t-2 %\t16×"),
        ("cost", "USD 8,160.69"),
        ("cost", "shop-00042\tUSD 61.50\tUSD 1.00"),
        ("proxies", "2 of 2 connected, 0 behind; newest revision 1"),
        ("proxies", "eu-1\teu\tconnected for"),
        ("rollout", "Revision 1 "),
        ("talkers", "shop-00042"),
        ("talkers", "Rules and countries are not counted here"),
        ("events", "version.publish"),
    ] {
        let shown = text(browser, id).replace('\u{a0}', " ");
        assert!(shown.contains(wanted), "{id} lacks {wanted:?}: {shown}");
    }
}

fn first_tenant(name: &str) -> String {
    format!("document.querySelector('#tenants tbody th')?.innerText === '{name}'")
}

fn tenants_are_found(browser: &mut Chromium) {
    browser.wait(&first_tenant("shop-00042"));
    assert!(text(browser, "tenants-found").starts_with("10,000 of 10,000 tenants"));
    browser.eval("document.getElementById('sort').value = 'name'; document.getElementById('sort').dispatchEvent(new Event('change'))");
    browser.wait(&first_tenant("shop-00000"));
    browser.eval("document.getElementById('next').focus()");
    browser.press("Enter", 13);
    browser.wait(&first_tenant("shop-00025"));
    assert_eq!(
        browser.eval("document.activeElement.id"),
        "next",
        "the focus stays"
    );
    browser.eval("document.getElementById('previous').click()");
    browser.wait(&first_tenant("shop-00000"));
    browser.eval("document.getElementById('q').focus()");
    browser.type_text("09999");
    browser.wait(&first_tenant("shop-09999"));
    assert!(text(browser, "tenants-found").starts_with("1 of 10,000 tenants"));
    browser.eval(
        "document.getElementById('q').value = 'nobody'; document.getElementById('search').requestSubmit()",
    );
    browser.wait("document.getElementById('tenants').innerText.includes('No tenant fits.')");
    browser.eval("document.getElementById('q').value = ''; document.getElementById('sort').value = 'requests'; document.getElementById('search').requestSubmit()");
    browser.wait(&first_tenant("shop-00042"));
}

fn keyboard_reaches_all(browser: &mut Chromium) {
    browser.eval(
        "document.activeElement.blur(); window.getSelection().removeAllRanges(); window.scrollTo(0, 0)",
    );
    let mut reached = BTreeSet::new();
    for _ in 0..60 {
        browser.press("Tab", 9);
        let place = browser.eval(
            "(e => { const s = getComputedStyle(e); return [e.id || e.className || e.tagName, e.matches(':focus-visible') && s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2] })(document.activeElement)",
        );
        let name = place[0].as_str().expect("a name").to_owned();
        if name != "BODY" {
            assert_eq!(place[1], true, "the focus is seen at {name}");
        }
        reached.insert(name);
    }
    for id in [
        "skip", "span", "theme", "pause", "sign-out", "frame", "q", "sort", "previous", "next",
    ] {
        assert!(reached.contains(id), "Tab does not come to {id}: {reached:?}");
    }
    browser.eval("document.getElementById('pause').focus()");
    browser.press("Enter", 13);
    browser.wait("document.getElementById('status').innerText.startsWith('Paused')");
    let before = text(browser, "proxies");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(
        text(browser, "proxies"),
        before,
        "nothing moves while it is paused"
    );
    browser.press("Enter", 13);
    browser.wait("document.getElementById('status').innerText === 'Live'");
}

fn names_are_there(browser: &mut Chromium) {
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let mut roles: BTreeMap<String, u32> = BTreeMap::new();
    for node in tree["nodes"].as_array().expect("nodes") {
        if node["ignored"] == true {
            continue;
        }
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        *roles.entry(role.to_owned()).or_default() += 1;
        let named = [
            "button",
            "combobox",
            "searchbox",
            "textbox",
            "link",
            "region",
            "table",
            "img",
            "image",
            "navigation",
        ];
        let named = named.contains(&role) && !(role == "navigation" && name.is_empty());
        assert!(
            !named || !name.trim().is_empty(),
            "a {role} without a name: {node}"
        );
    }
    let wanted = [
        ("banner", 1),
        ("main", 1),
        ("search", 1),
        ("navigation", 1),
        ("region", 10),
        ("table", 8),
        ("columnheader", 40),
        ("rowheader", 30),
        ("status", 2),
        ("heading", 10),
    ];
    for (role, least) in wanted {
        assert!(
            roles.get(role).copied().unwrap_or(0) >= least,
            "few of {role}: {roles:?}"
        );
    }
}

/// The least contrast of texts with their grounds, by WCAG 2.2.
const CONTRAST: &str = "(() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = channels(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; } return [255, 255, 255]; };
  let least = 21;
  for (const e of document.querySelectorAll('h1, h2, h3, p, th, td, caption, label, button, select, .bad, .warn, .good')) {
    if (!e.checkVisibility() || !e.textContent.trim() || e.getAttribute('aria-disabled') === 'true') continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(ground(e))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
})()";

fn looks_are_right(browser: &mut Chromium) {
    let mut grounds = BTreeSet::new();
    for scheme in ["light", "dark"] {
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": features}));
        let contrast = browser.eval(CONTRAST).as_f64().expect("a ratio");
        assert!(contrast >= 4.5, "{scheme}: a contrast of {contrast}");
        let ground = browser.eval("getComputedStyle(document.body).backgroundColor");
        grounds.insert(ground.to_string());
        let moves = browser.eval("getComputedStyle(document.getElementById('board')).transitionDuration");
        assert_eq!(moves, "0s");
    }
    assert_eq!(grounds.len(), 2, "light and dark differ");
    for width in [360, 800] {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let needed = browser.eval("document.documentElement.scrollWidth");
        assert!(
            needed.as_u64().is_some_and(|needed| needed <= width),
            "{width}: {needed}"
        );
    }
    browser.call("Emulation.setEmulatedMedia", json!({"features": []}));
}

fn nothing_went_wrong(browser: &mut Chromium, url: &str, token: &str) {
    let errors = browser.events(&["Runtime.exceptionThrown"]);
    assert!(errors.is_empty(), "{errors:?}");
    let said = browser.events(&["Log.entryAdded", "Runtime.consoleAPICalled"]);
    assert!(said.is_empty(), "{said:?}");
    let requests = browser.events(&["Network.requestWillBeSent"]);
    assert!(requests.len() > 10);
    for request in requests {
        let asked = request["request"]["url"].as_str().expect("a URL");
        assert!(asked.starts_with(url), "a foreign request: {asked}");
        assert!(!asked.contains(token), "the token is in an address");
    }
    let cookies = browser.call("Network.getCookies", json!({}));
    assert_eq!(cookies["cookies"], json!([]));
    assert_eq!(browser.eval("sessionStorage.getItem('weir-token')"), token);
}

/// With WEIR_UPDATE=1 the picture in docs/ is taken anew.
fn picture(browser: &mut Chromium) {
    if std::env::var_os("WEIR_UPDATE").is_none() {
        return;
    }
    let size = json!({"width": 1400, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
    browser.call("Emulation.setDeviceMetricsOverride", size);
    browser.eval("document.activeElement.blur(); window.scrollTo(0, 0)");
    let features = json!([{"name": "prefers-color-scheme", "value": "light"}]);
    browser.call("Emulation.setEmulatedMedia", json!({"features": features}));
    let clip = json!({"x": 0, "y": 0, "width": 1400, "height": 1400, "scale": 0.7});
    let taken = browser.call(
        "Page.captureScreenshot",
        json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
    );
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(taken["data"].as_str().expect("a picture"))
        .expect("base64");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dashboard.png");
    std::fs::write(file, &bytes).expect("written");
    assert!(bytes.len() < 300_000, "{} bytes", bytes.len());
}

fn connections_come_back(browser: &mut Chromium, bed: &Bed, address: SocketAddr) -> watch::Sender<bool> {
    browser.wait("document.getElementById('status').innerText.startsWith('Connection lost')");
    let said = text(browser, "status");
    assert!(said.contains("The figures are of "), "{said}");
    assert_eq!(
        browser.eval("document.getElementById('board').hidden"),
        false,
        "what was shown stays"
    );
    let (_, end) = bed.serve(address.port());
    browser.wait("document.getElementById('status').innerText === 'Live'");
    let kept = browser.eval("document.querySelector('#tenants tbody th').innerText");
    assert_eq!(kept, Value::from("shop-00042"));
    end
}

fn wrong_tokens_are_told(browser: &mut Chromium) {
    browser
        .eval("if (!document.getElementById('sign-out').hidden) document.getElementById('sign-out').click()");
    assert_eq!(browser.eval("sessionStorage.getItem('weir-token')"), Value::Null);
    sign_in(browser, "weir_0123456789abcdef_wrong");
    browser.wait("document.getElementById('sign-in-error').innerText.includes('wrong, revoked or expired')");
    assert_eq!(browser.eval("document.getElementById('board').hidden"), true);
}
