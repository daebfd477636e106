//! Names that run scripts: tags, attributes and the schemes of addresses.
//!
//! The lists are those of `libinjectionrs`, which keeps them to itself: a name is asked for by a small piece of HTML that
//! is an injection exactly if the name is on a list.

use libinjectionrs::XssDetector;
use libinjectionrs::xss::Html5Flags;

/// Bytes of a name that is asked for; the longest on the lists has 44.
const NAME_MAX: usize = 48;
/// The longest name of an attribute that is not an event handler has 13 bytes.
const PLAIN_NAME_MAX: usize = 13;
/// The shortest name of an event has three letters.
const EVENT_MIN: usize = 3;
/// Beginnings of names that are asked for in one reading of a value, which bounds its cost. Names beyond are still
/// asked for whole.
pub(super) const PREFIX_PROBES_MAX: usize = 256;

/// What the value of an attribute can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// It is an address, which may be a script.
    Address,
    /// It names another attribute.
    NamesAnother,
    Plain,
    /// It is a script or a style, or makes tags of any name.
    Script,
}

/// What an attribute of this name can do. `probes` are the beginnings of names that may still be asked for.
pub(super) fn attribute(name: &[u8], probes: &mut usize) -> Attribute {
    if name.len() >= 5 && (is_event(name, probes) || begins(name, b"xmlns") || begins(name, b"xlink")) {
        return Attribute::Script;
    }
    let mut visible = [0; NAME_MAX];
    match without_nul(name, &mut visible) {
        Some(name) if name.len() <= PLAIN_NAME_MAX && name.iter().all(u8::is_ascii_alphabetic) => {
            plain_name(name)
        }
        _ => Attribute::Plain,
    }
}

fn plain_name(name: &[u8]) -> Attribute {
    if !asks(&[name, b"=java"], Html5Flags::ValueNoQuote) {
        let another = asks(&[name, b"=style"], Html5Flags::ValueNoQuote);
        return if another {
            Attribute::NamesAnother
        } else {
            Attribute::Plain
        };
    }
    if asks(&[name, b"=x"], Html5Flags::ValueNoQuote) {
        Attribute::Script
    } else {
        Attribute::Address
    }
}

/// Whether a name is `on` and an event, or begins so: browsers and filters disagree about what ends a name, so what
/// follows the event does not count.
fn is_event(name: &[u8], probes: &mut usize) -> bool {
    let [b'o' | b'O', b'n' | b'N', event @ ..] = name else {
        return false;
    };
    let letters = event
        .iter()
        .take(NAME_MAX)
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let is = |len: usize| {
        let event = event.get(..len).unwrap_or_default();
        len >= EVENT_MIN && asks(&[b"on", event, b"=x"], Html5Flags::ValueNoQuote)
    };
    if is(letters) {
        return true;
    }
    for len in EVENT_MIN..letters {
        if *probes == 0 {
            return false;
        }
        *probes -= 1;
        if is(len) {
            return true;
        }
    }
    false
}

/// Whether a tag runs scripts or loads what does. NUL in a name does not count, as for old browsers.
pub(super) fn is_script_tag(name: &[u8]) -> bool {
    if name.len() < 3 {
        return false;
    }
    if begins(name, b"svg") || begins(name, b"xsl") {
        return true;
    }
    let mut visible = [0; NAME_MAX];
    without_nul(name, &mut visible)
        .filter(|name| name.len() <= PLAIN_NAME_MAX && name.iter().all(u8::is_ascii_alphabetic))
        .filter(|name| !begins(name, b"svg") && !begins(name, b"xsl"))
        .is_some_and(|name| asks(&[b"<", name, b">"], Html5Flags::DataState))
}

/// Whether an address has a scheme that runs scripts, however it is encoded.
pub(super) fn is_script_address(address: &[u8]) -> bool {
    let hidden = address.iter().take_while(|b| **b <= b' ' || **b >= 0x7F).count();
    let address = address.get(hidden..).unwrap_or_default();
    ["DATA", "VIEW-SOURCE", "JAVA", "VBSCRIPT"]
        .iter()
        .any(|scheme| begins_encoded(address, scheme.as_bytes()))
}

/// Whether a text with character references begins with a scheme. Space before it, NUL and line feeds do not count.
fn begins_encoded(mut text: &[u8], scheme: &[u8]) -> bool {
    let mut scheme = scheme.iter();
    let mut wanted = scheme.next();
    let mut first = true;
    while let (Some(want), false) = (wanted, text.is_empty()) {
        let (code, taken) = character(text);
        text = text.get(taken..).unwrap_or_default();
        if first && code <= 32 {
            continue;
        }
        first = false;
        if code == 0 || code == 10 {
            continue;
        }
        // Codes beyond a byte wrap around, as they do where a character is a byte.
        let byte = code.to_le_bytes()[0];
        if code > 0x7F && byte.is_ascii_lowercase() || !byte.eq_ignore_ascii_case(want) {
            return false;
        }
        wanted = scheme.next();
    }
    wanted.is_none()
}

/// The character that a text begins with, and its bytes: numeric references are decoded, others are not.
fn character(text: &[u8]) -> (u32, usize) {
    let (radix, start) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        [first, ..] => return (u32::from(*first), 1),
        [] => return (0, 1),
    };
    let mut code = 0;
    let mut at = start;
    while let Some(digit) = text.get(at).and_then(|b| char::from(*b).to_digit(radix)) {
        code = code * radix + digit;
        if code > 0x10_00FF {
            return (u32::from(b'&'), 1);
        }
        at += 1;
    }
    match text.get(at) {
        _ if at == start => (u32::from(b'&'), 1),
        Some(b';') => (code, at + 1),
        _ => (code, at),
    }
}

fn begins(name: &[u8], with: &[u8]) -> bool {
    name.get(..with.len())
        .is_some_and(|n| n.eq_ignore_ascii_case(with))
}

/// A name without its NULs; `None` for one that is longer than any on the lists.
fn without_nul<'a>(name: &[u8], visible: &'a mut [u8; NAME_MAX]) -> Option<&'a [u8]> {
    let mut len = 0;
    for byte in name.iter().filter(|b| **b != 0) {
        *visible.get_mut(len)? = *byte;
        len += 1;
    }
    visible.get(..len)
}

/// Whether the library takes these parts, one after the other, for an injection in a place.
fn asks(parts: &[&[u8]], place: Html5Flags) -> bool {
    let mut text = [0; NAME_MAX + 16];
    let mut len = 0;
    for byte in parts.iter().copied().flatten() {
        let Some(to) = text.get_mut(len) else {
            return false;
        };
        *to = *byte;
        len += 1;
    }
    XssDetector::is_xss(text.get(..len).unwrap_or_default(), place)
}
