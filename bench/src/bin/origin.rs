//! The upstream of the load runs: one thread, keep-alive, fixed answers, loopback only.
//!
//! `weir-bench-origin [PORT [NAME]]` binds 127.0.0.1:PORT (0, the default, lets the kernel choose), prints
//! `{"event":"listening","address":"127.0.0.1:PORT"}` and serves until it is stopped. NAME goes into the field `server`.
//!
//! `/64k` and `/1m` answer with that many bytes, every other path with 1 KiB. A body with `content-length` is read
//! and dropped; a chunked one is answered with 411, because no load here sends one. It is no general server: heads
//! are trusted to be well-formed, as only proxies under test connect.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Most connections served at once; further ones wait in the accept queue.
const CONNECTIONS_MAX: usize = 16_384;
/// Longest request head accepted, in bytes. A connection that exceeds it is closed.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

const REFUSE_CHUNKED: &[u8] =
    b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A complete answer in one buffer, so that it leaves in one write.
struct Answer {
    bytes: Vec<u8>,
    head_bytes: usize,
}

impl Answer {
    fn of(body_bytes: usize, name: &str) -> Self {
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nserver: {name}\r\ncontent-type: application/octet-stream\r\ncontent-length: {body_bytes}\r\n\r\n"
        )
        .into_bytes();
        let head_bytes = bytes.len();
        bytes.resize(head_bytes + body_bytes, b'x');
        Self { bytes, head_bytes }
    }
}

struct Answers {
    one_kib: Answer,
    kib_64: Answer,
    one_mib: Answer,
}

impl Answers {
    fn to(&self, path: &[u8]) -> &Answer {
        match path {
            b"/64k" => &self.kib_64,
            b"/1m" => &self.one_mib,
            _ => &self.one_kib,
        }
    }
}

/// What the origin needs to know of one request head.
struct Request<'a> {
    method: &'a [u8],
    path: &'a [u8],
    body_bytes: u64,
    chunked: bool,
    close: bool,
}

impl<'a> Request<'a> {
    /// Reads a head that ends before its blank line; `None` when it has no request line of three parts.
    fn parse(head: &'a [u8]) -> Option<Self> {
        let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
        let mut words = lines.next()?.split(|b| *b == b' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let path = target.split(|b| *b == b'?').next().unwrap_or(target);
        let mut request = Self {
            method,
            path,
            body_bytes: 0,
            chunked: false,
            close: version == b"HTTP/1.0",
        };
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                request.body_bytes = std::str::from_utf8(value).ok()?.parse().ok()?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                request.chunked = true;
            } else if name.eq_ignore_ascii_case(b"connection") {
                request.close |= value.eq_ignore_ascii_case(b"close");
            }
        }
        Some(request)
    }
}

fn main() -> io::Result<()> {
    let port = match std::env::args().nth(1).map(|text| text.parse::<u16>()) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
    };
    let name = std::env::args().nth(2).unwrap_or_else(|| "origin".to_owned());
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let error = "NAME must be of a-z A-Z 0-9";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(port, &name))
}

async fn serve(port: u16, name: &str) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    announce(listener.local_addr()?)?;
    let answers = Arc::new(Answers {
        one_kib: Answer::of(1024, name),
        kib_64: Answer::of(64 * 1024, name),
        one_mib: Answer::of(1024 * 1024, name),
    });
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let seat = Arc::clone(&seats)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, _) = listener.accept().await?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            // A peer that resets its connection is ordinary at the end of a load run.
            let _ = converse(stream, &answers).await;
            drop(seat);
        });
    }
}

/// The line that `peers.py` waits for.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{{\"event\":\"listening\",\"address\":\"{address}\"}}")?;
    out.flush()
}

/// Answers the requests of one connection, pipelined or not, until either side closes it.
async fn converse(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer: Vec<u8> = Vec::with_capacity(READ_BYTES);
    loop {
        let Some(end) = memmem::find(&buffer, b"\r\n\r\n") else {
            if buffer.len() > HEAD_BYTES_MAX || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let Some(request) = buffer.get(..end).and_then(Request::parse) else {
            return Ok(());
        };
        if request.chunked {
            return stream.write_all(REFUSE_CHUNKED).await;
        }
        let answer = answers.to(request.path);
        let sent = if request.method == b"HEAD" {
            answer.head_bytes
        } else {
            answer.bytes.len()
        };
        let (close, body_bytes) = (request.close, request.body_bytes);
        buffer.drain(..end + 4);
        drop_body(&mut stream, &mut buffer, body_bytes).await?;
        stream
            .write_all(answer.bytes.get(..sent).unwrap_or_default())
            .await?;
        if close {
            return stream.shutdown().await;
        }
    }
}

/// Reads `left` bytes of body, first from what is buffered, and forgets them.
async fn drop_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, left: u64) -> io::Result<()> {
    let mut left = left;
    loop {
        let now = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        buffer.drain(..now);
        left -= now as u64;
        if left == 0 {
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_gives_path_without_query_and_body_length() {
        let request = Request::parse(b"POST /64k?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 70").unwrap();
        assert_eq!((request.path, request.body_bytes), (&b"/64k"[..], 70));
        assert!(!request.close && !request.chunked);
    }

    #[test]
    fn http_1_0_and_connection_close_end_the_connection() {
        assert!(Request::parse(b"GET / HTTP/1.0").unwrap().close);
        assert!(
            Request::parse(b"GET / HTTP/1.1\r\nConnection: Close")
                .unwrap()
                .close
        );
    }

    #[tokio::test]
    async fn pipelined_requests_with_a_body_between_are_answered_in_order() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let answers = Answers {
                one_kib: Answer::of(1024, "origin"),
                kib_64: Answer::of(65_536, "origin"),
                one_mib: Answer::of(1_048_576, "origin"),
            };
            converse(stream, &answers).await
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhelloHEAD /64k HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        server.await.unwrap().unwrap();
        let expected = [
            Answer::of(1024, "origin").bytes,
            Answer::of(65_536, "origin")
                .bytes
                .get(..Answer::of(65_536, "origin").head_bytes)
                .unwrap()
                .to_vec(),
            Answer::of(1024, "origin").bytes,
        ]
        .concat();
        assert_eq!(got, expected);
    }
}
