//! Counters as bytes: each value as a zigzag varint; a run of zeros as a zero byte and its length as a varint. Most cells of a
//! histogram are zero, and most sums are small.

use crate::store::{StoreError, VALUES_MAX};

/// The bytes of values; zeros at the end are left out.
pub(super) fn encode(values: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    let mut zeros = 0;
    for &value in values {
        if value == 0 {
            zeros += 1;
            continue;
        }
        if zeros > 0 {
            bytes.push(0);
            varint(&mut bytes, zeros);
            zeros = 0;
        }
        varint(
            &mut bytes,
            (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned(),
        );
    }
    bytes
}

/// The values of bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<i64>, StoreError> {
    let corrupt = || StoreError::Corrupt("counters that are none".to_owned());
    let mut values = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = read(&mut rest).ok_or_else(corrupt)?;
        if number == 0 {
            let zeros = read(&mut rest)
                .and_then(|zeros| usize::try_from(zeros).ok())
                .ok_or_else(corrupt)?;
            let length = values
                .len()
                .checked_add(zeros)
                .filter(|length| *length <= VALUES_MAX)
                .ok_or_else(corrupt)?;
            values.resize(length, 0);
        } else {
            values.push((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
        if values.len() > VALUES_MAX {
            return Err(corrupt());
        }
    }
    Ok(values)
}

/// Adds place by place.
pub(super) fn add(sums: &mut Vec<i64>, values: &[i64]) -> Result<(), StoreError> {
    if sums.len() < values.len() {
        sums.resize(values.len(), 0);
    }
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sum.checked_add(*value).ok_or(StoreError::Overflow)?;
    }
    Ok(())
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_without_the_zeros_at_the_end() {
        for values in [
            &[][..],
            &[0, 0],
            &[1],
            &[0, 0, 5, 0, -3, 0],
            &[i64::MAX, i64::MIN, -1, 0, 127, 128, -128],
        ] {
            let kept = values.iter().rposition(|v| *v != 0).map_or(0, |last| last + 1);
            assert_eq!(decode(&encode(values)).unwrap(), values[..kept], "{values:?}");
        }
        let mut sparse = vec![0; VALUES_MAX];
        sparse[VALUES_MAX - 1] = 7;
        assert_eq!(encode(&sparse).len(), 4);
        assert_eq!(decode(&encode(&sparse)).unwrap(), sparse);
    }

    #[test]
    fn bytes_that_are_no_values_are_refused() {
        for bytes in [&[0x80][..], &[0], &[0, 0xff, 0xff, 0x7f], &[0xff; 11]] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_sum_over_63_bits_is_refused() {
        let mut sums = vec![i64::MAX];
        assert_eq!(add(&mut sums, &[1]), Err(StoreError::Overflow));
    }
}
