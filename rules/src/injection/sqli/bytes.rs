//! What each byte begins, and the early exit for values of one token.

/// How the token is read that begins with a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    At,
    Backslash,
    BinaryString,
    Bracket,
    Dash,
    Digit,
    Dollar,
    EscapeString,
    Hash,
    HexString,
    NationalString,
    Operator,
    OperatorPair,
    OracleString,
    Punctuation,
    Quote,
    Slash,
    Tick,
    UnicodeString,
    Unknown,
    White,
    Word,
}

static CLASSES: [Class; 256] = classes();
static ENDS: [u8; 256] = ends();

/// Ends a word.
const WORD_END: u8 = 1;
/// Ends the name of a variable.
const NAME_END: u8 = 2;
/// A word of one token may not have it: what ends words, and the marks inside of which words are looked up.
const NOT_PLAIN: u8 = 4;

const fn classes() -> [Class; 256] {
    let mut out = [Class::Word; 256];
    let mut byte = 0;
    while byte < 256 {
        out[byte] = match byte as u8 {
            0..=b' ' | 0x7F | 0xA0 => Class::White,
            b'@' => Class::At,
            b'\\' => Class::Backslash,
            b'b' | b'B' => Class::BinaryString,
            b'[' => Class::Bracket,
            b'-' => Class::Dash,
            b'0'..=b'9' | b'.' => Class::Digit,
            b'$' => Class::Dollar,
            b'e' | b'E' => Class::EscapeString,
            b'#' => Class::Hash,
            b'x' | b'X' => Class::HexString,
            b'n' | b'N' => Class::NationalString,
            b'%' | b'+' | b'^' | b'~' => Class::Operator,
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => Class::OperatorPair,
            b'q' | b'Q' => Class::OracleString,
            b'(' | b')' | b',' | b';' | b'{' | b'}' => Class::Punctuation,
            b'\'' | b'"' => Class::Quote,
            b'/' => Class::Slash,
            b'`' => Class::Tick,
            b'u' | b'U' => Class::UnicodeString,
            b'?' | b']' => Class::Unknown,
            _ => Class::Word,
        };
        byte += 1;
    }
    out
}

const fn ends() -> [u8; 256] {
    let mut out = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        out[byte] = match byte as u8 {
            0
            | b'\t'..=b'\r'
            | b' '
            | b'!'..=b'#'
            | b'%'..=b'-'
            | b'/'
            | b':'..=b'@'
            | b'\\'
            | b'^'
            | b'|'
            | b'~' => WORD_END | NAME_END | NOT_PLAIN,
            b'[' | b']' | b'{' | b'}' | 0xA0 => WORD_END | NOT_PLAIN,
            b'`' => NAME_END | NOT_PLAIN,
            b'.' => NOT_PLAIN,
            _ => 0,
        };
        byte += 1;
    }
    out
}

pub(super) fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// The length of the word that a text begins with.
pub(super) fn word_len(text: &[u8]) -> usize {
    run(text, |b| ENDS[usize::from(b)] & WORD_END == 0)
}

/// The length of the variable's name that a text begins with.
pub(super) fn name_len(text: &[u8]) -> usize {
    run(text, |b| ENDS[usize::from(b)] & NAME_END == 0)
}

/// The length of a text's beginning that has only such bytes.
pub(super) fn run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|b| !is(*b)).unwrap_or(text.len())
}

/// Space as SQL has it; databases take NUL and the no-break space of Latin-1 for it.
pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0 | 0xA0)
}

/// Whether a value is one token, which no print on the list stands for: an early exit.
///
/// Safe, because a value of letters, digits and other bytes that end no word, and that begins with a letter, is one word
/// to the lexer: the literals with a prefix (`b''`, `e''`, `n''`, `q''`, `u&''`, `x''`) need a quote, marks inside words
/// need `.` or a backtick, and a comment, the hash or a quote would be needed for a second reading. A value of digits
/// alone is one number. The only print of one letter on the list is that of two-faced comments, which begin with `/` or
/// `{`. The test `early_exit_agrees_with_the_full_detector` holds it to that.
pub(super) fn one_token(value: &[u8]) -> bool {
    match value.first().map(|b| class(*b)) {
        None => true,
        Some(Class::Digit) => value.iter().all(u8::is_ascii_digit),
        Some(
            Class::Word
            | Class::BinaryString
            | Class::EscapeString
            | Class::HexString
            | Class::NationalString
            | Class::OracleString
            | Class::UnicodeString,
        ) => value.iter().all(|b| ENDS[usize::from(*b)] & NOT_PLAIN == 0),
        Some(_) => false,
    }
}
