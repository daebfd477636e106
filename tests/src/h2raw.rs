//! An HTTP/2 client that sends the frames it is given, also wrong ones, and tells what came back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wait::PATIENCE;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types.
pub const DATA: u8 = 0;
/// HEADERS.
pub const HEADERS: u8 = 1;
/// PRIORITY.
pub const PRIORITY: u8 = 2;
/// RST_STREAM.
pub const RST_STREAM: u8 = 3;
/// SETTINGS.
pub const SETTINGS: u8 = 4;
/// PING.
pub const PING: u8 = 6;
/// GOAWAY.
pub const GOAWAY: u8 = 7;
/// WINDOW_UPDATE.
pub const WINDOW_UPDATE: u8 = 8;
/// CONTINUATION.
pub const CONTINUATION: u8 = 9;

/// Flags: END_STREAM, or ACK of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// END_HEADERS.
pub const END_HEADERS: u8 = 4;
/// PADDED.
pub const PADDED: u8 = 8;

/// Error codes.
pub const NO_ERROR: u32 = 0;
/// PROTOCOL_ERROR.
pub const PROTOCOL_ERROR: u32 = 1;
/// ENHANCE_YOUR_CALM.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Error code of RST_STREAM and GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// Status of a HEADERS frame that is the first on its connection with that status.
    pub fn status(&self) -> u16 {
        match self.payload[0] {
            0x88 => 200,
            0x89 => 204,
            0x8a => 206,
            0x8b => 304,
            0x8c => 400,
            0x8d => 404,
            0x8e => 500,
            _ if self.payload[1] & 0x80 == 0 => std::str::from_utf8(&self.payload[2..5])
                .ok()
                .and_then(|text| text.parse().ok())
                .expect("digits"),
            _ => huffman_digits(&self.payload[2..]),
        }
    }
}

/// Three digits in Huffman code (RFC 7541 appendix B).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u16> = bytes
        .iter()
        .take(3)
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |n, bit| n << 1 | bit);
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        if short < 3 {
            (at, status) = (at + 5, status * 10 + short);
        } else {
            (status, at) = (status * 10 + number(&bits[at..at + 6]) - 0b01_1001 + 3, at + 6);
        }
    }
    status
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// One parameter of SETTINGS.
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A field block of literals without indexing and without Huffman code: any bytes can be said.
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "a short string");
            block.push(u8::try_from(text.len()).expect("below 127"));
            block.extend_from_slice(text);
        }
    }
    block
}

/// The four pseudo fields of a request to `acme.test`, and more fields.
pub fn request(method: &str, path: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"acme.test"),
    ];
    fields.extend_from_slice(more);
    block(&fields)
}

/// One connection.
pub struct H2Raw {
    socket: TcpStream,
    buffer: Vec<u8>,
    ended: bool,
}

impl H2Raw {
    /// Connects and says nothing.
    pub fn silent(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("connect");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        socket.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        Self {
            socket,
            buffer: Vec::new(),
            ended: false,
        }
    }

    /// Connects, sends the preface and SETTINGS, and waits until ours are acknowledged.
    pub fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let mut raw = Self::silent(address);
        raw.send(PREFACE);
        raw.send(frame(SETTINGS, 0, 0, settings));
        raw.wait(|frame| frame.kind == SETTINGS && frame.flags & END_STREAM != 0)
            .expect("SETTINGS are acknowledged");
        raw.send(frame(SETTINGS, END_STREAM, 0, &[]));
        raw
    }

    /// Sends bytes; false when the peer has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// The next frame within `patience`; `None` when there is none, or when the connection ended.
    pub fn next_within(&mut self, patience: Duration) -> Option<Frame> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("read timeout");
            let mut piece = [0; 16 * 1024];
            match self.socket.read(&mut piece) {
                Ok(0) => self.ended = true,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => self.ended = true,
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let head = self.buffer.get(..9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.buffer.get(9..9 + length)?.to_vec();
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().expect("four bytes")),
            payload,
        };
        self.buffer.drain(..9 + length);
        Some(frame)
    }

    /// The next frame that is wanted, with the usual patience; others are dropped. `None` when the connection ends first.
    pub fn wait(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(frame) = self.next_within(deadline.saturating_duration_since(Instant::now())) {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// True once the peer has closed; what still comes is dropped.
    pub fn wait_end(&mut self) -> bool {
        self.wait(|_| false);
        self.ended
    }

    /// What became of a stream: its status, or that it or the connection was reset.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let told = self.wait(|frame| {
            frame.kind == GOAWAY || (frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))
        });
        match told {
            Some(frame) if frame.kind == HEADERS => Outcome::Status(frame.status()),
            Some(frame) if frame.kind == RST_STREAM => Outcome::Reset(frame.code()),
            Some(frame) => Outcome::Goaway(frame.code()),
            None if self.ended => Outcome::Closed,
            None => Outcome::Silence,
        }
    }
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection ended without a word.
    Closed,
    /// GOAWAY with this code.
    Goaway(u32),
    /// RST_STREAM with this code.
    Reset(u32),
    /// Nothing came.
    Silence,
    /// An answer.
    Status(u16),
}

impl Outcome {
    /// The request was refused, in whatever way.
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Status(status) => (400..500).contains(&status),
            Self::Reset(code) | Self::Goaway(code) => code != NO_ERROR,
            Self::Closed | Self::Silence => false,
        }
    }
}
