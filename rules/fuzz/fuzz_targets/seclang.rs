//! No rule text panics; what compiles also runs, and both evaluations agree.
#![no_main]

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use weir_rules::{Connection, Files, Mode, Options, RequestLine, RuleSet, Source, Transaction, compile};

/// There are no files.
struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(b"one\ntwo\n".to_vec())
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn ids(rules: &Arc<RuleSet>, plain: bool) -> Vec<u64> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = Connection { client: local, client_port: 1, server: local, server_port: 2 };
    let options = Options { mode: Mode::DetectOnly, plain, ..Options::default() };
    let mut tx = Transaction::new(Arc::clone(rules), &options, &connection);
    let line = RequestLine { method: b"GET", target: b"/a/b.php?x=1&y=%27<script>two", protocol: b"HTTP/1.1" };
    tx.request_headers(&line, &[(b"Host", b"localhost"), (b"Cookie", b"one=union select")]);
    tx.request_body(b"");
    tx.finish().matches.iter().map(|m| m.id).collect()
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input).into_owned();
    let source = Source { path: "fuzz.conf".into(), text };
    match compile(&[source], &NoFiles) {
        Ok(compiled) => assert_eq!(ids(&compiled.rules, false), ids(&compiled.rules, true)),
        Err(found) => assert!(!found.is_empty()),
    }
});
