//! The commands that ask control, with real processes: `weir control`, `weir proxy`, and `weir` as an operator calls it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::h1::H1;
use weir_tests::operator::Operator;
use weir_tests::origin::Origin;
use weir_tests::pki::Authority;
use weir_tests::wait::wait_for;
use weir_tests::weir::{Weir, run};

/// Control, its operator, and a folder for documents.
struct Bed {
    control: Weir,
    operator: Operator,
    origin: Origin,
    folder: TempDir,
}

impl Bed {
    fn start() -> Self {
        Self::start_with(&["--api", "127.0.0.1:0"])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("weir-operator-").unwrap();
        let data = folder.path().join("data");
        let control = Weir::start_control(&data, arguments);
        let api = match arguments {
            ["--api", path] if path.contains('/') => (*path).to_owned(),
            _ => format!("http://{}", control.address("api")),
        };
        Self {
            operator: Operator::of(api, &data),
            control,
            origin: Origin::start(),
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a document, as JSON, which is YAML.
    fn document(&self, tenants: &[Value]) -> String {
        let document = json!({
            "version": 1,
            "node": { "workers": 1 },
            "regions": [ { "id": "eu" } ],
            "listeners": [ { "id": "web", "address": "127.0.0.1:0" } ],
            "pools": [ { "id": "app", "endpoints": [ self.origin.address().to_string() ] } ],
            "rule_sets": [ { "id": "own", "files": ["rules/own.conf"] } ],
            "tenants": tenants,
        });
        self.write("doc/weir.yaml", &document.to_string())
    }

    fn rule(&self, word: &str) {
        let rule = format!("SecRule ARGS \"@streq {word}\" \"id:1,phase:2,deny,status:403\"\n");
        self.write("doc/rules/own.conf", &rule);
    }

    /// A version is watched for no longer than it has to be.
    fn roll_out_at_once(&self) {
        let policy = self.write("policy.json", "{\"bake_ms\": 0, \"emergency_bake_ms\": 0}");
        self.operator
            .run(&["rollouts", "policy", "set", "-f", &policy])
            .ends(0);
    }

    /// Lets a proxy in with a token that the command made, and starts it.
    fn proxy(&self, name: &str) -> Weir {
        let join = self
            .operator
            .run(&["proxies", "create", name, "--region", "eu"])
            .ends(0);
        let url = format!("https://{}", self.control.address("push"));
        let state = self.folder.path().join(name);
        Weir::start_controlled(&url, join.out.trim(), &state, &[])
    }
}

fn tenant(id: &str) -> Value {
    json!({ "id": id, "hosts": [format!("{id}.test")], "waf": { "rule_set": "own", "mode": "block" },
        "routes": [ { "id": "all", "pool": "app" } ] })
}

fn status(weir: &Weir, host: &str, target: &str) -> u16 {
    let mut client = H1::connect(weir.address("web"));
    client
        .roundtrip(format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .status
}

#[test]
fn a_document_with_its_rules_and_certificate_is_applied_changed_and_rolled_back() {
    let bed = Bed::start();
    let operator = &bed.operator;
    bed.roll_out_at_once();
    let proxy = bed.proxy("eu-1");
    let identity = Authority::new("an authority").issue(&["a.test"]);
    let certificate = bed.write("elsewhere/a.pem", &identity.cert_pem);
    bed.write("doc/a.key", &identity.key_pem);
    bed.rule("bad");
    let mut a = tenant("a");
    a["tls"] = json!({ "certificates": [ { "cert_file": certificate, "key_file": "a.key" } ] });
    let document = bed.document(&[a.clone(), tenant("b")]);

    let planned = operator.run(&["plan", "-f", &document, "--exit-code"]).ends(4);
    for line in [
        "+ edge\n",
        "+ tenants/a\n",
        "+ files/rules/own.conf\n",
        "+ files/a.key\n",
        "it would be revision 1",
    ] {
        assert!(planned.out.contains(line), "{planned:?}");
    }
    assert_eq!(
        operator.json(&["versions", "list"]),
        json!({"items": []}),
        "nothing was published"
    );
    let applied = operator.run(&["apply", "-f", &document, "--wait"]).ends(0);
    assert!(
        applied.out.contains("revision 1 is served by 1 connected proxy"),
        "{applied:?}"
    );
    assert_eq!(
        (status(&proxy, "a.test", "/?x=bad"), status(&proxy, "b.test", "/")),
        (403, 200)
    );
    let again = operator.json(&["apply", "-f", &document, "--no-wait"]);
    assert_eq!((&again["outcome"], &again["sent"]), (&json!("same"), &json!(0)));
    operator.run(&["plan", "-f", &document, "--exit-code"]).ends(0);

    bed.rule("evil");
    let document = bed.document(&[a]);
    let planned = operator.run(&["plan", "-f", &document]).ends(0);
    for line in ["~ files/rules/own.conf\n", "- tenants/b\n", "\n- tenant b\n"] {
        assert!(planned.out.contains(line), "{planned:?}");
    }
    let refused = operator.run(&["apply", "-f", &document]).ends(2);
    assert!(
        refused.err.contains("- tenants/b") && refused.err.contains("--yes"),
        "{refused:?}"
    );
    let applied = operator.json(&["apply", "-f", &document, "--yes", "--wait", "--note", "b leaves"]);
    assert_eq!(
        (&applied["outcome"], &applied["sent"]),
        (&json!("converged"), &json!(1))
    );
    assert_eq!(applied["removed"], json!(["tenants/b"]));
    assert_eq!(
        (
            status(&proxy, "a.test", "/?x=bad"),
            status(&proxy, "a.test", "/?x=evil"),
            status(&proxy, "b.test", "/")
        ),
        (200, 403, 404)
    );
    let versions = operator.json(&["versions", "list"]);
    assert_eq!(versions["items"][0]["note"], "b leaves");
    let differs = operator.run(&["diff", "1", "2"]).ends(0);
    assert!(differs.out.contains("-       tenants/b"), "{differs:?}");

    operator
        .run(&["rollback", "1", "--if-revision", "1", "--wait"])
        .ends(1);
    operator.run(&["rollback", "1", "--wait", "--emergency"]).ends(0);
    assert_eq!(
        (status(&proxy, "a.test", "/?x=bad"), status(&proxy, "b.test", "/")),
        (403, 200)
    );
    assert_eq!(operator.json(&["versions", "get", "3"])["rollback_to"], 1);
    let rollouts = operator.run(&["rollouts", "list"]).ends(0);
    assert_eq!(rollouts.out.matches(" done ").count(), 3, "{rollouts:?}");
}

#[test]
fn a_document_that_cannot_be_served_is_refused_with_all_its_reasons() {
    let bed = Bed::start();
    bed.rule("bad");
    let wrong = |id: &str| {
        let mut tenant = tenant(id);
        tenant["routes"][0]["pool"] = json!("nope");
        tenant
    };
    let document = bed.document(&[wrong("a"), wrong("b")]);
    let refused = bed.operator.run(&["apply", "-f", &document, "--wait"]).ends(1);
    for reason in [
        "/tenants/a/routes/0/pool: there is no pool `nope`",
        "/tenants/b/routes/0/pool: ",
    ] {
        assert!(refused.err.contains(reason), "{refused:?}");
    }
    assert_eq!(refused.out, "");
    let refused = bed
        .operator
        .run(&["plan", "-f", &document, "--output", "json"])
        .ends(1)
        .json();
    assert_eq!(refused["errors"].as_array().unwrap().len(), 2, "{refused}");
    assert_eq!(refused["problem"]["type"], "urn:weir:problem:invalid");

    let document = bed.document(&[tenant("a")]);
    bed.write("doc/rules/own.conf", "SecRule NOTHING \"@streq x\" \"id:1\"\n");
    let refused = bed.operator.run(&["apply", "-f", &document]).ends(1);
    assert!(refused.err.contains("own.conf"), "{refused:?}");
    assert_eq!(bed.operator.json(&["versions", "list"]), json!({"items": []}));
    bed.operator.run(&["apply", "-f", &bed.path("no.yaml")]).ends(3);
}

#[test]
fn a_version_that_proxies_refuse_is_told_with_their_reasons() {
    let bed = Bed::start();
    let operator = &bed.operator;
    bed.roll_out_at_once();
    let _proxy = bed.proxy("eu-1");
    bed.rule("bad");
    let document = bed.document(&[tenant("a")]);
    operator.run(&["apply", "-f", &document, "--wait"]).ends(0);
    // Control has no way to know that a proxy has no place for a listener.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = std::fs::read_to_string(&document).unwrap();
    std::fs::write(&document, text.replace("127.0.0.1:0", &address)).unwrap();
    let refused = operator.run(&["apply", "-f", &document, "--wait"]).ends(1);
    assert!(
        refused.err.contains("revision 2 was taken back: in eu"),
        "{refused:?}"
    );
    assert!(
        refused.err.contains("proxy/eu-1: ") && refused.err.contains(&address),
        "{refused:?}"
    );
    let versions = operator.json(&["versions", "list"]);
    assert_eq!(versions["items"][0]["rollback_to"], 1, "{versions}");
}

#[test]
fn nobody_who_serves_is_no_convergence() {
    let bed = Bed::start();
    bed.rule("bad");
    let document = bed.document(&[tenant("a")]);
    let alone = bed.operator.run(&["apply", "-f", &document, "--wait"]).ends(0);
    assert!(alone.out.contains("no proxy is connected"), "{alone:?}");
}

#[test]
fn a_tenant_lives_step_by_step_on_a_tier() {
    let bed = Bed::start();
    let operator = &bed.operator;
    bed.roll_out_at_once();
    let proxy = bed.proxy("eu-1");
    bed.rule("bad");
    let document = bed.document(&[tenant("a")]);
    operator.run(&["apply", "-f", &document, "--wait"]).ends(0);
    let standard = operator.run(&["tiers", "standard"]).ends(0);
    assert!(
        standard.out.contains("starter, professional, enterprise"),
        "{standard:?}"
    );
    let tiers = operator.run(&["tiers", "list"]).ends(0);
    assert!(tiers.out.contains("99.9500 %"), "{tiers:?}");

    let mut new = tenant("new");
    new["tier"] = json!("starter");
    let file = bed.write("new.json", &json!({ "tenant": new }).to_string());
    operator
        .run(&["tenants", "create", "new", "-f", &file, "--wait"])
        .ends(0);
    assert_eq!(status(&proxy, "new.test", "/"), 503, "it is pending");
    let wrong = operator.run(&["tenants", "suspend", "new"]).ends(1);
    assert!(wrong.err.contains("pending"), "{wrong:?}");
    for (steps, expected) in [
        (vec!["activate"], 200),
        (vec!["suspend"], 403),
        (vec!["resume"], 200),
        (vec!["delete", "--grace", "1h"], 410),
        (vec!["restore"], 200),
    ] {
        let arguments = [&["tenants"], &steps[..], &["new", "--wait"]].concat();
        operator.run(&arguments).ends(0);
        assert_eq!(status(&proxy, "new.test", "/"), expected, "{steps:?}");
    }
    let patch = bed.write(
        "patch.json",
        &json!({ "tenant": { "hosts": ["other.test"], "tier": null } }).to_string(),
    );
    operator
        .run(&["tenants", "patch", "new", "-f", &patch, "--wait"])
        .ends(0);
    assert_eq!(
        (status(&proxy, "new.test", "/"), status(&proxy, "other.test", "/")),
        (404, 200)
    );
    let listed = operator.run(&["tenants", "list"]).ends(0);
    assert!(listed.out.contains("other.test"), "{listed:?}");
    // A document that does not know the tenant leaves it, if it is told to.
    operator
        .run(&["apply", "-f", &document, "--keep", "--wait"])
        .ends(0);
    assert_eq!(status(&proxy, "other.test", "/"), 200);
}

#[test]
fn what_goes_on_is_shown_once_for_scripts() {
    let bed = Bed::start();
    bed.roll_out_at_once();
    let proxy = bed.proxy("eu-1");
    bed.rule("bad");
    let document = bed.document(&[tenant("a")]);
    bed.operator.run(&["apply", "-f", &document, "--wait"]).ends(0);
    assert_eq!(status(&proxy, "a.test", "/"), 200);
    let overview = wait_for("a frame with the request", || {
        let overview = bed.operator.json(&["top", "--once"]);
        (overview["traffic"]["minute"]["requests"].as_u64()? > 0).then_some(overview)
    });
    assert_eq!(overview["proxies"]["connected"], 1, "{overview}");
    let screen = bed.operator.run(&["top", "--once"]).ends(0);
    assert!(screen.out.contains("1 of 1 proxy connected"), "{screen:?}");
    assert!(screen.out.contains("\nTENANT  ROUTE  REQUESTS"), "{screen:?}");
    let usage = bed.operator.json(&["usage", "--sort", "cpu", "--search", "a"]);
    assert_eq!(
        (&usage["items"][0]["tenant"], &usage["items"][0]["requests"]),
        (&json!("a"), &json!(1))
    );
    assert_eq!(
        bed.operator.json(&["usage", "--search", "nobody"]),
        json!({"items": []})
    );
    let budgets = bed.operator.run(&["slo", "--exit-code"]).ends(0);
    assert!(budgets.out.starts_with("TENANT  TIER"), "{budgets:?}");
}

#[test]
fn shells_complete_the_commands_that_ask_control() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script) = run(&["completion", shell]);
        assert_eq!(code, Some(0));
        for word in ["rollouts", "if-revision", "token-file", "whoami"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_proxy_is_let_in_once_and_revoked() {
    let bed = Bed::start();
    let operator = &bed.operator;
    let out = bed.path("join");
    let created = operator
        .run(&["proxies", "create", "eu-1", "--region", "eu", "--out", &out])
        .ends(0);
    assert_eq!(created.out, "", "the token is in the file only");
    assert_eq!(
        std::fs::metadata(&out).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let url = format!("https://{}", bed.control.address("push"));
    let token = std::fs::read_to_string(&out).unwrap();
    let _proxy = Weir::start_controlled(&url, token.trim(), &bed.folder.path().join("state"), &[]);
    wait_for("the proxy", || {
        let listed = operator.run(&["proxies", "list"]).ends(0);
        listed.out.contains("connected").then_some(())
    });
    let twice = operator
        .run(&["proxies", "create", "eu-1", "--region", "eu"])
        .ends(1);
    assert!(twice.err.contains("already"), "{twice:?}");
    operator
        .run(&["proxies", "create", "eu-2", "--region", "eu", "--out", &out])
        .ends(3);
    let missing = operator.run(&["proxies", "get", "eu-2"]).ends(1);
    assert!(missing.err.contains("eu-2"), "nothing was made: {missing:?}");
    operator.run(&["proxies", "revoke", "eu-1"]).ends(0);
    assert_eq!(operator.json(&["proxies", "get", "eu-1"])["revoked"], true);
    let events = operator.json(&["events", "--action", "proxy.", "--subject", "proxy/eu-1"]);
    let actions: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["proxy.create", "proxy.revoke"]);
}

#[test]
fn events_are_followed_as_they_come() {
    let bed = Bed::start();
    let mut following = bed
        .operator
        .spawn(&["events", "--follow", "--since", "1h", "--output", "json"]);
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["action"], "signing_key.create");
    assert_eq!(next()["action"], "token.create");
    bed.operator
        .run(&["proxies", "create", "eu-1", "--region", "eu"])
        .ends(0);
    assert_eq!(next()["subject"], "proxy/eu-1");
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn a_token_may_do_what_it_was_made_for_until_it_is_revoked() {
    let bed = Bed::start();
    let reader = bed.path("reader");
    let made = bed
        .operator
        .run(&[
            "tokens", "create", "--role", "read", "--tenant", "a", "--for", "1h", "--out", &reader,
        ])
        .ends(0);
    assert_eq!(made.out, "");
    let limited = Operator {
        api: bed.operator.api.clone(),
        token: reader.into(),
    };
    let who = limited.json(&["tokens", "whoami"]);
    assert_eq!((&who["role"], &who["tenants"]), (&json!("read"), &json!(["a"])));
    let forbidden = limited.run(&["proxies", "create", "x", "--region", "eu"]).ends(1);
    assert!(forbidden.err.contains("operate"), "{forbidden:?}");
    let id = who["id"].as_str().unwrap();
    bed.operator.run(&["tokens", "revoke", id]).ends(0);
    let gone = limited.run(&["tokens", "whoami"]).ends(1);
    assert!(gone.err.contains("revoked"), "{gone:?}");
}

#[test]
fn single_paths_are_written_read_and_removed() {
    let bed = Bed::start();
    let operator = &bed.operator;
    bed.rule("bad");
    let document = bed.document(&[tenant("a")]);
    let applied = operator.run(&["apply", "-f", &document, "--no-wait"]).ends(0);
    assert!(
        applied.out.contains("revision 1 is published: 3 paths differ"),
        "{applied:?}"
    );
    let file = bed.write("b.json", &json!({ "tenant": tenant("b") }).to_string());
    operator
        .run(&["config", "put", "tenants/b", "-f", &file, "--no-wait"])
        .ends(0);
    assert_eq!(
        operator.json(&["config", "get", "tenants/b"])["document"]["tenant"]["id"],
        "b"
    );
    let listed = operator.json(&["config", "list", "--prefix", "tenants/"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    operator
        .run(&["config", "delete", "tenants/b", "--dry-run"])
        .ends(0);
    operator
        .run(&["config", "delete", "tenants/b", "--if-revision", "1"])
        .ends(1);
    operator
        .run(&["config", "delete", "tenants/b", "--no-wait"])
        .ends(0);
    operator.run(&["config", "get", "tenants/b"]).ends(1);
}

#[test]
fn control_is_asked_over_a_socket_and_over_tls_and_what_is_missing_is_told() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("api.sock").to_str().unwrap().to_owned();
    let bed = Bed::start_with(&["--api", &socket]);
    assert_eq!(bed.operator.json(&["tokens", "whoami"])["role"], "admin");
    let data = bed.path("data");
    let (code, said) = run(&["tokens", "whoami", "--api", &socket, "--data-dir", &data]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["tokens", "whoami", "--api", &socket]);
    assert!(code == Some(2) && said.contains("--token-file"), "{said}");
    let (code, said) = run(&[
        "tokens",
        "whoami",
        "--api",
        "http://127.0.0.1:1",
        "--data-dir",
        &data,
    ]);
    assert!(code == Some(3) && said.contains("is control running"), "{said}");

    let pki = Authority::new("an authority");
    let identity = pki.issue(&["localhost"]);
    let (chain, key) = (
        bed.write("api.pem", &identity.cert_pem),
        bed.write("api.key", &identity.key_pem),
    );
    let authority = bed.write("ca.pem", &pki.cert_pem());
    let data = bed.path("data2");
    let control = Weir::start_control(
        Path::new(&data),
        &["--api", "127.0.0.1:0", "--api-cert", &chain, "--api-key", &key],
    );
    let url = format!("https://localhost:{}", control.address("api").port());
    let operator = Operator::of(url, Path::new(&data));
    operator
        .run(&["tokens", "whoami", "--ca-file", &authority])
        .ends(0);
    let foreign = operator.run(&["tokens", "whoami"]).ends(3);
    assert!(foreign.err.contains("certificate"), "{foreign:?}");
}
