//! A small origin for `weir up` without an upstream: it answers every request with what it saw.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes of a body that are read.
const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Starts the origin on a port of the kernel's choice; it ends with the process.
///
/// # Errors
/// Those of bind.
pub(crate) fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::Builder::new()
        .name("demo-origin".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&stream));
            }
        })?;
    Ok(address)
}

/// Answers requests until the connection ends; anything unexpected ends it.
fn serve(stream: &TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(75))).ok()?;
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut head = String::new();
        let mut length = 0_u64;
        let mut chunked = false;
        loop {
            let start = head.len();
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            let line = head.get(start..)?.to_ascii_lowercase();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            chunked |= line.starts_with("transfer-encoding:");
        }
        if chunked {
            length = read_chunks(&mut reader)?;
        } else {
            std::io::copy(
                &mut (&mut reader).take(length.min(BODY_BYTES_MAX)),
                &mut std::io::sink(),
            )
            .ok()?;
        }
        let body = format!(
            "Weir's demo origin saw this request, with a body of {length} bytes:\n\n{}",
            head.trim_end()
        );
        let head_only = head.starts_with("HEAD ");
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if !head_only {
            answer.push_str(&body);
        }
        out.write_all(answer.as_bytes()).ok()?;
    }
}

fn read_chunks(reader: &mut BufReader<&TcpStream>) -> Option<u64> {
    let mut total = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
        total += size;
        if total > BODY_BYTES_MAX {
            return None;
        }
        std::io::copy(&mut reader.take(size + 2), &mut std::io::sink()).ok()?;
        if size == 0 {
            return Some(total);
        }
    }
}
