//! Text with `%{VARIABLE.key}` in it.

use crate::seclang::nearest;
use crate::variables::{TABLE, Var, refused};

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Literal(Vec<u8>),
    Tx(u16),
    Value(Var, Option<Vec<u8>>),
}

/// A compiled text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Macro {
    pub(crate) parts: Vec<Part>,
}

impl Macro {
    pub(crate) fn parse(text: &str, intern: &mut dyn FnMut(&str) -> u16) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((plain, after)) = split_at_opening(rest) {
            let Some((name, tail)) = after.split_once('}') else {
                break;
            };
            if !plain.is_empty() {
                parts.push(Part::Literal(plain.as_bytes().to_vec()));
            }
            let (base, key) = name
                .split_once(['.', ':'])
                .map_or((name, None), |(base, key)| (base, Some(key)));
            let var = Var::named(base).ok_or_else(|| {
                if let Some(why) = refused(base) {
                    return format!("`{base}` is refused: {why}");
                }
                let hint = nearest(base, TABLE.iter().map(|(n, _)| *n)).map(|h| format!("; {h}"));
                format!(
                    "unknown variable `{base}` in `%{{{name}}}`{}",
                    hint.unwrap_or_default()
                )
            })?;
            if let Some(why) = super::persist::refused(var, key.unwrap_or_default())
                .or_else(|| key.and_then(|key| var.bad_key(key)))
            {
                return Err(why);
            }
            parts.push(match (var, key) {
                (Var::Tx, Some(key)) => Part::Tx(intern(key)),
                (_, key) => Part::Value(var, key.map(|k| k.as_bytes().to_ascii_lowercase())),
            });
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.as_bytes().to_vec()));
        }
        Ok(Self { parts })
    }

    /// The whole text, if nothing in it is expanded at run time.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The parts that are known at load.
    pub(crate) fn literal(&self) -> Vec<u8> {
        let literal = |part: &Part| {
            if let Part::Literal(text) = part {
                text.clone()
            } else {
                Vec::new()
            }
        };
        self.parts.iter().flat_map(literal).collect()
    }
}

/// What stands before the first `%{` of a text, and behind it. Nearly every text has none: this looks for one byte.
fn split_at_opening(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let at = memchr::memchr_iter(b'%', bytes).find(|at| bytes.get(at + 1) == Some(&b'{'))?;
    Some((text.get(..at)?, text.get(at + 2..)?))
}
