//! An origin on threads that records every request it gets and answers as a test says, also wrongly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::Digest;

use crate::hex;
use crate::wait::{PATIENCE, wait_for};

/// Bytes of a body that are kept as they are; the hash covers all.
const BODY_KEPT_BYTES: usize = 64 * 1024;

/// A request as it reached the origin.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Which connection it came on, from 1.
    pub connection: u64,
    /// Method.
    pub method: String,
    /// Target as sent.
    pub target: String,
    /// Protocol version as sent.
    pub version: String,
    /// Fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The first 64 KiB of the decoded body.
    pub body: Vec<u8>,
    /// Length of the decoded body in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the decoded body, lower-case hex.
    pub body_sha256: String,
    /// Trailer fields.
    pub trailers: Vec<(String, String)>,
}

impl Seen {
    /// The first field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self
            .headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }
}

/// One step of an answer.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Pause(Duration),
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    Close,
    Echo,
    Keep,
}

/// What the origin does with a request.
#[derive(Clone, Debug)]
pub struct Answer {
    steps: Vec<Step>,
    after: After,
}

impl Answer {
    /// A response with Content-Length.
    pub fn full(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = head(status, headers);
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }

    /// A 200 with a text.
    pub fn text(body: &str) -> Self {
        Self::full(200, &[("Content-Type", "text/plain")], body.as_bytes())
    }

    /// A chunked 200.
    pub fn chunked(chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Self {
        let mut bytes = head(200, &[("Transfer-Encoding", "chunked")]);
        bytes.extend_from_slice(b"\r\n");
        for chunk in chunks {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        Self::raw(bytes)
    }

    /// These bytes; the connection stays open.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            steps: vec![Step::Bytes(bytes.into())],
            after: After::Keep,
        }
    }

    /// A 101 to `websocket`, then every byte comes back.
    pub fn websocket_echo() -> Self {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        Self {
            steps: vec![Step::Bytes(head.into())],
            after: After::Echo,
        }
    }

    /// Waits before what follows.
    #[must_use]
    pub fn delayed(mut self, pause: Duration) -> Self {
        self.steps.insert(0, Step::Pause(pause));
        self
    }

    /// Sends these bytes after a pause.
    #[must_use]
    pub fn then(mut self, pause: Duration, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.extend([Step::Pause(pause), Step::Bytes(bytes.into())]);
        self
    }

    /// Closes the connection at the end.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.after = After::Close;
        self
    }
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}

type Handler = Box<dyn Fn(&Seen) -> Answer + Send + Sync>;

struct State {
    handler: Handler,
    seen: Mutex<Vec<Seen>>,
    bytes_in: AtomicU64,
    connections: AtomicU64,
    stop: AtomicBool,
}

/// A listening origin; it ends with this value.
pub struct Origin {
    address: SocketAddr,
    state: Arc<State>,
}

impl Origin {
    /// Answers every request with `200 ok`.
    pub fn start() -> Self {
        Self::answering(|_| Answer::text("ok"))
    }

    /// Answers as `handler` says, after the whole request has been read.
    pub fn answering(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the kernel's choice");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            handler: Box::new(handler),
            seen: Mutex::default(),
            bytes_in: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if shared.stop.load(Ordering::Acquire) {
                    return;
                }
                let connection = shared.connections.fetch_add(1, Ordering::AcqRel) + 1;
                let shared = Arc::clone(&shared);
                // An error on a connection is what a test provokes; what arrived until then is recorded.
                thread::spawn(move || drop(serve(&socket, connection, &shared)));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far that arrived in full.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic under the lock").clone()
    }

    /// Waits until exactly or more than `count` requests arrived, and gives them.
    pub fn wait_seen(&self, count: usize) -> Vec<Seen> {
        wait_for(&format!("{count} requests at the origin"), || {
            Some(self.seen()).filter(|s| s.len() >= count)
        })
    }

    /// Bytes that arrived, also of requests that never became whole. 0: the origin saw nothing.
    pub fn bytes_in(&self) -> u64 {
        self.state.bytes_in.load(Ordering::Acquire)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Acquire)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        // Wakes the accept loop; if that fails the loop has ended already.
        drop(TcpStream::connect_timeout(&self.address, PATIENCE));
    }
}

/// Counts what passes.
struct Counted<'a> {
    socket: &'a TcpStream,
    state: &'a State,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut socket = self.socket;
        let count = socket.read(buffer)?;
        self.state.bytes_in.fetch_add(count as u64, Ordering::AcqRel);
        Ok(count)
    }
}

fn serve(socket: &TcpStream, connection: u64, state: &State) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut writer = socket;
    let mut reader = BufReader::with_capacity(64 * 1024, Counted { socket, state });
    while let Some(mut seen) = read_head(&mut reader)? {
        seen.connection = connection;
        if seen
            .header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        read_body(&mut reader, &mut seen)?;
        let answer = (state.handler)(&seen);
        state.seen.lock().expect("no panic under the lock").push(seen);
        for step in answer.steps {
            match step {
                Step::Bytes(bytes) => writer.write_all(&bytes)?,
                Step::Pause(pause) => thread::sleep(pause),
            }
        }
        match answer.after {
            After::Keep => {}
            After::Close => return socket.shutdown(std::net::Shutdown::Both),
            After::Echo => return std::io::copy(&mut reader, &mut writer).map(drop),
        }
    }
    Ok(())
}

fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

fn read_head(reader: &mut impl BufRead) -> std::io::Result<Option<Seen>> {
    let Some(line) = read_line(reader)? else {
        return Ok(None);
    };
    let mut parts = line.splitn(3, ' ').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let mut seen = Seen {
        method: part(),
        target: part(),
        version: part(),
        ..Seen::default()
    };
    seen.headers = read_fields(reader)?;
    Ok(Some(seen))
}

fn read_fields(reader: &mut impl BufRead) -> std::io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(fields)
}

/// The body as it comes: hash of all, the first part kept.
#[derive(Default)]
struct Body {
    hash: sha2::Sha256,
    kept: Vec<u8>,
    bytes: u64,
}

impl Body {
    fn copy(&mut self, reader: &mut impl Read, length: u64) -> std::io::Result<()> {
        let mut left = length;
        let mut buffer = [0; 16 * 1024];
        while left > 0 {
            let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = reader.read(&mut buffer[..want])?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.hash.update(&buffer[..count]);
            let keep = BODY_KEPT_BYTES.saturating_sub(self.kept.len()).min(count);
            self.kept.extend_from_slice(&buffer[..keep]);
            self.bytes += count as u64;
            left -= count as u64;
        }
        Ok(())
    }
}

fn read_body(reader: &mut impl BufRead, seen: &mut Seen) -> std::io::Result<()> {
    let mut body = Body::default();
    if seen
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    {
        loop {
            let line = read_line(reader)?.unwrap_or_default();
            let size = line.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(size, 16).map_err(std::io::Error::other)?;
            if size == 0 {
                break;
            }
            body.copy(reader, size)?;
            read_line(reader)?;
        }
        seen.trailers = read_fields(reader)?;
    } else if let Some(length) = seen.header("content-length") {
        body.copy(reader, length.parse().map_err(std::io::Error::other)?)?;
    }
    seen.body_sha256 = hex(&body.hash.finalize());
    seen.body_bytes = body.bytes;
    seen.body = body.kept;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::H1;
    use crate::{noise, sha256_hex};

    #[test]
    fn a_length_body_is_recorded_with_its_hash() {
        let origin = Origin::start();
        let body = noise(70_000, 7);
        let mut request = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        let response = H1::connect(origin.address()).roundtrip(request);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        let seen = origin.seen();
        assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/a"));
        assert_eq!(
            (seen[0].body_bytes, &seen[0].body_sha256),
            (70_000, &sha256_hex(&body))
        );
    }

    #[test]
    fn a_chunked_exchange_keeps_trailers_both_ways() {
        let origin = Origin::answering(|_| Answer::chunked(&[b"ab", b"c"], &[("x-end", "1")]));
        let mut client = H1::connect(origin.address());
        let request = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nx-sum: 9\r\n\r\n";
        let response = client.roundtrip(request);
        assert_eq!(
            (response.text().as_str(), response.trailer("X-End")),
            ("abc", Some("1"))
        );
        let seen = origin.seen();
        assert_eq!(seen[0].body, b"xyz");
        assert_eq!(seen[0].trailers, [("x-sum".to_owned(), "9".to_owned())]);
    }

    #[test]
    fn an_answer_can_end_the_connection_and_an_upgrade_echoes() {
        let origin = Origin::answering(|seen| match seen.target.as_str() {
            "/ws" => Answer::websocket_echo(),
            _ => Answer::raw("HTTP/1.1 200 OK\r\n\r\ncut").then_close(),
        });
        let mut client = H1::connect(origin.address());
        assert_eq!(client.get("/").text(), "cut");
        let mut client = H1::connect(origin.address());
        assert_eq!(client.get("/ws").status, 101);
        client.send("ping").unwrap();
        assert_eq!(client.take_bytes(4), b"ping");
        assert_eq!(origin.connections(), 2);
    }
}
