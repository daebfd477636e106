//! The test files of the `go-ftw` format (schema `ftw-tests-schema`): one rule each, tests of one or more stages.

use super::yaml::{Node, parse};

/// What is sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Input {
    pub(super) method: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) version: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) data: Vec<u8>,
    /// A whole request, which replaces all of the above.
    pub(super) encoded_request: Option<Vec<u8>>,
    /// Whether `Connection`, `Content-Length` and a form's `Content-Type` are added, and the form encoded.
    pub(super) autocomplete_headers: bool,
}

/// What must come of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub(super) status: Option<u16>,
    pub(super) ids: Vec<u64>,
    pub(super) no_ids: Vec<u64>,
    pub(super) log_matches: Option<String>,
    pub(super) log_does_not_match: Option<String>,
    /// The connection must break or be refused.
    pub(super) error: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) input: Input,
    pub(super) expected: Expected,
}

/// One test: all its stages must hold.
#[derive(Debug, Clone)]
pub(super) struct Test {
    /// `920100-4`: the rule and the number of the test.
    pub(super) name: String,
    pub(super) stages: Vec<Stage>,
}

/// Reads one file.
///
/// # Errors
/// What in it is not understood: a key that the runner would ignore is an error, not a silent pass.
pub(super) fn read(text: &str) -> Result<Vec<Test>, String> {
    let Some(root) = parse(text)? else {
        return Ok(Vec::new());
    };
    let rule = root.get("rule_id").and_then(Node::text).unwrap_or("?").to_owned();
    let tests = root.get("tests").map(Node::items).unwrap_or_default();
    tests
        .iter()
        .map(|test| {
            let number = test.get("test_id").and_then(Node::text).unwrap_or("?");
            let name = format!("{rule}-{number}");
            let stages = test.get("stages").map(Node::items).unwrap_or_default();
            let stages: Result<Vec<Stage>, String> = stages
                .iter()
                .map(|s| stage(s).map_err(|e| format!("{name}: {e}")))
                .collect();
            Ok(Test {
                name,
                stages: stages?,
            })
        })
        .collect()
}

fn stage(node: &Node) -> Result<Stage, String> {
    // Older files wrap each stage in a map with the one key `stage`.
    let node = node.get("stage").unwrap_or(node);
    let empty = Node::Map(Vec::new());
    Ok(Stage {
        input: input(node.get("input").unwrap_or(&empty))?,
        expected: expected(node.get("output").unwrap_or(&empty))?,
    })
}

fn input(node: &Node) -> Result<Input, String> {
    let mut input = Input {
        autocomplete_headers: true,
        ..Input::default()
    };
    for (key, value) in node.entries() {
        let text = || value.text().map(str::to_owned);
        match key.as_str() {
            "method" => input.method = text(),
            "uri" => input.uri = text().map(|uri| render(&uri)),
            "version" => input.version = text(),
            "headers" => {
                input.headers = value
                    .entries()
                    .iter()
                    .map(|(name, value)| (name.clone(), value.text().unwrap_or_default().to_owned()))
                    .collect();
            }
            "data" => input.data = render(value.text().unwrap_or_default()).into_bytes(),
            "encoded_data" => input.data = base64(value.text().unwrap_or_default())?,
            "encoded_request" => {
                input.encoded_request = Some(base64(value.text().unwrap_or_default())?);
            }
            "autocomplete_headers" => input.autocomplete_headers = value.text() != Some("false"),
            // Where the request is sent plays no part in process; a cookie jar only matters over connections.
            "dest_addr" | "port" | "protocol" | "save_cookie" => {}
            _ => return Err(format!("input `{key}` is not supported")),
        }
    }
    Ok(input)
}

fn expected(node: &Node) -> Result<Expected, String> {
    let mut expected = Expected::default();
    for (key, value) in node.entries() {
        match key.as_str() {
            "status" => {
                let status = value.text().unwrap_or_default().parse();
                expected.status = Some(status.map_err(|_| "a status is a number".to_owned())?);
            }
            "log" => log(value, &mut expected)?,
            "expect_error" => expected.error = Some(value.text() == Some("true")),
            // In process nothing is written late, so nothing needs a second try.
            "retry_once" => {}
            _ => return Err(format!("output `{key}` is not supported")),
        }
    }
    Ok(expected)
}

fn log(node: &Node, expected: &mut Expected) -> Result<(), String> {
    let ids = |value: &Node| -> Result<Vec<u64>, String> {
        let number = |n: &Node| n.text().and_then(|t| t.parse().ok());
        value
            .items()
            .iter()
            .map(|n| number(n).ok_or_else(|| "a rule id is a number".to_owned()))
            .collect()
    };
    for (key, value) in node.entries() {
        match key.as_str() {
            "expect_ids" => expected.ids = ids(value)?,
            "no_expect_ids" => expected.no_ids = ids(value)?,
            "match_regex" => expected.log_matches = value.text().map(str::to_owned),
            "no_match_regex" => expected.log_does_not_match = value.text().map(str::to_owned),
            _ => return Err(format!("log `{key}` is not supported")),
        }
    }
    Ok(())
}

/// Most bytes that one template may make.
const REPEAT_BYTES_MAX: usize = 1 << 20;

/// `{{ "text" | repeat N }}`, the only template that suites use; anything else stays as it is.
fn render(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let made = after
            .split_once("}}")
            .and_then(|(inside, tail)| Some((repeat(inside)?, tail)));
        match made {
            Some((made, tail)) => {
                out.push_str(&made);
                rest = tail;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn repeat(inside: &str) -> Option<String> {
    let (text, count) = inside.trim().strip_prefix('"')?.split_once("\" | repeat ")?;
    let count: usize = count.trim().parse().ok()?;
    (count.checked_mul(text.len())? <= REPEAT_BYTES_MAX).then(|| text.repeat(count))
}

/// Standard base64, with padding.
pub(super) fn base64(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.trim().trim_end_matches('=').as_bytes();
    if !bytes
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || b"+/\r\n".contains(b))
    {
        return Err("this is not base64".to_owned());
    }
    let mut out = Vec::new();
    let apply = crate::transformations::find("base64DecodeExt")
        .and_then(|at| crate::transformations::TABLE.get(at))
        .ok_or("no base64")?;
    (apply.apply)(bytes, &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{base64, read, render};

    #[test]
    fn a_test_has_stages_with_input_and_expectation() {
        let text = "rule_id: 7\ntests:\n  - test_id: 2\n    stages:\n      - input:\n          uri: /x\n          headers:\n            B: \"1\"\n            A: \"2\"\n        output:\n          status: 400\n          log:\n            expect_ids: [7, 8]\n";
        let tests = read(text).unwrap();
        assert_eq!(tests[0].name, "7-2");
        let stage = &tests[0].stages[0];
        assert_eq!(stage.input.uri.as_deref(), Some("/x"));
        assert_eq!(stage.input.headers[0], ("B".to_owned(), "1".to_owned()));
        assert_eq!(
            (stage.expected.status, stage.expected.ids.as_slice()),
            (Some(400), [7, 8].as_slice())
        );
        assert!(read("rule_id: 1\ntests:\n - test_id: 1\n   stages:\n    - input: {unknown: 1}\n").is_err());
    }

    #[test]
    fn repeat_is_rendered_and_other_braces_stay() {
        assert_eq!(render("a{{ \"xy\" | repeat 2 }}b{{c}}"), "axyxyb{{c}}");
        assert_eq!(base64("aGk=").unwrap(), b"hi");
    }
}
