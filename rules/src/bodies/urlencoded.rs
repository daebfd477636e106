//! `application/x-www-form-urlencoded`, and query strings.

use super::{Fault, Sink, TOO_MANY};
use crate::transformations::url_decode_onto;
use crate::variables::Var;

/// Splits at `separator` and decodes names and values.
pub(crate) fn parse(input: &[u8], separator: u8, var: Var, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    for pair in input.split(|b| *b == separator).filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        name.clear();
        value.clear();
        url_decode_onto(pair.get(..at).unwrap_or_default(), &mut name);
        url_decode_onto(pair.get(at + 1..).unwrap_or_default(), &mut value);
        if !sink(var, &name, &value) {
            return Err(TOO_MANY);
        }
    }
    Ok(())
}
