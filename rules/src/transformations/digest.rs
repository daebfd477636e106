//! `t:sha1` (FIPS 180-4) and `t:md5` (RFC 1321), for rules that compare or sample by digest; nothing secret rests
//! on them.

/// Appends the padding of both digests: 0x80, zeros, and the length in bits.
fn padded(input: &[u8], length: impl Fn(u64) -> [u8; 8]) -> Vec<u8> {
    let mut message = input.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend(length((input.len() as u64).wrapping_mul(8)));
    message
}

pub(super) fn sha1(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut state: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    for block in padded(input, u64::to_be_bytes).as_chunks::<64>().0 {
        let mut words: Vec<u32> = block
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_be_bytes(*b))
            .collect();
        for i in 16..80 {
            let word = [3, 8, 14, 16]
                .iter()
                .filter_map(|back| words.get(i - back))
                .fold(0, |x, w| x ^ w);
            words.push(word.rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5A82_7999),
                20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC),
                _ => (b ^ c ^ d, 0xCA62_C1D6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(f)
                .wrapping_add(e)
                .wrapping_add(k)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (word, add) in state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(add);
        }
    }
    out.extend(state.iter().flat_map(|word| word.to_be_bytes()));
    true
}

const MD5_SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

pub(super) fn md5(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut state: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
    for block in padded(input, u64::to_le_bytes).as_chunks::<64>().0 {
        let words: Vec<u32> = block
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b))
            .collect();
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64_usize {
            let (f, g) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            // The constants are defined as floor(2^32 * |sin(i + 1)|).
            let constant = (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let word = words.get(g).copied().unwrap_or(0);
            let shift = MD5_SHIFTS
                .get(i / 16)
                .and_then(|row| row.get(i % 4))
                .copied()
                .unwrap_or(0);
            let sum = a.wrapping_add(f).wrapping_add(constant).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
        }
        for (word, add) in state.iter_mut().zip([a, b, c, d]) {
            *word = word.wrapping_add(add);
        }
    }
    out.extend(state.iter().flat_map(|word| word.to_le_bytes()));
    true
}
