//! How a 16-bit code written as `%uHHHH` or `\uHHHH` becomes one byte: the way web servers of the code page 20127
//! (US-ASCII) read it, so that look-alikes of quotes, brackets and letters cannot hide an attack.

/// Latin letters with marks, U+00C0 to U+00FF, as their base letters.
const LATIN_1: &[u8; 64] =
    b"AAAAAAACEEEEIIIIDNOOOOO\xD7OUUUUY\xDE\xDFaaaaaaaceeeeiiii\xF0nooooo\xF7ouuuuy\xFEy";
/// U+0100 to U+017F likewise.
const LATIN_EXTENDED: &[u8; 128] = b"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlLlLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";

/// The byte for `code`; a code without a look-alike keeps its low byte, as decoders without a map do.
pub(super) fn to_byte(code: u16) -> u8 {
    let low = code.to_be_bytes()[1];
    let from = |table: &[u8], base: u16| table.get(usize::from(code - base)).copied().unwrap_or(low);
    match code {
        0xC0..=0xFF => from(LATIN_1, 0xC0),
        0x0100..=0x017F => from(LATIN_EXTENDED, 0x0100),
        0xFF01..=0xFF5E => low.wrapping_add(0x20),
        0x02B9 | 0x02BB | 0x02BC | 0x02C8 | 0x2018..=0x201B | 0x2032 | 0x2035 | 0x0301 => b'\'',
        0x02BA | 0x201C..=0x201F | 0x2033 | 0x030E => b'"',
        0x2000..=0x200A | 0x202F | 0x205F | 0x3000 | 0x00A0 => b' ',
        0x2010..=0x2015 | 0x2212 => b'-',
        0x2024 => b'.',
        0x2039 | 0x2329 | 0x3008 | 0x27E8 => b'<',
        0x203A | 0x232A | 0x3009 | 0x27E9 => b'>',
        0x2044 | 0x2215 => b'/',
        0x2216 => b'\\',
        0x2217 | 0x204E => b'*',
        0x2223 => b'|',
        0x2236 => b':',
        0x02C6 | 0x2303 => b'^',
        0x02CB | 0x0300 => b'`',
        0x02CD | 0x2017 => b'_',
        0x02DC | 0x223C => b'~',
        _ => low,
    }
}

/// The byte for a code in script or style escapes, where only full-width forms are folded.
pub(super) fn full_width(code: u16) -> u8 {
    let low = code.to_be_bytes()[1];
    if (0xFF01..=0xFF5E).contains(&code) {
        low.wrapping_add(0x20)
    } else {
        low
    }
}
