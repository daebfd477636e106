//! Requests as `go-ftw` writes them, and a reader that is as lenient as the suites need: they send what no server
//! should accept, to see what rules say about it.

use super::suite::Input;

/// A request as bytes on a connection.
pub(super) fn write(input: &Input) -> Vec<u8> {
    if let Some(raw) = &input.encoded_request {
        return raw.clone();
    }
    let method = input.method.as_deref().unwrap_or("GET");
    let mut headers = input.headers.clone();
    let mut data = input.data.clone();
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let find = |headers: &[(String, String)], name: &str| {
        let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let add = |headers: &mut Vec<(String, String)>, name: &str, value: String| {
        if !has(headers, name) {
            headers.push((name.to_owned(), value));
        }
    };
    if input.autocomplete_headers && !data.is_empty() {
        let form = "application/x-www-form-urlencoded";
        add(&mut headers, "Content-Type", form.to_owned());
        if find(&headers, "Content-Type") == form {
            data = encode_form(&data);
        }
    }
    if find(&headers, "Content-Type").starts_with("multipart/form-data;") {
        data = with_crlf(&data);
    }
    if input.autocomplete_headers {
        add(&mut headers, "Connection", "close".to_owned());
        let may_have_body = method.starts_with("POST")
            || method.contains("PUT")
            || method.contains("PATCH")
            || method.ends_with("DELETE");
        if !data.is_empty() || may_have_body {
            let length = data.len().to_string();
            add(&mut headers, "Content-Length", length);
        }
    }
    let uri = input.uri.as_deref().unwrap_or("/");
    let version = input.version.as_deref().unwrap_or("HTTP/1.1");
    let mut out = format!("{method} {uri} {version}\r\n").into_bytes();
    for (name, value) in &headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&data);
    out
}

/// Bare line feeds become CR LF.
fn with_crlf(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

/// Form data that decoding would not change is taken for not encoded yet, pair by pair.
fn encode_form(data: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    crate::transformations::url_decode_onto(data, &mut decoded);
    let broken = crate::operators::broken_url_encoding(data);
    if broken || decoded != data {
        return data.to_vec();
    }
    let mut out = Vec::new();
    for (at, pair) in data.split(|b| *b == b'&').enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        let equals = memchr::memchr(b'=', pair);
        let (name, value) = pair.split_at(equals.unwrap_or(pair.len()));
        escape(name, &mut out);
        if equals.is_some() {
            out.push(b'=');
            escape(value.get(1..).unwrap_or_default(), &mut out);
        }
    }
    out
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) => out.push(*b),
            b => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
        }
    }
}

/// A request, read without judging it.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) protocol: Vec<u8>,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// Reads what [`write()`] made.
pub(super) fn read(raw: &[u8]) -> Request {
    let (head, body) = match memchr::memmem::find(raw, b"\r\n\r\n") {
        Some(at) => (raw.get(..at), raw.get(at + 4..)),
        None => (Some(raw), None),
    };
    let mut lines = Lines(head.unwrap_or_default());
    let mut request = Request::default();
    request_line(lines.next().unwrap_or_default(), &mut request);
    for line in lines {
        let at = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        request.fields.push((name.to_vec(), value.to_vec()));
    }
    let field = |wanted: &str| {
        let found = request
            .fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|(_, v)| v.as_slice())
    };
    let body = body.unwrap_or_default();
    let chunked = field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"));
    let length = field("content-length")
        .and_then(|v| std::str::from_utf8(v).ok())
        .and_then(|v| v.parse::<usize>().ok());
    if chunked {
        // RFC 9112 section 6.3: the transfer coding overrides the length, which is removed.
        request
            .fields
            .retain(|(n, _)| !n.eq_ignore_ascii_case(b"content-length"));
    }
    request.body = match (chunked, length) {
        (true, _) => unchunk(body),
        (false, Some(length)) => body.get(..length).unwrap_or(body).to_vec(),
        (false, None) => Vec::new(),
    };
    request
}

/// The lines of a head; only CR LF ends one, so that a bare CR or LF stays for the rules to see.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let at = memchr::memmem::find(self.0, b"\r\n").unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(at);
        self.0 = rest.get(2..).unwrap_or_default();
        Some(line)
    }
}

/// The method ends at the first space, the protocol begins after the last one; the target is all between.
fn request_line(line: &[u8], request: &mut Request) {
    let trimmed = line.trim_ascii_start();
    let leading = line.len() - trimmed.len();
    let method_end = memchr::memchr(b' ', trimmed).map_or(line.len(), |at| at + leading);
    let (method, rest) = line.split_at(method_end);
    request.method = method.to_vec();
    let rest = rest.get(1..).unwrap_or_default();
    let target_end = memchr::memrchr(b' ', rest).unwrap_or(rest.len());
    let (target, protocol) = rest.split_at(target_end);
    request.target = target.to_vec();
    request.protocol = protocol.get(1..).unwrap_or_default().to_vec();
}

/// The data of a chunked body, as far as it can be read.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        let size = rest
            .get(..at)
            .and_then(|line| std::str::from_utf8(line).ok())
            .and_then(|line| {
                usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).ok()
            });
        let (Some(size), Some(data)) = (size.filter(|n| *n > 0), rest.get(at + 2..)) else {
            break;
        };
        let take = size.min(data.len());
        out.extend_from_slice(data.get(..take).unwrap_or_default());
        rest = data.get(take + 2..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Input, read, write};

    fn input(data: &str, autocomplete: bool) -> Input {
        Input {
            method: Some("POST".to_owned()),
            uri: Some("/a b".to_owned()),
            data: data.as_bytes().to_vec(),
            autocomplete_headers: autocomplete,
            ..Input::default()
        }
    }

    #[test]
    fn forms_are_encoded_and_headers_completed() {
        let raw = write(&input("a=b c&d='", true));
        assert!(raw.ends_with(b"\r\n\r\na=b+c&d=%27"), "{}", raw.escape_ascii());
        let request = read(&raw);
        assert_eq!(
            (request.target.as_slice(), request.body.as_slice()),
            (b"/a b".as_slice(), b"a=b+c&d=%27".as_slice())
        );
        assert_eq!(write(&input("a=%41'", true)).last(), Some(&b'\''));
    }

    #[test]
    fn chunks_are_joined_and_bodies_end_where_their_length_says() {
        let mut chunked = input("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", false);
        chunked.headers = vec![("Transfer-Encoding".to_owned(), "chunked".to_owned())];
        assert_eq!(read(&write(&chunked)).body, b"abc");
        let mut short = input("abcdef", false);
        short.headers = vec![("Content-Length".to_owned(), "3".to_owned())];
        assert_eq!(read(&write(&short)).body, b"abc");
        assert_eq!(read(&write(&input("abc", false))).body, b"");
    }
}
