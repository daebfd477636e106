//! The OWASP CRS, unmodified, parses and compiles. It is not part of the project: `WEIR_CRS` or `../../shared/crs`
//! says where it is; without it the test says so, and fails in CI.

#[path = "../../tests/src/crs.rs"]
mod crs;

use weir_rules::{Disk, Source, compile};

#[test]
fn the_core_rule_set_compiles_without_error() {
    let Some(crs) = crs::checkout("rules") else {
        return;
    };
    let path = crs.join("crs-setup.conf.example");
    let mut sources = vec![Source {
        text: std::fs::read_to_string(&path).unwrap(),
        path,
    }];
    let text = "Include rules/*.conf".to_owned();
    sources.push(Source {
        path: crs.join("all.conf"),
        text,
    });
    let compiled = compile(&sources, &Disk).unwrap_or_else(|found| {
        let lines: Vec<String> = found.iter().take(30).map(ToString::to_string).collect();
        panic!("{} errors:\n{}", found.len(), lines.join("\n"));
    });
    assert!(compiled.rules.len() > 600, "{} rules", compiled.rules.len());
    assert!(compiled.rules.inspects_request_body());
    assert!(compiled.rules.inspects_response());
}
