//! Splits a whole into integer parts that add up to it.

/// Splits `total` by `weights` into parts whose sum is `total` exactly, by the method of the largest remainder: each part is
/// its exact share rounded down, and what is left goes in ones to the largest remainders, earlier first among equals. So a
/// part is less than one off its exact share. With weights that are all 0 there is no share to give: all parts are 0.
pub fn split(total: u64, weights: &[u64]) -> Vec<u64> {
    let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let mut left = total;
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let exact = u128::from(total) * u128::from(*weight);
        // Never more than `total`: a weight is never more than their sum.
        let part = u64::try_from(exact / whole).unwrap_or(total);
        left -= part;
        parts.push(part);
        remainders.push((std::cmp::Reverse(exact % whole), at));
    }
    // Fewer are left than there are parts with a remainder.
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(remainders.len());
    if count > 0 {
        remainders.select_nth_unstable(count - 1);
    }
    for (_, at) in remainders.iter().take(count) {
        if let Some(part) = parts.get_mut(*at) {
            *part += 1;
        }
    }
    parts
}
