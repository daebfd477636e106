//! No rule text panics; what compiles also runs, and both evaluations agree.
#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use weir_rules::{Files, Source, compile};
use weir_rules_fuzz::{judged, seen};

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

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input).into_owned();
    let source = Source { path: "fuzz.conf".into(), text };
    match compile(&[source], &NoFiles) {
        Ok(compiled) => {
            let fields = [(b"Host".as_slice(), b"localhost".as_slice()), (b"Cookie", b"one=union select")];
            let [fast, plain] = [false, true].map(|plain| judged(&compiled.rules, &fields, b"", plain));
            assert_eq!(seen(&fast), seen(&plain));
        },
        Err(found) => assert!(!found.is_empty()),
    }
});
