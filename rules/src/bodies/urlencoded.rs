//! `application/x-www-form-urlencoded`, and query strings.

use super::carry::Carry;
use super::{Fault, Sink, TOO_MANY};
use crate::transformations::url_decode_onto;
use crate::variables::Var;

/// Splits at a separator and decodes names and values.
#[derive(Debug)]
pub(crate) struct Reader {
    separator: u8,
    pair: Carry,
    fields: Fields,
}

/// Where names and values go, and the buffer in which they are decoded.
#[derive(Debug)]
struct Fields {
    var: Var,
    decoded: Vec<u8>,
}

/// Reads a text that is there as a whole.
pub(crate) fn parse(input: &[u8], separator: u8, var: Var, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let mut fields = Fields::new(var);
    input
        .split(|b| *b == separator)
        .try_for_each(|pair| fields.pair(pair, sink))
}

impl Reader {
    pub(super) fn new(separator: u8, var: Var) -> Self {
        Self {
            separator,
            pair: Carry::default(),
            fields: Fields::new(var),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut rest = chunk;
        while let Some(pair) = self.pair.until(&mut rest, &[self.separator]) {
            self.fields.pair(pair, sink)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        self.fields.pair(self.pair.held(), sink)
    }
}

impl Fields {
    fn new(var: Var) -> Self {
        Self {
            var,
            decoded: Vec::new(),
        }
    }

    /// Nothing between two separators is no field.
    fn pair(&mut self, pair: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if pair.is_empty() {
            return Ok(());
        }
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        self.decoded.clear();
        url_decode_onto(pair.get(..at).unwrap_or_default(), &mut self.decoded);
        let name_length = self.decoded.len();
        url_decode_onto(pair.get(at + 1..).unwrap_or_default(), &mut self.decoded);
        let (name, value) = self.decoded.split_at(name_length);
        if sink(self.var, name, value) {
            Ok(())
        } else {
            Err(TOO_MANY)
        }
    }
}
