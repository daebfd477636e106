//! Every name of the ModSecurity v3 reference manual (and of its grammar) is accepted and works, or is refused with a text
//! that says what to do instead. One row per name.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a broken rule text must fail the test"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use weir_rules::{Connection, Files, Options, RequestLine, Source, Transaction, compile};

/// Files that rows name.
struct Shelf;

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("words") => Ok(b"needle\n".to_vec()),
            Some("addresses") => Ok(b"127.0.0.0/8\n".to_vec()),
            Some("more.conf") => Ok(b"SecAction \"id:1,phase:1,pass\"\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![pattern.to_path_buf()])
    }
}

/// Errors of a rule text, with their codes.
fn errors(text: &str) -> Vec<String> {
    let source = Source {
        path: "manual.conf".into(),
        text: text.to_owned(),
    };
    match compile(&[source], &Shelf) {
        Ok(_) => Vec::new(),
        Err(found) => found
            .iter()
            .map(|d| format!("{}: {}", d.code, d.message))
            .collect(),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const UPLOAD: &str = "multipart/form-data; boundary=b";
const UPLOADED: &str =
    "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.txt\"\r\n\r\ncontent\r\n--b--\r\n";

/// The ids that match on one exchange with something for every variable.
fn matches(text: &str, kind: &str, body: &str, cut: bool) -> Vec<u64> {
    let source = Source {
        path: "manual.conf".into(),
        text: text.to_owned(),
    };
    let compiled = compile(&[source], &Shelf).unwrap_or_else(|found| panic!("{text}: {found:?}"));
    let connection = Connection {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        client_port: 1234,
        server: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 8080,
    };
    let options = Options {
        unique_id: 0xabc,
        // Wednesday, 25 November 2026, 12:34:56 UTC.
        now_unix_ms: 1_795_610_096_000,
        clock_unix_ms: Some(|| 1_795_610_096_250),
        ..Options::default()
    };
    let mut seen = Vec::new();
    // What is optimised and what is plain must agree here too.
    for plain in [true, false] {
        let options = Options {
            plain,
            ..options.clone()
        };
        let mut tx = Transaction::new(std::sync::Arc::clone(&compiled.rules), &options, &connection);
        let line = RequestLine {
            method: b"POST",
            target: b"/dir/page.php?q=value&bad=%zz",
            protocol: b"HTTP/1.1",
        };
        let fields: [(&[u8], &[u8]); 4] = [
            (b"Host", b"acme.test"),
            (b"Content-Type", kind.as_bytes()),
            (b"Cookie", b"c=crumb"),
            (b"Authorization", b"Basic YWxpY2U6c2VjcmV0"),
        ];
        let _ = tx.request_headers(&line, &fields);
        if cut {
            tx.request_body_is_cut();
        }
        let _ = tx.request_body(body.as_bytes());
        let answer: [(&[u8], &[u8]); 2] = [(b"Content-Type", b"text/html"), (b"Content-Length", b"4")];
        let _ = tx.response_headers(200, b"HTTP/1.1", &answer);
        tx.response_body_is_cut();
        let _ = tx.response_body(b"page");
        let ids: Vec<u64> = tx.finish().matches.iter().map(|m| m.id).collect();
        if plain {
            seen = ids;
        } else {
            assert_eq!(ids, seen, "{text}");
        }
    }
    seen
}

/// What becomes of a name.
enum Row {
    /// A rule text; rule 1 matches on the exchange, and no other does.
    Works(&'static str),
    /// The same with a body of which more follows.
    Cut(&'static str),
    /// The same with a body of a type.
    With(&'static str, &'static str, &'static str),
    /// A rule text that loads, and does nothing else.
    Loads(&'static str),
    /// A rule text that is an error, and a word of what it says.
    Refused(&'static str, &'static str),
}
use Row::{Cut, Loads, Refused, With, Works};

fn check(rows: &[(&str, Row)]) {
    for (name, row) in rows {
        match row {
            Works(text) => assert_eq!(matches(text, FORM, "p=posted&x=1", false), [1], "{name}: {text}"),
            Cut(text) => assert_eq!(matches(text, FORM, "p=posted&x=1", true), [1], "{name}: {text}"),
            With(kind, body, text) => assert_eq!(matches(text, kind, body, false), [1], "{name}: {text}"),
            Loads(text) => assert_eq!(errors(text), Vec::<String>::new(), "{name}: {text}"),
            Refused(text, why) => {
                let found = errors(text);
                assert_eq!(found.len(), 1, "{name}: {text}: {found:?}");
                assert!(found[0].starts_with("refused_"), "{name}: {found:?}");
                assert!(found[0].contains(why), "{name}: {found:?} does not say {why:?}");
            }
        }
    }
    let mut names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len(), "a name has two rows");
}

#[path = "manual/actions.rs"]
mod actions;
#[path = "manual/directives.rs"]
mod directives;
#[path = "manual/operators.rs"]
mod operators;
#[path = "manual/transformations.rs"]
mod transformations;
#[path = "manual/variables.rs"]
mod variables;
#[path = "manual/variables_from_perf.rs"]
mod variables_from_perf;
