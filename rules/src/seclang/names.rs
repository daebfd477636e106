//! The nearest valid name, for hints.

/// `did you mean X` for the candidate with the smallest edit distance, if it is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wrong = wrong.to_ascii_lowercase();
    if wrong.len() > 64 {
        return None;
    }
    valid
        .into_iter()
        .map(|name| {
            (
                distance(wrong.as_bytes(), name.to_ascii_lowercase().as_bytes()),
                name,
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= 2 + wrong.len() / 4)
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
