//! Rounding that loses nothing: largest remainder (Hamilton's method).

use super::money::{Grains, Money};

/// Splits `total` into whole parts in proportion to `weights`, which sum exactly to it. Units left over go to the largest
/// remainders, among equal ones to the first. Without any weight the parts are as equal as can be; without parts there
/// is nothing to split.
pub fn split(total: i128, weights: &[u64]) -> Vec<i128> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if weights.is_empty() {
        return Vec::new();
    }
    if sum == 0 {
        return split(total, &vec![1; weights.len()]);
    }
    let negative = total < 0;
    let total = total.unsigned_abs();
    let mut parts: Vec<(u128, u128)> = weights
        .iter()
        .map(|weight| scaled(total, u128::from(*weight), sum))
        .collect();
    let given: u128 = parts.iter().map(|(part, _)| part).sum();
    give(&mut parts, total.saturating_sub(given));
    let signed = parts.into_iter().map(|(part, _)| {
        let part = i128::try_from(part).unwrap_or(i128::MAX);
        if negative { -part } else { part }
    });
    signed.collect()
}

/// Rounds each amount to nano-units so that the parts sum to the rounded sum (half up). The sum comes first.
pub fn round_parts(amounts: &[Grains]) -> (Money, Vec<Money>) {
    let sum: Grains = amounts.iter().copied().sum();
    let half = Grains::PER_NANO / 2;
    let total = sum.count().saturating_add(half).div_euclid(Grains::PER_NANO);
    let mut parts: Vec<(i128, u128)> = amounts
        .iter()
        .map(|amount| {
            let rest = amount.count().rem_euclid(Grains::PER_NANO);
            (amount.count().div_euclid(Grains::PER_NANO), rest.unsigned_abs())
        })
        .collect();
    let given: i128 = parts.iter().map(|(part, _)| part).sum();
    give(&mut parts, total.saturating_sub(given).unsigned_abs());
    let parts = parts.into_iter().map(|(part, _)| Money::nanos(part)).collect();
    (Money::nanos(total), parts)
}

/// `total * weight / sum` and its remainder, with a product of up to 192 bits: `weight` and `sum` are sums of `u64`.
fn scaled(total: u128, weight: u128, sum: u128) -> (u128, u128) {
    if let Some(product) = total.checked_mul(weight) {
        return (product / sum, product % sum);
    }
    // total = high * sum + low: the first product is at most `total`, and the second is that of a smaller total.
    let (high, low) = (total / sum, total % sum);
    let (mut part, mut rest) = (high.saturating_mul(weight), 0_u128);
    let (mut step_part, mut step_rest) = (0_u128, low);
    // low * weight by doubling, each step kept below `sum`, which is far below 2^127.
    let mut bits = weight;
    while bits > 0 {
        if bits & 1 == 1 {
            rest += step_rest;
            part = part.saturating_add(step_part).saturating_add(rest / sum);
            rest %= sum;
        }
        step_rest *= 2;
        step_part = step_part.saturating_mul(2).saturating_add(step_rest / sum);
        step_rest %= sum;
        bits >>= 1;
    }
    (part, rest)
}

/// Gives one more unit to each of the `units` parts with the largest remainders.
fn give<Part: Copy + From<u8> + std::ops::AddAssign>(parts: &mut [(Part, u128)], units: u128) {
    let units = usize::try_from(units).unwrap_or(usize::MAX).min(parts.len());
    if units == 0 {
        return;
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rest = |place: &usize| parts.get(*place).map_or(0, |(_, rest)| *rest);
    let by_rest = |a: &usize, b: &usize| rest(b).cmp(&rest(a)).then(a.cmp(b));
    order.select_nth_unstable_by(units - 1, by_rest);
    for place in order.into_iter().take(units) {
        if let Some((part, _)) = parts.get_mut(place) {
            *part += Part::from(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_left_over_go_to_the_largest_remainders() {
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(10, &[3, 3, 1]), [4, 4, 2]);
        assert_eq!(split(-100, &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(split(5, &[0, 0]), [3, 2]);
        assert_eq!(split(7, &[0, 9, 0]), [0, 7, 0]);
        assert!(split(7, &[]).is_empty());
    }

    #[test]
    fn products_beyond_128_bits_are_exact() {
        let total = i128::MAX;
        let parts = split(total, &[u64::MAX, 1, u64::MAX - 7]);
        assert_eq!(parts.iter().sum::<i128>(), total);
        assert!(parts[0] > parts[2] && parts[1] < total >> 60);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_total_and_are_within_one_of_their_share(
            total in -(1_i128 << 100)..(1_i128 << 100),
            weights in prop::collection::vec(any::<u32>().prop_map(u64::from), 1..40),
        ) {
            let parts = split(total, &weights);
            prop_assert_eq!(parts.iter().sum::<i128>(), total);
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            if sum > 0 && total.abs() < 1 << 90 {
                for (part, weight) in parts.iter().zip(&weights) {
                    let share = (total * i128::from(*weight)).div_euclid(sum);
                    prop_assert!((part - share).abs() <= 1);
                }
            }
        }

        #[test]
        fn rounded_parts_sum_to_the_rounded_sum(
            counts in prop::collection::vec((0_u64..1 << 40, 0_u64..1 << 50), 0..60),
        ) {
            let amounts: Vec<Grains> = counts
                .iter()
                .map(|(price, quantity)| Grains::of(Money::nanos(i128::from(*price)), *quantity, 1_000_000))
                .collect();
            let (total, parts) = round_parts(&amounts);
            prop_assert_eq!(parts.iter().copied().sum::<Money>(), total);
            let exact: i128 = amounts.iter().map(|a| a.count()).sum();
            prop_assert!((total.as_nanos() * Grains::PER_NANO - exact).abs() * 2 <= Grains::PER_NANO);
            for (part, amount) in parts.iter().zip(&amounts) {
                let rest = part.as_nanos() * Grains::PER_NANO - amount.count();
                prop_assert!(rest.abs() < Grains::PER_NANO);
            }
        }
    }
}
