//! A unified diff of lines that are put into a file at one place.

/// Lines of a hunk before and behind the change.
const CONTEXT: usize = 3;

/// The diff of `added` put in front of line `at` (from 0) of `text`; empty when nothing is added.
pub(super) fn insertion(name: &str, text: &str, at: usize, added: &[String]) -> String {
    if added.is_empty() {
        return String::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let at = at.min(lines.len());
    let first = at.saturating_sub(CONTEXT);
    let last = (at + CONTEXT).min(lines.len());
    let before = lines.get(first..at).unwrap_or_default();
    let behind = lines.get(at..last).unwrap_or_default();
    let old = last - first;
    // A side without lines is numbered by the line before it.
    let start = if old == 0 { first } else { first + 1 };
    let mut diff = format!(
        "--- {name}\n+++ {name}\n@@ -{start},{old} +{},{} @@\n",
        first + 1,
        old + added.len()
    );
    let is_open = !text.is_empty() && !text.ends_with('\n');
    let mut line = |mark: char, line: &str| {
        diff.push(mark);
        diff.push_str(line);
        diff.push('\n');
    };
    let ends_open = is_open && behind.is_empty();
    for (index, one) in before.iter().enumerate() {
        if ends_open && index + 1 == before.len() {
            // The last line gets the end that it lacks.
            line('-', one);
            line('\\', " No newline at end of file");
            line('+', one);
        } else {
            line(' ', one);
        }
    }
    added.iter().for_each(|one| line('+', one));
    behind.iter().for_each(|one| line(' ', one));
    if is_open && !ends_open && last == lines.len() {
        line('\\', " No newline at end of file");
    }
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_has_its_place_and_context() {
        let added = ["x".to_owned(), "y".to_owned()];
        assert_eq!(
            insertion("f", "1\n2\n3\n4\n5\n", 4, &added),
            "--- f\n+++ f\n@@ -2,4 +2,6 @@\n 2\n 3\n 4\n+x\n+y\n 5\n"
        );
        assert_eq!(
            insertion("f", "", 0, &added),
            "--- f\n+++ f\n@@ -0,0 +1,2 @@\n+x\n+y\n"
        );
        assert_eq!(
            insertion("f", "1", 1, &added),
            "--- f\n+++ f\n@@ -1,1 +1,3 @@\n-1\n\\ No newline at end of file\n+1\n+x\n+y\n"
        );
        assert_eq!(insertion("f", "1\n", 1, &[]), "");
    }
}
