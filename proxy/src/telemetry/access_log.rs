//! The access log: one JSON line per request, written by a thread of its own; a full queue drops lines and counts them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;
use serde_json::{Map, Value, json};
use weir_schema::config::checked::{AccessLog, LogSink};
use weir_schema::telemetry::record::RequestRecord;

use crate::live::Live;
use crate::random;

/// Lines that wait to be written.
const QUEUE_MAX: usize = 65_536;
/// Headers whose values never reach a log.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

enum Message {
    Record(Arc<AccessLog>, Box<RequestRecord>),
    Reopen,
    /// Everything before it is on its way to the disk when this is answered.
    Flush(SyncSender<()>),
}

/// Takes records and writes them.
pub(crate) struct Writer {
    queue: SyncSender<Message>,
    dropped: IntCounter,
}

/// A header value as a log may show it, at most 1 KiB.
pub(crate) fn redacted(name: &str, value: &[u8]) -> Box<str> {
    if SECRET_HEADERS.contains(&name) {
        return "[redacted]".into();
    }
    String::from_utf8_lossy(value.get(..1024).unwrap_or(value)).into()
}

impl Writer {
    /// Starts the thread; it ends when the writer is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(dropped: IntCounter) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&records))?;
        Ok(Self { queue, dropped })
    }

    /// Writes the record's line, if the configuration asks for one.
    pub(crate) fn write(&self, live: &Live, record: RequestRecord) {
        let Some(log) = &live.access_log else { return };
        let sampled = record.status >= 400 || record.status == 0 || log.sample.get() == 1;
        if !sampled && !random::next().is_multiple_of(u64::from(log.sample.get())) {
            return;
        }
        if self
            .queue
            .try_send(Message::Record(Arc::clone(log), Box::new(record)))
            .is_err()
        {
            self.dropped.inc();
        }
    }

    /// Waits until what was written so far is out, at most `limit`. Blocks. The process calls it before it ends.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, flushed) = sync_channel(1);
        // A log that cannot keep up must not hold the end of the process.
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(limit);
        }
    }

    /// Opens files again, after a rotation.
    pub(crate) fn reopen(&self) {
        // A full queue means that lines are being dropped anyway; the next rotation asks again.
        let _ = self.queue.try_send(Message::Reopen);
    }
}

fn write_all(records: &Receiver<Message>) {
    let mut open: Option<(PathBuf, BufWriter<File>)> = None;
    loop {
        let message = match records.recv_timeout(Duration::from_millis(200)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                flush(&mut open);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => {
                flush(&mut open);
                return;
            }
        };
        match message {
            Message::Flush(done) => {
                flush(&mut open);
                // Who waited may have given up.
                let _ = done.send(());
            }
            Message::Reopen => {
                flush(&mut open);
                open = None;
            }
            Message::Record(log, record) => {
                let mut line = line(&log, &record).to_string();
                line.push('\n');
                match &log.sink {
                    LogSink::Stdout => {
                        let _ = io::stdout().lock().write_all(line.as_bytes());
                    }
                    LogSink::File(path) => {
                        if open.as_ref().is_none_or(|(now, _)| now != path) {
                            flush(&mut open);
                            let file = OpenOptions::new().create(true).append(true).open(path);
                            open = file.ok().map(|file| (path.clone(), BufWriter::new(file)));
                        }
                        if let Some((_, file)) = &mut open {
                            let _ = file.write_all(line.as_bytes());
                        }
                    }
                }
            }
        }
    }
}

fn flush(open: &mut Option<(PathBuf, BufWriter<File>)>) {
    if let Some((_, file)) = open {
        // A disk that is full loses log lines; the request path must not stop for it.
        let _ = file.flush();
    }
}

/// The target with the values of secret parameters replaced.
fn redacted_target(log: &AccessLog, target: &[u8]) -> String {
    let target = String::from_utf8_lossy(target);
    let Some((path, query)) = target.split_once('?') else {
        return target.into_owned();
    };
    if log.redact_query.is_empty() {
        return target.into_owned();
    }
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name, _)) if log.redact_query.contains(&name.to_ascii_lowercase()) => {
            format!("{name}=[redacted]")
        }
        _ => part.to_owned(),
    });
    format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
}

fn line(log: &AccessLog, record: &RequestRecord) -> Value {
    let mut headers = Map::new();
    for (name, value) in &record.logged_headers {
        headers.insert(name.to_string(), Value::from(&**value));
    }
    let t = &record.timings;
    json!({
        "ts_ms": record.started_unix_ms,
        "request_id": format!("{:032x}", record.request_id),
        "generation": record.generation,
        "listener": record.listener.as_str(),
        "peer": record.peer.to_string(),
        "client": record.client.to_string(),
        "protocol": record.protocol.as_str(),
        "tls": record.tls,
        "method": &*record.method,
        "host": &*record.host,
        "target": redacted_target(log, &record.target),
        "tenant": record.tenant.as_ref().map(|id| id.as_str()),
        "route": record.route.as_ref().map(|id| id.as_str()),
        "pool": record.pool.as_ref().map(|id| id.as_str()),
        "upstream": record.upstream.map(|address| address.to_string()),
        "tries": record.tries,
        "country": String::from_utf8_lossy(&record.country),
        "asn": record.asn,
        "status": record.status,
        "code": record.code.map(|code| code.as_str()),
        "outcome": record.outcome.as_str(),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "decided_us": t.decided_us,
        "connected_us": t.connected_us,
        "first_byte_us": t.first_byte_us,
        "total_us": t.total_us,
        "cpu_ns": record.cpu_ns,
        "waf_ns": record.waf_ns,
        "rules": record.rules,
        "score": record.score,
        "headers": headers,
    })
}
