//! Other documents than the proxy's, read with the same strictness: YAML or JSON, unknown keys refused, all faults at once.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::error::{At, ConfigError, Faults};
use super::{rule, tree};

/// Faults of meaning in a document whose shape was read.
#[derive(Default)]
pub struct Findings(Faults);

impl Findings {
    /// Records a fault at a JSON pointer (RFC 6901) of the document.
    pub fn add(
        &mut self,
        pointer: &str,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0
            .add_at(pointer.to_owned(), code, message.into(), Some(hint.into()));
    }

    /// Whether nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a document by the JSON Schema of its type, then has its meaning checked by `build`. The type's lists should be
/// [`List`](super::raw::List)s: a faulty item is left out of them for `build`, so that one fault hides no other.
///
/// # Errors
/// All faults in the order of the document, each with its line.
pub fn read<Raw, Checked>(
    text: &str,
    build: impl FnOnce(&Raw, &mut Findings) -> Option<Checked>,
) -> Result<Checked, Vec<ConfigError>>
where
    Raw: DeserializeOwned + JsonSchema,
{
    let tree = tree::parse(text).map_err(|error| vec![error])?;
    let mut findings = Findings::default();
    let value = rule::shape(&tree, &rule::of::<Raw>(), &At::Root, &mut findings.0);
    let raw = value.and_then(|value| match serde_json::from_value::<Raw>(value) {
        Ok(raw) => Some(raw),
        Err(error) => {
            findings.0.add(&At::Root, "wrong_type", error.to_string(), None);
            None
        }
    });
    let checked = raw.and_then(|raw| build(&raw, &mut findings));
    match checked {
        Some(checked) if findings.is_empty() => Ok(checked),
        _ => Err(findings.0.into_errors(Some(&tree))),
    }
}
