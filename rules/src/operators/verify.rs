//! `@verifyCC`, `@verifyCPF`, `@verifySSN` and `@verifySVNR`: numbers with a check digit. A pattern finds candidates, and
//! the digits of one must add up.

use regex_automata::meta::Regex;

/// Which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Payment cards (ISO/IEC 7812, Luhn).
    Card,
    /// Brazil's Cadastro de Pessoas Fisicas.
    Cpf,
    /// Social security numbers of the United States: they have no check digit, but values that are never given out.
    Ssn,
    /// Austria's Sozialversicherungsnummer.
    Svnr,
}

/// Candidates looked at in one value.
const CANDIDATES_MAX: usize = 64;

/// The first candidate whose digits are valid.
pub(super) fn find(number: Number, regex: &Regex, value: &[u8]) -> Option<(usize, usize)> {
    regex
        .find_iter(value)
        .take(CANDIDATES_MAX)
        .map(|found| (found.start(), found.end()))
        .find(|(from, to)| {
            let text = value.get(*from..*to).unwrap_or_default();
            let digits: Vec<u32> = text
                .iter()
                .filter(|b| b.is_ascii_digit())
                .map(|b| u32::from(b - b'0'))
                .collect();
            is_valid(number, &digits)
        })
}

fn is_valid(number: Number, digits: &[u32]) -> bool {
    match number {
        Number::Card => luhn(digits),
        Number::Cpf => cpf(digits),
        Number::Ssn => ssn(digits),
        Number::Svnr => svnr(digits),
    }
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

fn all_equal(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

fn cpf(digits: &[u32]) -> bool {
    let check = |count: usize| {
        let weights = (2..).take(count).map(|w| u32::try_from(w).unwrap_or(0));
        let sum: u32 = digits
            .iter()
            .take(count)
            .rev()
            .zip(weights)
            .map(|(d, w)| d * w)
            .sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    digits.len() == 11
        && !all_equal(digits)
        && digits.get(9) == Some(&check(9))
        && digits.get(10) == Some(&check(10))
}

fn ssn(digits: &[u32]) -> bool {
    let part = |from: usize, to: usize| {
        let part = digits.get(from..to).unwrap_or_default();
        part.iter().fold(0, |all, digit| all * 10 + digit)
    };
    let (area, group, serial) = (part(0, 3), part(3, 5), part(5, 9));
    let sequence = digits
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a + 1 == *b));
    digits.len() == 9
        && area > 0
        && area != 666
        && area < 740
        && group > 0
        && serial > 0
        && !sequence
        && !all_equal(digits)
}

fn svnr(digits: &[u32]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(d, w)| d * w).sum();
    digits.len() == 10 && !all_equal(digits) && digits.get(3) == Some(&(sum % 11))
}

#[cfg(test)]
mod tests {
    use super::{cpf, luhn, ssn, svnr};

    fn digits(text: &str) -> Vec<u32> {
        text.chars().filter_map(|c| c.to_digit(10)).collect()
    }

    #[test]
    fn check_digits_are_checked() {
        assert!(luhn(&digits("4111111111111111")) && !luhn(&digits("4111111111111112")));
        assert!(
            cpf(&digits("010.817.514-60")) && !cpf(&digits("010.817.514-61")) && !cpf(&digits("11111111111"))
        );
        assert!(ssn(&digits("574-57-8065")) && !ssn(&digits("666-57-8065")) && !ssn(&digits("123-45-6789")));
        assert!(svnr(&digits("1237 010180")) && !svnr(&digits("1238 010180")));
    }
}
