//! Recorded requests: a JSON list, one JSON object per line, or a HAR file.

use std::path::Path;

use serde_json::Value;

/// A request as it was recorded.
pub(crate) struct Request {
    /// What it is called in reports.
    pub(crate) name: String,
    /// Its method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) uri: String,
    /// Names and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The whole body.
    pub(crate) body: String,
}

impl Request {
    /// The headers as the engine takes them.
    pub(crate) fn fields(&self) -> Vec<(&[u8], &[u8])> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect()
    }
}

/// Reads a file of requests.
///
/// # Errors
/// What cannot be read, with the number of the request.
pub(crate) fn read(path: &Path) -> Result<Vec<Request>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Request>, String> {
    let values: Vec<Value> = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => list,
        Ok(one) => match one.pointer("/log/entries").and_then(Value::as_array) {
            Some(entries) => entries.clone(),
            None => vec![one],
        },
        Err(_) => text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).map_err(|e| e.to_string()))
            .collect::<Result<_, String>>()?,
    };
    let all = values.iter().enumerate();
    all.map(|(at, value)| {
        request(value, at + 1).ok_or_else(|| format!("request {} is not understood", at + 1))
    })
    .collect()
}

/// One request: `{name, method, uri, headers: [[name, value]], body}`, or an entry of a HAR file.
fn request(value: &Value, number: usize) -> Option<Request> {
    let inner = value.get("request").unwrap_or(value);
    let text = |key: &str| inner.get(key).and_then(Value::as_str).map(str::to_owned);
    let header = |header: &Value| {
        let part = |at: usize, key: &str| header.get(at).or_else(|| header.get(key)).and_then(Value::as_str);
        Some((part(0, "name")?.to_owned(), part(1, "value")?.to_owned()))
    };
    let headers = inner.get("headers").and_then(Value::as_array);
    let headers: Option<Vec<_>> = headers.into_iter().flatten().map(header).collect();
    let uri = text("uri").or_else(|| text("url"))?;
    let body = text("body").or_else(|| {
        let data = inner.pointer("/postData/text").and_then(Value::as_str);
        data.map(str::to_owned)
    });
    Some(Request {
        name: text("name").unwrap_or_else(|| format!("#{number}")),
        method: text("method").unwrap_or_else(|| "GET".to_owned()),
        uri: origin_form(&uri),
        // HAR files of HTTP/2 list pseudo-headers.
        headers: headers?
            .into_iter()
            .filter(|(name, _)| !name.starts_with(':'))
            .collect(),
        body: body.unwrap_or_default(),
    })
}

/// HAR files have whole URLs.
fn origin_form(url: &str) -> String {
    let Some((_, rest)) = url.split_once("://").filter(|_| !url.starts_with('/')) else {
        return url.to_owned();
    };
    let path = rest.find(['/', '?']).and_then(|at| rest.get(at..));
    match path {
        Some(path) if path.starts_with('/') => path.to_owned(),
        Some(query) => format!("/{query}"),
        None => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lists_lines_and_har_files_are_read() {
        let list = r#"[{"name": "a", "method": "GET", "uri": "/x", "headers": [["Host", "h"]], "body": ""}]"#;
        let lines = "{\"uri\": \"/x\", \"headers\": []}\n{\"uri\": \"/y\", \"headers\": []}\n";
        let har = r#"{"log": {"entries": [{"request": {"method": "POST", "url": "https://h.test/z?a=1",
            "headers": [{"name": ":path", "value": "/"}, {"name": "A", "value": "b"}], "postData": {"text": "x=1"}}}]}}"#;
        let read = |text: &str| parse(text).unwrap();
        assert_eq!(
            (read(list)[0].uri.as_str(), read(list)[0].headers.len()),
            ("/x", 1)
        );
        assert_eq!(read(lines)[1].name, "#2");
        let har = read(har);
        assert_eq!(
            (har[0].uri.as_str(), har[0].headers.len(), har[0].body.as_str()),
            ("/z?a=1", 1, "x=1")
        );
        assert!(parse("[{}]").is_err());
    }
}
