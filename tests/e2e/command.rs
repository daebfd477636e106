//! The command itself: what it prints, in both forms, and how it ends.

use serde_json::Value;
use tempfile::TempDir;
use weir_tests::config::Config;
use weir_tests::weir::run;

/// A folder with a document of this text; gives its path.
fn document(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("edge.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn good() -> String {
    Config::with_origin("127.0.0.1:9".parse().unwrap()).text()
}

fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, said) = run(&[arguments, &["--output", "json"]].concat());
    let value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"));
    (code, value)
}

const FAULTY: &str = "\
version: 1
listeners:
  - id: web
    address: 127.0.0.1
client:
  idle_timeout_ms: soon
pools:
  - id: app
    endpoints: [127.0.0.1:9]
tenants:
  - id: acme
    hosts: [acme.test]
    rotues: []
    routes:
      - id: all
        pool: ap
";

#[test]
fn a_check_tells_all_errors_with_their_place_and_what_would_be_valid() {
    let (_folder, path) = document(FAULTY);
    let (code, said) = run(&["config", "check", &path]);
    assert_eq!(code, Some(1), "{said}");
    for expected in [
        ":4:14: /listeners/0/address: ",
        ":6:20: /client/idle_timeout_ms: ",
        ":13:5: /tenants/0/rotues: ",
        "`routes`",
        ":16:15: /tenants/0/routes/0/pool: ",
        "`app`",
        "4 error(s)",
    ] {
        assert!(said.contains(expected), "{expected} is not in: {said}");
    }
    let (code, report) = json(&["config", "check", &path]);
    assert_eq!((code, &report["valid"]), (Some(1), &Value::Bool(false)));
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 4, "{report}");
    for error in errors {
        assert!(error["line"].is_u64() && error["column"].is_u64(), "{error}");
        assert!(
            error["pointer"].is_string() && error["message"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn a_check_of_a_good_document_succeeds_and_can_read_its_files_too() {
    let (folder, path) = document(&good());
    assert_eq!(run(&["config", "check", &path]).0, Some(0));
    assert_eq!(json(&["config", "check", &path]).1["valid"], true);
    let with_files = Config::with_origin("127.0.0.1:9".parse().unwrap())
        .with_tls("missing.pem", "missing.key")
        .set("/tenants/0/waf/rules", serde_json::json!(["broken.conf"]))
        .text();
    std::fs::write(
        folder.path().join("broken.conf"),
        "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n",
    )
    .unwrap();
    std::fs::write(&path, with_files).unwrap();
    assert_eq!(
        run(&["config", "check", &path]).0,
        Some(0),
        "the document is right"
    );
    let (code, said) = run(&["config", "check", "--files", &path]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("missing.pem") && said.contains("broken.conf:1:"),
        "{said}"
    );
    let (code, report) = json(&["config", "check", "--files", &path]);
    assert_eq!((code, &report["valid"]), (Some(1), &Value::Bool(false)));
    assert!(report.to_string().contains("missing.pem"), "{report}");
}

#[test]
fn every_command_answers_in_json_and_ends_with_its_code() {
    let (folder, path) = document(&good());
    let other = folder.path().join("new.yaml");
    std::fs::write(&other, good().replace("acme.test", "acme.example")).unwrap();
    let other = other.to_str().unwrap();
    let rules = folder.path().join("broken.conf");
    std::fs::write(&rules, "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n").unwrap();
    let rules = rules.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = Config::with_origin("127.0.0.1:9".parse().unwrap())
        .set("/admin/address", taken.local_addr().unwrap().to_string())
        .text();
    let (_busy_folder, busy) = document(&busy);
    let cases: &[(&[&str], i32)] = &[
        (&["config", "diff", &path, other], 0),
        (&["config", "diff", &path, "nowhere.yaml"], 3),
        (&["config", "check", "nowhere.yaml"], 3),
        (&["config", "schema"], 0),
        (&["config", "example"], 0),
        (&["rules", "check"], 0),
        (&["rules", "check", rules], 1),
        (&["rules", "check", "nowhere.conf"], 3),
        (&["up", "--upstream", "ftp://x"], 2),
        (&["proxy", "--config", "nowhere.yaml"], 3),
        (&["proxy", "--upgrade", "--admin", "127.0.0.1:9"], 3),
        (&["proxy", "--upgrade", "--config", &path], 2),
        (&["proxy", "--config", &busy], 3),
        (&["explain", "http://acme.test/", "--admin", "127.0.0.1:9"], 3),
    ];
    for (arguments, expected) in cases {
        let (code, value) = json(arguments);
        assert_eq!(code, Some(*expected), "{arguments:?}: {value}");
        if *expected == 3 || *expected == 2 {
            assert!(
                value["errors"][0]["message"].is_string(),
                "{arguments:?}: {value}"
            );
        }
    }
    assert_eq!(run(&["no-such-command"]).0, Some(2));
    assert_eq!(run(&[]).0, Some(2));
}

#[test]
fn the_example_passes_the_check_and_is_commented() {
    let (code, example) = run(&["config", "example"]);
    assert_eq!(code, Some(0));
    assert!(example.contains('#'));
    let (_folder, path) = document(&example);
    let (code, said) = run(&["config", "check", &path]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn completion_is_a_script_that_the_shell_reads() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script) = run(&["completion", shell]);
        assert_eq!(code, Some(0));
        assert!(script.contains("weir"), "{shell}");
    }
    let (_folder, path) = document(&run(&["completion", "bash"]).1);
    let read = std::process::Command::new("bash")
        .args(["-n", &path])
        .status()
        .unwrap();
    assert!(read.success());
}

#[test]
fn every_command_has_help() {
    for arguments in [
        &["--help"][..],
        &["up", "--help"],
        &["proxy", "--help"],
        &["explain", "--help"],
        &["config", "--help"],
        &["config", "check", "--help"],
        &["config", "diff", "--help"],
        &["rules", "check", "--help"],
        &["completion", "--help"],
    ] {
        let (code, said) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}");
        assert!(said.contains("Usage: weir"), "{arguments:?}: {said}");
    }
    assert!(run(&["--help"]).1.contains("Exit codes: 0"));
}
