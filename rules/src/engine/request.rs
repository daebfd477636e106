//! What the proxy gives, as variables.

use std::sync::Arc;

use super::{Connection, Field, Mode, Options, RequestLine, Transaction, Verdict};
use crate::bodies;
use crate::compile::{EngineMode, Off, RuleSet};
use crate::engine::store::{Entry, Store, ZERO};
use crate::transformations::{base64_decode_onto, path_decode_onto, url_decode_onto};
use crate::variables::Var;

impl Transaction {
    /// Begins a transaction.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, options: &Options, connection: &Connection) -> Self {
        let mut store = Store::take(&rules);
        let buffers = std::mem::take(&mut store.buffers);
        store.budget = options.budget;
        for var in [
            Var::ReqbodyError,
            Var::MultipartStrictError,
            Var::MultipartUnmatchedBoundary,
            Var::FilesCombinedSize,
            Var::RequestBodyLength,
            Var::InboundDataError,
            Var::OutboundDataError,
        ] {
            store.set_id(var, ZERO);
        }
        let mode = match (rules.settings.engine, options.mode) {
            (EngineMode::On, Mode::DetectOnly) => EngineMode::DetectionOnly,
            (mode, _) => mode,
        };
        let (body_access, response_access) = (rules.settings.request_body, rules.settings.response_body);
        let (audit, xml_args) = (rules.settings.audit, rules.settings.xml_args);
        let off = options.rules_off.as_deref().unwrap_or_default();
        let off = if off.is_empty() {
            Off::default()
        } else {
            rules.off(off)
        };
        Self {
            rules,
            store,
            connection: *connection,
            unique_id: options.unique_id,
            now_unix_ms: options.now_unix_ms,
            clock_unix_ms: options.clock_unix_ms,
            plain: options.plain || off.plain,
            rule_clock: options.rule_clock,
            rule_ns: Vec::new(),
            collections: options.collections.clone(),
            opened: Default::default(),
            matched: None,
            head_matched: None,
            buffers,
            present: !0,
            mode,
            matches: Vec::new(),
            exceeded: false,
            audit,
            decision: None,
            budget: options.budget,
            others: 0,
            removed: off.rules,
            excluded: Vec::new(),
            processor: None,
            xml_args,
            running: 0,
            highest_severity: u8::MAX,
            full_request: None,
            reading: None,
            body_cut: false,
            force_body: false,
            body_access,
            response_access,
            content_type: Vec::new(),
            response_inspected: false,
            ended: None,
            allowed_until: 0,
        }
    }

    /// Takes the head of the request and runs phase 1.
    pub fn request_headers(&mut self, line: &RequestLine<'_>, fields: &[Field<'_>]) -> Verdict {
        let store = &mut self.store;
        store.set(Var::RequestMethod, line.method);
        store.set(Var::RequestProtocol, line.protocol);
        store.set(Var::RequestUriRaw, line.target);
        let whole = store.add_parts(&[line.method, b" ", line.target, b" ", line.protocol]);
        store.set_id(Var::RequestLine, whole);
        let uri = origin_form(line.target);
        store.set(Var::RequestUri, uri);
        let split = uri
            .iter()
            .position(|b| matches!(b, b'?' | b'#'))
            .unwrap_or(uri.len());
        let (path, tail) = uri.split_at(split);
        let query = tail.strip_prefix(b"?").unwrap_or_default();
        // Rules read the decoded path, as servers give it to them.
        let mut decoded = Vec::with_capacity(path.len());
        path_decode_onto(path, &mut decoded);
        let path = decoded.as_slice();
        store.set(Var::RequestFilename, path);
        let base = path
            .iter()
            .rposition(|b| matches!(b, b'/' | b'\\'))
            .map_or(0, |at| at + 1);
        store.set(Var::RequestBasename, path.get(base..).unwrap_or_default());
        store.set(Var::QueryString, query);
        for (name, value) in fields {
            store.push(Var::RequestHeaders, name, value);
            if name.eq_ignore_ascii_case(b"cookie") {
                cookies(value, store);
            } else if name.eq_ignore_ascii_case(b"host") {
                store.set(Var::ServerName, value);
            } else if name.eq_ignore_ascii_case(b"content-type") {
                self.content_type = value.to_vec();
            } else if name.eq_ignore_ascii_case(b"authorization") {
                store.set(
                    Var::AuthType,
                    value.split(|b| *b == b' ').next().unwrap_or_default(),
                );
                if let Some(user) = basic_user(value) {
                    store.set(Var::RemoteUser, &user);
                }
            }
        }
        let query = query.to_vec();
        let separator = self.rules.settings.argument_separator;
        let outcome = self.with_sink(|sink| bodies::urlencoded(&query, separator, Var::ArgsGet, sink));
        if let Err(fault) = outcome {
            self.fault(fault);
        }
        self.processor = processor_of(&self.content_type).map(str::to_owned);
        if let Some(processor) = &self.processor {
            self.store.set(Var::ReqbodyProcessor, processor.as_bytes());
        }
        self.run(0)
    }

    /// Takes the whole request body (empty when there is none), reads it by its type and runs phase 2.
    pub fn request_body(&mut self, body: &[u8]) -> Verdict {
        self.request_body_end(body)
    }

    /// Reads a part of the request body by its type, while the caller waits for the rest. No rule runs; where parts end
    /// makes no difference.
    pub fn request_body_chunk(&mut self, chunk: &[u8]) {
        if self.mode == EngineMode::Off || !self.body_access || self.ended.is_some() {
            return;
        }
        let mut reader = self.reading.take().unwrap_or_else(|| {
            let settings = &self.rules.settings;
            let settings = bodies::Settings {
                json_depth_max: settings.json_depth_max,
                separator: settings.argument_separator,
                file_contents: settings.file_contents,
                xml_args: self.xml_args,
            };
            bodies::Reader::new(self.processor.as_deref(), &self.content_type, &settings)
        });
        self.with_sink(|sink| reader.push(chunk, sink));
        self.reading = Some(reader);
    }

    /// Ends the request body and runs phase 2. `whole` is all of it: what was not given in parts is read now, and rules that
    /// look at the body as it was sent (`REQUEST_BODY`) see it. Who holds the body for the origin has it anyway, so no second
    /// copy is kept until now.
    pub fn request_body_end(&mut self, whole: &[u8]) -> Verdict {
        let read = self.reading.as_ref().map_or(0, bodies::Reader::length);
        match whole.get(read..) {
            Some(rest) if !rest.is_empty() => self.request_body_chunk(rest),
            _ => {}
        }
        if let Some(reader) = self.reading.take() {
            self.end_body(reader, whole);
        }
        self.run(1)
    }

    /// Notes that the body is longer than what of it is judged: `INBOUND_DATA_ERROR`. To be said before its end; that it has no
    /// proper end is then no fault.
    pub fn request_body_is_cut(&mut self) {
        self.body_cut = true;
        self.store.set(Var::InboundDataError, b"1");
    }

    /// Notes that the body is not what rules are given of it, and why: `REQBODY_ERROR`. To be said before its end.
    pub fn request_body_is_unreadable(&mut self, why: &'static str) {
        self.fault(why);
    }

    fn end_body(&mut self, reader: bodies::Reader, whole: &[u8]) {
        let raw = reader.keeps_raw();
        let cut = self.body_cut;
        let outcome = self.with_sink(|sink| reader.finish(cut, sink));
        let number = |length| i64::try_from(length).unwrap_or(i64::MAX);
        let length = self.store.add_number(number(outcome.length));
        self.store.set_id(Var::RequestBodyLength, length);
        if outcome.files_length > 0 {
            let length = self.store.add_number(number(outcome.files_length));
            self.store.set_id(Var::FilesCombinedSize, length);
        }
        // What no parser gave is judged as it was sent.
        let forced = self.force_body || outcome.fault.is_some() || outcome.open;
        if outcome.length > 0 && (raw || forced) {
            self.store.set(Var::RequestBody, whole);
        }
        if self.rules.settings.full_request {
            self.full_request = Some(self.whole_request(whole));
        }
        if let Some(fault) = outcome.fault {
            self.fault(fault);
        }
    }

    /// Runs a parser whose findings go to the store, up to the argument limit.
    fn with_sink<T>(&mut self, parse: impl FnOnce(&mut bodies::Sink<'_>) -> T) -> T {
        let store = &mut self.store;
        let arguments_max = self.rules.settings.arguments_max;
        parse(&mut |var, name, value| {
            if store.list(var).len() >= arguments_max {
                return false;
            }
            store.push(var, name, value);
            true
        })
    }

    fn fault(&mut self, fault: bodies::Fault) {
        self.store.set(Var::ReqbodyError, b"1");
        self.store.set(Var::ReqbodyErrorMsg, fault.as_bytes());
        if fault.starts_with("Multipart") {
            self.store.set(Var::MultipartStrictError, b"1");
            if fault.contains("boundary") {
                self.store.set(Var::MultipartUnmatchedBoundary, b"1");
            }
        }
    }

    /// Takes the head of the response and runs phase 3.
    pub fn response_headers(&mut self, status: u16, protocol: &[u8], fields: &[Field<'_>]) -> Verdict {
        let number = self.store.add_number(i64::from(status));
        self.store.set_id(Var::ResponseStatus, number);
        self.store.set(Var::ResponseProtocol, protocol);
        let line = self
            .store
            .add_parts(&[protocol, b" ", status.to_string().as_bytes()]);
        self.store.set_id(Var::StatusLine, line);
        for (name, value) in fields {
            self.store.push(Var::ResponseHeaders, name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                self.store.set(Var::ResponseContentType, value);
                let kind = media_type(value);
                let settings = &self.rules.settings;
                self.response_inspected = self.response_access
                    && status != 101
                    && !is_stream(&kind)
                    && settings.response_types.iter().any(|t| t.as_bytes() == kind);
            } else if name.eq_ignore_ascii_case(b"content-length") {
                self.store.set(Var::ResponseContentLength, value);
            }
        }
        self.run(2)
    }

    /// Notes that the body is longer than what of it is judged: `OUTBOUND_DATA_ERROR`. To be said before it is given.
    pub fn response_body_is_cut(&mut self) {
        self.store.set(Var::OutboundDataError, b"1");
    }

    /// Takes the response body and runs phase 4.
    pub fn response_body(&mut self, body: &[u8]) -> Verdict {
        if self.response_inspected {
            self.store.set(Var::ResponseBody, body);
        }
        self.run(3)
    }
}

/// The user's name in credentials of the scheme Basic (RFC 7617); nobody has checked the password.
fn basic_user(credentials: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = credentials.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut decoded = Vec::new();
    base64_decode_onto(rest.trim_ascii(), &mut decoded);
    let colon = memchr::memchr(b':', &decoded)?;
    decoded.truncate(colon);
    Some(decoded)
}

/// Types whose bodies have no end to wait for: they are never held, whatever `SecResponseBodyMimeType` says.
fn is_stream(kind: &[u8]) -> bool {
    kind.starts_with(b"application/grpc")
        || matches!(kind, b"text/event-stream" | b"multipart/x-mixed-replace")
}

/// The target without scheme and authority.
fn origin_form(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    match memchr::memmem::find(target, b"://") {
        Some(at) => {
            let rest = target.get(at + 3..).unwrap_or_default();
            let path = rest
                .iter()
                .position(|b| matches!(b, b'/' | b'?'))
                .unwrap_or(rest.len());
            rest.get(path..).unwrap_or_default()
        }
        None => target,
    }
}

fn cookies(header: &[u8], store: &mut Store) {
    for pair in header
        .split(|b| *b == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
    {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let name = store.intern(pair.get(..at).unwrap_or_default());
        let value = store.add_with(|out| url_decode_onto(pair.get(at + 1..).unwrap_or_default(), out));
        let value = store.merge(value);
        store.set_recurs(name);
        store.push_entry(Var::RequestCookies, Entry { name, value });
    }
}

fn media_type(content_type: &[u8]) -> Vec<u8> {
    content_type
        .split(|b| matches!(b, b';' | b','))
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase()
}

/// The parser for a content type.
fn processor_of(content_type: &[u8]) -> Option<&'static str> {
    let kind = media_type(content_type);
    match kind.as_slice() {
        b"application/x-www-form-urlencoded" => Some("URLENCODED"),
        b"multipart/form-data" => Some("MULTIPART"),
        b"application/json" | b"text/json" => Some("JSON"),
        b"application/xml" | b"text/xml" => Some("XML"),
        kind if kind.ends_with(b"+json") => Some("JSON"),
        kind if kind.ends_with(b"+xml") => Some("XML"),
        _ => None,
    }
}
