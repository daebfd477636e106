//! A scanner for HTML as browsers forgive it (WHATWG HTML section 13.2.5, with the looseness of old browsers: NUL and
//! the vertical tab are space, `%` begins a comment, the backtick quotes).

use memchr::{memchr, memmem};

/// Where a value stands in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Inside a tag, before an attribute.
    Attributes,
    /// In an attribute's value behind this quote.
    Quoted(u8),
    /// Between tags.
    Text,
}

/// A piece of HTML that can matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Comment(&'a [u8]),
    Doctype,
    /// The name of an attribute.
    Name(&'a [u8]),
    /// Text, and the end of a tag.
    Other,
    /// The name of a tag.
    Tag(&'a [u8]),
    /// The value of an attribute, which belongs to the name right before it.
    Value(&'a [u8]),
}

#[derive(Debug, Clone, Copy)]
enum State {
    AfterName,
    AfterQuoted,
    BeforeName,
    BeforeValue,
    End,
    Quoted(u8),
    Text,
}

/// Cuts a value into pieces.
pub(super) struct Html<'a> {
    value: &'a [u8],
    at: usize,
    state: State,
    /// Whether an end tag is open. It stays so after one that has attributes, until the next tag ends.
    closing: bool,
}

impl<'a> Html<'a> {
    pub(super) fn new(value: &'a [u8], start: Start) -> Self {
        let state = match start {
            Start::Attributes => State::BeforeName,
            Start::Quoted(quote) => State::Quoted(quote),
            Start::Text => State::Text,
        };
        Self {
            value,
            at: 0,
            state,
            closing: false,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.value.get(self.at..).unwrap_or_default()
    }

    /// The next `len` bytes; goes on behind them and `skipped` more.
    fn take(&mut self, len: usize, skipped: usize) -> &'a [u8] {
        let rest = self.rest();
        self.at += len + skipped;
        rest.get(..len).unwrap_or(rest)
    }

    /// All that is left.
    fn take_all(&mut self) -> &'a [u8] {
        self.state = State::End;
        self.take(self.rest().len(), 0)
    }

    fn skip_white(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|b| is_white(**b)).count();
        self.rest().first().copied()
    }

    fn text(&mut self) -> Option<Piece<'a>> {
        let Some(tag) = memchr(b'<', self.rest()) else {
            self.state = State::End;
            return None;
        };
        self.at += tag + 1;
        match *self.rest().first()? {
            b'!' => {
                self.at += 1;
                Some(self.declaration())
            }
            b'/' => {
                self.at += 1;
                self.closing = true;
                match *self.rest().first()? {
                    b'>' => Some(Piece::Other),
                    next if next.is_ascii_alphabetic() => Some(self.tag_name()),
                    _ => {
                        self.closing = false;
                        Some(self.loose_comment())
                    }
                }
            }
            b'?' => {
                self.at += 1;
                Some(self.loose_comment())
            }
            b'%' => {
                self.at += 1;
                Some(self.comment_until(b"%>"))
            }
            next if next.is_ascii_alphabetic() || next == 0 => Some(self.tag_name()),
            _ => Some(Piece::Other),
        }
    }

    fn tag_name(&mut self) -> Piece<'a> {
        let rest = self.rest();
        let ends = |b: &u8| *b != 0 && (is_white(*b) || matches!(b, b'/' | b'>'));
        let Some(len) = rest.iter().position(ends) else {
            return Piece::Tag(self.take_all());
        };
        let tag = self.take(len, 1);
        match rest.get(len) {
            Some(b'/') => self.self_closing(),
            Some(b'>') => {
                self.state = State::Text;
                if std::mem::take(&mut self.closing) {
                    return Piece::Other;
                }
            }
            _ => self.state = State::BeforeName,
        }
        Piece::Tag(tag)
    }

    /// Behind a `/` in a tag.
    fn self_closing(&mut self) {
        if self.rest().first() == Some(&b'>') {
            self.at += 1;
            self.state = State::Text;
        } else {
            self.state = State::BeforeName;
        }
    }

    fn before_name(&mut self) -> Option<Piece<'a>> {
        match self.skip_white()? {
            b'/' => {
                self.at += 1;
                self.self_closing();
                Some(Piece::Other)
            }
            b'>' => {
                self.at += 1;
                self.state = State::Text;
                Some(Piece::Other)
            }
            _ => Some(self.name()),
        }
    }

    fn name(&mut self) -> Piece<'a> {
        let rest = self.rest();
        // The first byte belongs to the name whatever it is.
        let ends = |b: &u8| is_white(*b) || matches!(b, b'/' | b'=' | b'>');
        let Some(len) = rest.iter().skip(1).position(ends).map(|len| len + 1) else {
            return Piece::Name(self.take_all());
        };
        let name = self.take(len, 1);
        match rest.get(len) {
            Some(b'/') => self.self_closing(),
            Some(b'=') => self.state = State::BeforeValue,
            Some(b'>') => self.tag_end(),
            _ => self.state = State::AfterName,
        }
        Piece::Name(name)
    }

    fn tag_end(&mut self) {
        self.closing = false;
        self.state = State::Text;
    }

    fn after_name(&mut self) -> Option<Piece<'a>> {
        match self.skip_white()? {
            b'=' => {
                self.at += 1;
                self.before_value()
            }
            b'/' => {
                self.at += 1;
                self.self_closing();
                Some(Piece::Other)
            }
            b'>' => {
                self.at += 1;
                self.tag_end();
                Some(Piece::Other)
            }
            _ => Some(self.name()),
        }
    }

    fn before_value(&mut self) -> Option<Piece<'a>> {
        match self.skip_white()? {
            quote @ (b'"' | b'\'' | b'`') => {
                self.at += 1;
                Some(self.quoted(quote))
            }
            _ => Some(self.bare_value()),
        }
    }

    fn quoted(&mut self, quote: u8) -> Piece<'a> {
        let Some(len) = memchr(quote, self.rest()) else {
            return Piece::Value(self.take_all());
        };
        self.state = State::AfterQuoted;
        Piece::Value(self.take(len, 1))
    }

    fn bare_value(&mut self) -> Piece<'a> {
        let rest = self.rest();
        let Some(len) = rest.iter().position(|b| is_white(*b) || *b == b'>') else {
            return Piece::Value(self.take_all());
        };
        if rest.get(len) == Some(&b'>') {
            self.tag_end();
        } else {
            self.state = State::BeforeName;
        }
        Piece::Value(self.take(len, 1))
    }

    /// Behind `<!`.
    fn declaration(&mut self) -> Piece<'a> {
        let rest = self.rest();
        if rest
            .get(..7)
            .is_some_and(|mark| mark.eq_ignore_ascii_case(b"doctype"))
        {
            return Piece::Doctype;
        }
        if rest.starts_with(b"[CDATA[") {
            self.at += 7;
            match memmem::find(self.rest(), b"]]>") {
                Some(len) => {
                    self.at += len + 3;
                    self.state = State::Text;
                }
                None => self.state = State::End,
            }
            return Piece::Other;
        }
        if rest.starts_with(b"--") {
            self.at += 2;
            return self.comment();
        }
        self.loose_comment()
    }

    /// A comment up to `-->` or `-!>`; NULs behind the first dash do not count.
    fn comment(&mut self) -> Piece<'a> {
        let rest = self.rest();
        let mut from = 0;
        while let Some(found) = rest.get(from..).and_then(|r| memchr(b'-', r)) {
            let dash = from + found;
            let after = rest.get(dash + 1..).unwrap_or_default();
            let nuls = after.iter().take_while(|b| **b == 0).count();
            if let Some([b'-' | b'!', b'>', ..]) = after.get(nuls..) {
                self.state = State::Text;
                return Piece::Comment(self.take(dash, nuls + 3));
            }
            from = dash + 1;
        }
        Piece::Comment(self.take_all())
    }

    fn loose_comment(&mut self) -> Piece<'a> {
        self.comment_until(b">")
    }

    fn comment_until(&mut self, mark: &[u8]) -> Piece<'a> {
        self.state = State::Text;
        match memmem::find(self.rest(), mark) {
            Some(len) => Piece::Comment(self.take(len, mark.len())),
            None => Piece::Comment(self.take_all()),
        }
    }
}

impl<'a> Iterator for Html<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        match self.state {
            State::AfterName => self.after_name(),
            State::AfterQuoted => {
                self.state = State::BeforeName;
                self.before_name()
            }
            State::BeforeName => self.before_name(),
            State::BeforeValue => self.before_value(),
            State::End => None,
            State::Quoted(quote) => Some(self.quoted(quote)),
            State::Text => self.text(),
        }
    }
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}
