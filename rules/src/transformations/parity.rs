//! `t:parityEven7bit`, `t:parityOdd7bit` and `t:parityZero7bit`: set the eighth bit from the other seven.

fn map(input: &[u8], out: &mut Vec<u8>, bit: impl Fn(u8) -> bool) -> bool {
    out.extend(input.iter().map(|b| {
        let low = b & 0x7F;
        if bit(low) { low | 0x80 } else { low }
    }));
    !input.is_empty()
}

pub(super) fn even(input: &[u8], out: &mut Vec<u8>) -> bool {
    map(input, out, |b| b.count_ones() % 2 == 1)
}

pub(super) fn odd(input: &[u8], out: &mut Vec<u8>) -> bool {
    map(input, out, |b| b.count_ones() % 2 == 0)
}

pub(super) fn zero(input: &[u8], out: &mut Vec<u8>) -> bool {
    map(input, out, |_| false)
}
