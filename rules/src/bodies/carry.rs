//! A piece of the input that may have begun in an earlier chunk.

/// Bytes of a piece whose end has not been seen.
#[derive(Debug, Default)]
pub(super) struct Carry {
    held: Vec<u8>,
    /// The held bytes were answered and are over.
    done: bool,
}

impl Carry {
    /// The piece that ends before `end`, which is taken too; `None` when the chunk ends first. A piece inside one chunk is
    /// not copied, and no byte is searched twice but those that a split `end` may need.
    pub(super) fn until<'s, 'c: 's>(&'s mut self, rest: &mut &'c [u8], end: &[u8]) -> Option<&'s [u8]> {
        let find = |input: &[u8]| match end {
            [byte] => memchr::memchr(*byte, input),
            _ => memchr::memmem::find(input, end),
        };
        self.piece(rest, end.len(), find)
    }

    /// The piece before the first byte that `stops` it, which is left; `None` when the chunk ends first.
    pub(super) fn before<'s, 'c: 's>(
        &'s mut self,
        rest: &mut &'c [u8],
        stops: impl Fn(u8) -> bool,
    ) -> Option<&'s [u8]> {
        self.piece(rest, 0, |input| input.iter().position(|byte| stops(*byte)))
    }

    /// What the last piece has so far.
    pub(super) fn held(&self) -> &[u8] {
        if self.done { b"" } else { &self.held }
    }

    fn piece<'s, 'c: 's>(
        &'s mut self,
        rest: &mut &'c [u8],
        end_length: usize,
        find: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<&'s [u8]> {
        if self.done {
            self.held.clear();
            self.done = false;
        }
        let chunk = *rest;
        if self.held.is_empty() {
            let Some(at) = find(chunk) else {
                self.held.extend_from_slice(chunk);
                *rest = &[];
                return None;
            };
            *rest = chunk.get(at + end_length..).unwrap_or_default();
            return chunk.get(..at);
        }
        let before = self.held.len();
        self.held.extend_from_slice(chunk);
        let from = before.saturating_sub(end_length.saturating_sub(1));
        let found = find(self.held.get(from..).unwrap_or_default());
        let Some(at) = found.map(|at| from + at) else {
            *rest = &[];
            return None;
        };
        *rest = chunk.get(at + end_length - before..).unwrap_or_default();
        self.held.truncate(at);
        self.done = true;
        Some(&self.held)
    }
}
