//! The access log: one JSON line per request, made where the request ends and written by a thread of its own; lines that are
//! lost are counted.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use weir_schema::config::checked::{AccessLog, LogSink};
use weir_schema::telemetry::record::RequestRecord;

use super::line_writer::{LineWriter, Log, Settings};
use crate::clock;
use crate::engine::request::Request;
use crate::random;

/// Lines that wait to be written.
const QUEUE_MAX: usize = 65_536;
/// Headers whose values never reach a log.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
/// Bytes of one header value, of the method, host and target in a line.
const HEADER_BYTES_MAX: usize = 1024;
const METHOD_BYTES_MAX: usize = 32;
const HOST_BYTES_MAX: usize = 255;
const TARGET_BYTES_MAX: usize = 8192;

/// Takes records and writes them.
pub(crate) struct Writer {
    lines: LineWriter<AccessLog>,
    dropped: IntCounter,
}

impl Log for AccessLog {
    fn sink(&self) -> &LogSink {
        &self.sink
    }
}

impl Writer {
    /// Starts the thread; it ends when the writer is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(dropped: IntCounter) -> io::Result<Self> {
        let lines = LineWriter::start(Settings {
            name: "access-log",
            queue_max: QUEUE_MAX,
            mode: 0o666,
            failed: dropped.clone(),
        })?;
        Ok(Self { lines, dropped })
    }

    /// Writes the record's line, unless sampling leaves it out. Failures are always written. Without a request there are no headers.
    pub(crate) fn write(&self, log: &Arc<AccessLog>, record: &RequestRecord<'_>, request: Option<&Request>) {
        let sampled = record.status >= 400 || record.status == 0 || log.sample.get() == 1;
        if !sampled && !random::next().is_multiple_of(u64::from(log.sample.get())) {
            return;
        }
        let queued = line(log, record, request).is_some_and(|line| self.lines.write(log, line));
        if !queued {
            self.dropped.inc();
        }
    }

    /// Waits until what was written so far is out, at most `limit`. Blocks. The process calls it before it ends.
    pub(crate) fn flush(&self, limit: Duration) {
        self.lines.flush(limit);
    }

    /// Opens files again, after a rotation.
    pub(crate) fn reopen(&self) {
        self.lines.reopen();
    }
}

/// One line; the names are the log's format.
#[derive(Serialize)]
struct Line<'a> {
    ts_ms: u64,
    request_id: &'a str,
    generation: u64,
    listener: &'a str,
    peer: SocketAddr,
    client: IpAddr,
    protocol: &'a str,
    tls: bool,
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    target: Cow<'a, str>,
    tenant: Option<&'a str>,
    route: Option<&'a str>,
    pool: Option<&'a str>,
    upstream: Option<SocketAddr>,
    tries: u8,
    country: Cow<'a, str>,
    asn: u32,
    status: u16,
    code: Option<&'a str>,
    outcome: &'a str,
    bytes_in: u64,
    bytes_out: u64,
    decided_us: u32,
    connected_us: u32,
    first_byte_us: u32,
    total_us: u32,
    cpu_ns: u64,
    waf_ns: u64,
    rules: &'a [u64],
    score: u32,
    headers: Headers<'a>,
}

/// The headers that the log asks for, of this request.
struct Headers<'a> {
    names: &'a [String],
    request: Option<&'a Request>,
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.names {
            if let Some(value) = self.request.and_then(|request| request.field(name.as_bytes())) {
                map.serialize_entry(name, &redacted(name, value))?;
            }
        }
        map.end()
    }
}

/// A header value as a log may show it.
fn redacted<'a>(name: &str, value: &'a [u8]) -> Cow<'a, str> {
    if SECRET_HEADERS.contains(&name) {
        return Cow::Borrowed("[redacted]");
    }
    text(value, HEADER_BYTES_MAX)
}

/// At most the first `max` bytes as text; what is not UTF-8 is replaced.
pub(super) fn text(bytes: &[u8], max: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes))
}

/// The target with the values of secret parameters replaced.
fn redacted_target<'a>(log: &AccessLog, target: &'a [u8]) -> Cow<'a, str> {
    let target = text(target, TARGET_BYTES_MAX);
    let Some((path, query)) = target.split_once('?').filter(|_| !log.redact_query.is_empty()) else {
        return target;
    };
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if log.redact_query.contains(&name.to_ascii_lowercase()) => {
            format!("{name}=[redacted]")
        }
        _ => part.to_owned(),
    });
    Cow::Owned(format!("{path}?{}", parts.collect::<Vec<_>>().join("&")))
}

/// `None` only when memory is short.
fn line(log: &AccessLog, record: &RequestRecord<'_>, request: Option<&Request>) -> Option<Vec<u8>> {
    let t = &record.timings;
    let line = Line {
        ts_ms: clock::unix_ms().saturating_sub(u64::from(t.total_us / 1000)),
        request_id: record.request_id,
        generation: record.generation,
        listener: record.listener.as_str(),
        peer: record.peer,
        client: record.client,
        protocol: record.protocol.as_str(),
        tls: record.tls,
        method: text(record.method, METHOD_BYTES_MAX),
        host: text(record.host, HOST_BYTES_MAX),
        target: redacted_target(log, record.target),
        tenant: record.tenant.map(|id| id.as_str()),
        route: record.route.map(|id| id.as_str()),
        pool: record.pool.map(|id| id.as_str()),
        upstream: record.upstream,
        tries: record.tries,
        country: String::from_utf8_lossy(&record.country),
        asn: record.asn,
        status: record.status,
        code: record.code.map(|code| code.as_str()),
        outcome: record.outcome.as_str(),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        decided_us: t.decided_us,
        connected_us: t.connected_us,
        first_byte_us: t.first_byte_us,
        total_us: t.total_us,
        cpu_ns: record.cpu_ns,
        waf_ns: record.waf_ns,
        rules: record.rules,
        score: record.score,
        headers: Headers {
            names: &log.headers,
            request,
        },
    };
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, &line).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}
