//! Asks a running proxy over its admin endpoint.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// For the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// POST of a path and a JSON body, which may be empty; gives status and answer. `patience` is how long the proxy may take.
///
/// # Errors
/// A sentence on why nothing was answered.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    body: &str,
    patience: Duration,
) -> Result<(u16, Value), String> {
    ask("POST", address, path, body, patience)
}

/// GET of a path; gives status and answer.
///
/// # Errors
/// A sentence on why nothing was answered.
pub(crate) fn get(address: SocketAddr, path: &str, patience: Duration) -> Result<(u16, Value), String> {
    ask("GET", address, path, "", patience)
}

fn ask(
    method: &str,
    address: SocketAddr,
    path: &str,
    body: &str,
    patience: Duration,
) -> Result<(u16, Value), String> {
    let address = reachable(address);
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(patience))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("admin endpoint {address}: {error}"))?;
    parse(&answer).ok_or_else(|| format!("admin endpoint {address}: no answer that weir understands"))
}

/// An address that says "all interfaces" is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Status and JSON body. The endpoint answers with a length, and closes as it was asked to: the body is what is left.
fn parse(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_json() {
        let answer = "HTTP/1.1 409 Conflict\r\ncontent-length: 9\r\n\r\n{\"pid\":7}";
        let (status, body) = parse(answer).unwrap();
        assert_eq!((status, body["pid"].as_u64()), (409, Some(7)));
        assert!(parse("HTTP/1.1 200 OK\r\n\r\nok").is_none());
    }

    #[test]
    fn an_endpoint_on_all_interfaces_is_reached_over_loopback() {
        assert_eq!(
            reachable("0.0.0.0:9901".parse().unwrap()).to_string(),
            "127.0.0.1:9901"
        );
    }
}
