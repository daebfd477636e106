//! A document and the files that it names, as the objects of a version.
//!
//! A file keeps its place relative to the document's folder. One outside of that folder, or with an absolute path, goes below
//! `outside/`, and the document names it there. Rule files bring along what they include and read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use weir_rules::{Disk, Files, Source};
use weir_schema::config::{Document, document_value};

/// Bytes of all files of a document.
const BYTES_MAX: u64 = 1 << 30;

/// Objects by their paths.
pub type Bundle = BTreeMap<String, Vec<u8>>;

/// What `weir apply` puts and removes: these paths are what a document makes.
#[must_use]
pub fn is_managed(path: &str) -> bool {
    path == "edge" || path.starts_with("tenants/") || path.starts_with("files/")
}

/// Reads a document and what it names.
///
/// # Errors
/// Sentences on all that is wrong: the document's faults, files that cannot be read, rules that do not compile.
pub fn bundle(document: &Document) -> Result<Bundle, Vec<String>> {
    let mut value = document_value(document).map_err(|errors| {
        errors
            .iter()
            .map(|error| error.display(&document.name))
            .collect::<Vec<_>>()
    })?;
    let mut gather = Gather {
        base: std::path::absolute(&document.base).map_err(|error| vec![error.to_string()])?,
        files: BTreeMap::new(),
        bytes: 0,
        errors: Vec::new(),
    };
    gather.document(&mut value);
    if !gather.errors.is_empty() {
        return Err(gather.errors);
    }
    let mut bundle: Bundle = gather
        .files
        .into_iter()
        .map(|(path, bytes)| (format!("files/{path}"), bytes))
        .collect();
    let tenants = value.as_object_mut().and_then(|edge| edge.remove("tenants"));
    for tenant in tenants.as_ref().and_then(Value::as_array).into_iter().flatten() {
        if let Some(id) = tenant["id"].as_str() {
            bundle.insert(
                format!("tenants/{id}"),
                json!({"tenant": tenant}).to_string().into_bytes(),
            );
        }
    }
    // What is of one process does not travel: each proxy says it of itself.
    if let Some(node) = value.get_mut("node").and_then(Value::as_object_mut) {
        node.remove("state_dir");
        node.remove("region");
    }
    bundle.insert("edge".to_owned(), value.to_string().into_bytes());
    Ok(bundle)
}

struct Gather {
    base: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
    errors: Vec<String>,
}

/// The disk, with a list of what was read.
struct Noting<'a>(&'a RefCell<Vec<PathBuf>>);

impl Files for Noting<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().push(path.to_owned());
        Disk.read(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.glob(pattern)
    }
}

impl Gather {
    fn document(&mut self, value: &mut Value) {
        for key in ["country_database", "asn_database"] {
            self.file(value.pointer_mut(&format!("/geo/{key}")));
        }
        for pool in items(value, "pools") {
            self.file(pool.pointer_mut("/tls/ca_file"));
        }
        for set in items(value, "rule_sets") {
            self.rules(set.get_mut("files"));
        }
        for holder in ["tiers", "tenants"] {
            for one in items(value, holder) {
                self.policy(one);
            }
        }
    }

    fn policy(&mut self, one: &mut Value) {
        for key in ["rules", "rules_before"] {
            self.rules(one.pointer_mut(&format!("/waf/{key}")));
        }
        for limit in list(one.pointer_mut("/limits/keys")) {
            self.file(limit.pointer_mut("/jwt/key_file"));
        }
        self.file(one.pointer_mut("/tls/client_auth/ca_file"));
        for certificate in list(one.pointer_mut("/tls/certificates")) {
            for key in ["cert_file", "key_file"] {
                self.file(certificate.get_mut(key));
            }
        }
    }

    /// Takes the file that a value names, and makes the value its place in the bundle.
    fn file(&mut self, value: Option<&mut Value>) {
        let Some(value) = value else { return };
        let place = value
            .as_str()
            .map(PathBuf::from)
            .and_then(|path| self.take(&path));
        if let Some(place) = place {
            *value = json!(place);
        }
    }

    /// The same for a list of rule files, and for what these read in turn.
    fn rules(&mut self, value: Option<&mut Value>) {
        let mut sources = Vec::new();
        for value in list(value) {
            let Some(path) = value.as_str().map(|path| self.base.join(path)) else {
                continue;
            };
            if let Ok(text) = std::fs::read_to_string(&path) {
                sources.push(Source { path, text });
            }
            self.file(Some(value));
        }
        if sources.is_empty() {
            return;
        }
        let read = RefCell::new(Vec::new());
        if let Err(diagnostics) = weir_rules::compile(&sources, &Noting(&read)) {
            self.errors.extend(diagnostics.iter().map(ToString::to_string));
        }
        for path in read.into_inner() {
            self.take(&path);
        }
    }

    /// Reads a file; gives its place.
    fn take(&mut self, path: &Path) -> Option<String> {
        let path = clean(&self.base.join(path));
        let place = match path.strip_prefix(&self.base) {
            Ok(inside) => inside.to_string_lossy().into_owned(),
            Err(_) => format!("outside{}", path.to_string_lossy()),
        };
        if self.files.contains_key(&place) {
            return Some(place);
        }
        match std::fs::read(&path) {
            Ok(bytes) if self.bytes + bytes.len() as u64 <= BYTES_MAX => {
                self.bytes += bytes.len() as u64;
                self.files.insert(place.clone(), bytes);
                Some(place)
            }
            Ok(_) => {
                self.errors.push(format!(
                    "{}: the files have more than {BYTES_MAX} bytes",
                    path.display()
                ));
                None
            }
            Err(error) => {
                self.errors.push(format!("{}: {error}", path.display()));
                None
            }
        }
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> &'a mut [Value] {
    list(value.get_mut(key))
}

fn list(value: Option<&mut Value>) -> &mut [Value] {
    value
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

/// Without `.` and `..`; links are not followed.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_brings_its_files_and_what_rules_read() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("conf");
        std::fs::create_dir_all(base.join("rules")).unwrap();
        std::fs::write(
            base.join("rules/a.conf"),
            "Include more/*.conf\nSecRule ARGS \"@pmFromFile words.data\" \"id:1,phase:2,deny\"\n",
        )
        .unwrap();
        std::fs::write(base.join("rules/words.data"), "evil\n").unwrap();
        std::fs::create_dir_all(base.join("rules/more")).unwrap();
        std::fs::write(
            base.join("rules/more/b.conf"),
            "SecAction \"id:2,phase:1,pass\"\n",
        )
        .unwrap();
        let outside = folder.path().join("a.pem");
        std::fs::write(&outside, "PEM").unwrap();
        let document = Document {
            name: "weir.yaml".to_owned(),
            base: base.clone(),
            text: format!(
                "version: 1\nnode: {{ state_dir: /var/lib/weir }}\nrule_sets: [{{ id: own, files: [rules/a.conf] }}]\n\
                 pools: [{{ id: p, endpoints: [\"127.0.0.1:1\"] }}]\n\
                 tenants:\n- id: a\n  hosts: [a.test]\n  tls: {{ certificates: [{{ cert_file: ../a.pem, key_file: {} }}] }}\n\
                 \x20 routes: [{{ id: all, pool: p }}]\n",
                outside.display()
            ),
        };
        let bundle = bundle(&document).unwrap();
        let outside_place = format!("outside{}", outside.display());
        let paths: Vec<&str> = bundle.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "edge",
                &format!("files/{outside_place}"),
                "files/rules/a.conf",
                "files/rules/more/b.conf",
                "files/rules/words.data",
                "tenants/a"
            ]
        );
        let tenant: Value = serde_json::from_slice(&bundle["tenants/a"]).unwrap();
        assert_eq!(
            tenant["tenant"]["tls"]["certificates"][0]["key_file"],
            outside_place
        );
        let edge: Value = serde_json::from_slice(&bundle["edge"]).unwrap();
        assert_eq!((&edge["tenants"], &edge["node"]), (&Value::Null, &json!({})));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let document = Document {
            name: "weir.yaml".to_owned(),
            base: PathBuf::from("/no/such/folder"),
            text: "version: 1\ngeo: { country_database: a.mmdb, asn_database: b.mmdb }\n".to_owned(),
        };
        assert_eq!(bundle(&document).unwrap_err().len(), 2);
    }
}
