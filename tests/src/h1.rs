//! An HTTP/1.1 client that sends the bytes it is given and reads what comes back, with a deadline on everything.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::tls;
use crate::wait::PATIENCE;

/// The bytes under HTTP.
enum Wire {
    Plain(TcpStream),
    Tls(Box<tls::Stream>),
}

/// One connection.
pub struct H1 {
    wire: Wire,
    buffer: Vec<u8>,
    deadline: Duration,
}

/// A response as it came.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status line without its line end.
    pub status_line: String,
    /// The status.
    pub status: u16,
    /// Fields in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// The first field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The first trailer of that name, in any case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        find(&self.trailers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The last part of the problem type of a refusal: the stable code.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        let text = problem
            .get("code")
            .or_else(|| problem.get("type"))
            .and_then(|value| value.as_str());
        let text = text.unwrap_or_else(|| panic!("a problem without type: {problem}"));
        text.rsplit(['/', ':', '#']).next().unwrap_or(text).to_owned()
    }
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

impl H1 {
    /// Connects in clear.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        socket.set_nodelay(true).expect("TCP_NODELAY");
        socket.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        Self::over(socket)
    }

    /// Takes a cleartext connection.
    pub fn over(socket: TcpStream) -> Self {
        Self {
            wire: Wire::Plain(socket),
            buffer: Vec::new(),
            deadline: PATIENCE,
        }
    }

    /// Takes an encrypted connection.
    pub fn over_tls(stream: tls::Stream) -> Self {
        Self {
            wire: Wire::Tls(Box::new(stream)),
            buffer: Vec::new(),
            deadline: PATIENCE,
        }
    }

    /// Sets how long a read may wait for what it asks.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends bytes as they are; an error means that the peer has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let bytes = bytes.as_ref();
        match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// GET with `Host: acme.test`, and its response.
    pub fn get(&mut self, target: &str) -> Response {
        self.roundtrip(format!("GET {target} HTTP/1.1\r\nHost: acme.test\r\n\r\n"))
    }

    /// Sends bytes, ignoring a peer that closes early, and reads one response.
    pub fn roundtrip(&mut self, request: impl AsRef<[u8]>) -> Response {
        let sent = self.send(request);
        self.response()
            .unwrap_or_else(|| panic!("no response (send: {sent:?})"))
    }

    /// Half-closes: the server sees the end of input.
    pub fn finish(&mut self) {
        let socket = match &mut self.wire {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &mut stream.sock,
        };
        // The peer may have closed already; then there is nothing left to end.
        drop(socket.shutdown(Shutdown::Write));
    }

    /// The next final response to a request other than HEAD; `None` when the connection ends instead. Interim responses
    /// are skipped, except 101.
    pub fn response(&mut self) -> Option<Response> {
        self.final_response(false)
    }

    /// The next final response to a HEAD request.
    pub fn head_response(&mut self) -> Option<Response> {
        self.final_response(true)
    }

    fn final_response(&mut self, head_only: bool) -> Option<Response> {
        loop {
            let response = self.any_response(head_only)?;
            if response.status == 101 || response.status >= 200 {
                return Some(response);
            }
        }
    }

    /// The next response, interim ones included; `None` when the connection ends before one begins.
    pub fn any_response(&mut self, head_only: bool) -> Option<Response> {
        let deadline = Instant::now() + self.deadline;
        let head = self.take_head(deadline)?;
        let mut response = parse_head(&head);
        let no_body = head_only || response.status < 200 || matches!(response.status, 204 | 304);
        if no_body {
            return Some(response);
        }
        let chunked = response
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = response
            .header("content-length")
            .map(|value| value.parse::<usize>());
        if chunked {
            self.take_chunked(&mut response, deadline);
        } else if let Some(length) = length {
            let length = length.unwrap_or_else(|_| panic!("content-length is no number: {response:?}"));
            response.body = self.take(length, deadline);
        } else {
            while self.fill(deadline) {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Some(response)
    }

    /// Exactly `length` bytes after the head, for what follows a 101.
    pub fn take_bytes(&mut self, length: usize) -> Vec<u8> {
        let deadline = Instant::now() + self.deadline;
        self.take(length, deadline)
    }

    /// Whether the peer ends the connection within `patience` without sending anything more.
    pub fn closes_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.try_fill(deadline) == Filled::End && self.buffer.is_empty()
    }

    /// All bytes until the end of the connection or the deadline.
    pub fn drain(&mut self) -> Vec<u8> {
        self.drain_for(self.deadline)
    }

    /// All bytes until the end of the connection, for at most `patience`.
    pub fn drain_for(&mut self, patience: Duration) -> Vec<u8> {
        let deadline = Instant::now() + patience;
        while self.try_fill(deadline) == Filled::More {}
        std::mem::take(&mut self.buffer)
    }

    fn take_head(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.buffer.split_off(at + 4);
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            if !self.fill(deadline) {
                assert!(
                    self.buffer.is_empty(),
                    "cut head: {}",
                    String::from_utf8_lossy(&self.buffer)
                );
                return None;
            }
        }
    }

    fn take_line(&mut self, deadline: Instant) -> String {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let rest = self.buffer.split_off(at + 2);
                let line = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            assert!(self.fill(deadline), "the connection ended within a chunk line");
        }
    }

    fn take(&mut self, length: usize, deadline: Instant) -> Vec<u8> {
        while self.buffer.len() < length {
            let so_far = self.buffer.len();
            assert!(
                self.fill(deadline),
                "the connection ended after {so_far} of {length} bytes"
            );
        }
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn take_chunked(&mut self, response: &mut Response, deadline: Instant) {
        loop {
            let line = self.take_line(deadline);
            let size = line.split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
            if size == 0 {
                break;
            }
            response.body.extend(self.take(size, deadline));
            assert_eq!(self.take(2, deadline), b"\r\n", "a chunk does not end with CRLF");
        }
        loop {
            let line = self.take_line(deadline);
            let Some((name, value)) = line.split_once(':') else {
                assert!(line.is_empty(), "trailer {line:?}");
                return;
            };
            response.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads more; false at the end of the connection, a panic at the deadline.
    fn fill(&mut self, deadline: Instant) -> bool {
        match self.try_fill(deadline) {
            Filled::More => true,
            Filled::End => false,
            Filled::Late => {
                panic!(
                    "nothing more came in time; so far: {:?}",
                    String::from_utf8_lossy(&self.buffer)
                )
            }
        }
    }

    fn try_fill(&mut self, deadline: Instant) -> Filled {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Filled::Late;
        }
        let mut bytes = [0; 16 * 1024];
        let read = match &mut self.wire {
            Wire::Plain(socket) => {
                socket.set_read_timeout(Some(left)).expect("read timeout");
                socket.read(&mut bytes)
            }
            Wire::Tls(stream) => {
                stream.sock.set_read_timeout(Some(left)).expect("read timeout");
                stream.read(&mut bytes)
            }
        };
        match read {
            Ok(0) => Filled::End,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Filled::More
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Filled::Late,
                ErrorKind::Interrupted => Filled::More,
                _ => Filled::End,
            },
        }
    }
}

#[derive(PartialEq)]
enum Filled {
    More,
    End,
    Late,
}

fn parse_head(head: &[u8]) -> Response {
    let text = String::from_utf8_lossy(head).into_owned();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or("").to_owned();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {status_line:?}"));
    let headers = lines.map(|line| {
        let (name, value) = line
            .split_once(':')
            .unwrap_or_else(|| panic!("no field: {line:?}"));
        (name.to_owned(), value.trim().to_owned())
    });
    Response {
        status,
        headers: headers.collect(),
        status_line,
        ..Response::default()
    }
}
