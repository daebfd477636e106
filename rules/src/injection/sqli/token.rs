//! Tokens of SQL and their kinds.

/// Bytes of a token's text that are kept; no keyword is longer.
pub(super) const TEXT_MAX: usize = 31;

/// What a token is. The value is its letter in a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Quoted names and words that are no keywords.
    Bareword = b'n',
    Backslash = b'\\',
    Collate = b'A',
    Colon = b':',
    Comma = b',',
    Comment = b'c',
    Dot = b'.',
    /// Comments that databases read differently.
    Evil = b'X',
    /// Words that begin an expression, as `SELECT`.
    Expression = b'E',
    Function = b'f',
    /// `GROUP BY`, `LIMIT` and the like.
    Group = b'B',
    Keyword = b'k',
    LeftBrace = b'{',
    LeftParen = b'(',
    /// `AND`, `OR` and their signs.
    Logic = b'&',
    Number = b'1',
    Operator = b'o',
    RightBrace = b'}',
    RightParen = b')',
    Semicolon = b';',
    SqlType = b't',
    String = b's',
    Tsql = b'T',
    Union = b'U',
    Unknown = b'?',
    Variable = b'v',
}

impl Kind {
    /// The kind that the keyword list writes with this letter.
    pub(super) fn of_list(letter: u8) -> Option<Self> {
        Some(match letter {
            b'&' => Self::Logic,
            b'1' => Self::Number,
            b'A' => Self::Collate,
            b'B' => Self::Group,
            b'E' => Self::Expression,
            b'T' => Self::Tsql,
            b'U' => Self::Union,
            b'f' => Self::Function,
            b'k' => Self::Keyword,
            b'n' => Self::Bareword,
            b'o' => Self::Operator,
            b't' => Self::SqlType,
            b'v' => Self::Variable,
            _ => return None,
        })
    }
}

/// A token. `text` is part of the value, or a compound word of the keyword list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a [u8],
    /// The quote that opens a string, 0 if it has none or the value only pretends to have one.
    pub(super) open: u8,
    /// The quote that closes a string, 0 if nothing does.
    pub(super) close: u8,
}

impl<'a> Token<'a> {
    pub(super) const NONE: Self = Token {
        kind: Kind::Unknown,
        text: &[],
        open: 0,
        close: 0,
    };

    pub(super) fn new(kind: Kind, text: &'a [u8]) -> Self {
        let text = text.get(..TEXT_MAX).unwrap_or(text);
        Self {
            kind,
            text,
            ..Self::NONE
        }
    }

    pub(super) fn quoted(mut self, open: u8, close: u8) -> Self {
        (self.open, self.close) = (open, close);
        self
    }

    pub(super) fn first(&self) -> u8 {
        self.text.first().copied().unwrap_or(0)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Signs and negations that may stand before an operand.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == Kind::Operator
            && match self.text {
                [b'+' | b'-' | b'!' | b'~'] => true,
                [b'!', b'!'] => true,
                [_, _, _] => self.is_word("NOT"),
                _ => false,
            }
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == Kind::Operator && matches!(self.text, [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}
