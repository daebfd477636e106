//! The client of the admin API: one request, one connection.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::address::{Address, Security, Way};
use super::trouble::Trouble;

/// For the connection, with TLS.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For an answer: control compiles what is changed, and 100,000 tenants take their time.
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Times that a question is asked again when control has too much to do.
const AGAIN_MAX: u32 = 5;
/// Longest wait before it is asked again.
const PAUSE_MAX_S: u64 = 10;

/// A question.
#[derive(Default)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// With the query.
    pub(super) path: String,
    /// Type and bytes of the body.
    pub(super) body: Option<(&'static str, Bytes)>,
    /// `*`, or a revision or tag.
    pub(super) if_match: Option<Match>,
    /// `Last-Event-ID` of a stream.
    pub(super) last_event: Option<u64>,
}

/// The state that a change is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Whatever it is.
    Any,
    /// This tag.
    Tag(u64),
}

impl Ask {
    /// GET.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            ..Self::default()
        }
    }

    /// With a JSON body.
    pub(super) fn json(method: Method, path: impl Into<String>, body: &Value) -> Self {
        Self::bytes(method, path, "application/json", body.to_string().into_bytes())
    }

    /// With a body.
    pub(super) fn bytes(method: Method, path: impl Into<String>, kind: &'static str, body: Vec<u8>) -> Self {
        Self {
            method,
            path: path.into(),
            body: Some((kind, body.into())),
            ..Self::default()
        }
    }

    /// For a state.
    pub(super) fn matching(mut self, state: Match) -> Self {
        self.if_match = Some(state);
        self
    }
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) etag: Option<u64>,
    pub(super) body: Value,
}

/// The client.
pub(crate) struct Client {
    runtime: Runtime,
    way: Way,
    token: String,
}

impl Client {
    /// For an address, with a token.
    pub(super) fn new(address: Address, security: &Security, token: String) -> Result<Self, Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Trouble::System(error.to_string()))?;
        let way = Way::new(address, security)?;
        Ok(Self { runtime, way, token })
    }

    /// GET of a path.
    pub(super) fn get(&self, path: &str) -> Result<Answer, Trouble> {
        self.ask(&Ask::get(path))
    }

    /// GET of what may not be there.
    pub(super) fn find(&self, path: &str) -> Result<Option<Answer>, Trouble> {
        match self.get(path) {
            Err(trouble) if trouble.code() == Some("not_found") => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Asks. When control has too much to do, a question is asked again after a while; a change is not.
    pub(super) fn ask(&self, ask: &Ask) -> Result<Answer, Trouble> {
        self.runtime.block_on(async {
            let mut asked = 0;
            loop {
                let (status, headers, body) = self.once(ask).await?;
                asked += 1;
                if matches!(status, 429 | 503) && ask.method == Method::GET && asked <= AGAIN_MAX {
                    let pause_s = number(&headers, "retry-after").unwrap_or(1).clamp(1, PAUSE_MAX_S);
                    tokio::time::sleep(Duration::from_secs(pause_s)).await;
                    continue;
                }
                let body: Value = serde_json::from_slice(&body)
                    .map_err(|_| self.failed("it answered with something else than JSON; is it control?"))?;
                if !(200..300).contains(&status) {
                    return Err(Trouble::answered(status, body));
                }
                let etag = number(&headers, header::ETAG.as_str());
                return Ok(Answer { etag, body });
            }
        })
    }

    async fn once(&self, ask: &Ask) -> Result<(u16, HeaderMap, Bytes), Trouble> {
        let answered = timeout(ANSWER_MAX, async {
            let response = self.send(ask).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.failed(&error.to_string()))?.to_bytes();
            Ok((parts.status.as_u16(), parts.headers, body))
        });
        answered
            .await
            .unwrap_or_else(|_| Err(self.failed("it did not answer in time")))
    }

    /// Hands the pieces of a stream to `take` as they come, until the stream ends or `take` says so.
    pub(super) fn stream(&self, ask: &Ask, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Trouble> {
        self.runtime.block_on(async {
            let response = timeout(ANSWER_MAX, self.send(ask))
                .await
                .unwrap_or_else(|_| Err(self.failed("it did not answer in time")))?;
            let status = response.status().as_u16();
            let mut body = response.into_body();
            if status != 200 {
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(|error| self.failed(&error.to_string()))?.to_bytes();
                return Err(Trouble::answered(
                    status,
                    serde_json::from_slice(&body).unwrap_or_default(),
                ));
            }
            // A sign of life comes every ten seconds.
            while let Ok(Some(Ok(frame))) = timeout(Duration::from_secs(40), body.frame()).await {
                if frame.data_ref().is_some_and(|data| !take(data)) {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn send(&self, ask: &Ask) -> Result<http::Response<Incoming>, Trouble> {
        let stream = timeout(CONNECT_MAX, self.way.connect())
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                self.failed(&format!(
                    "{error}; is control running, and is that its address? (--api, WEIR_API)"
                ))
            })?;
        let told = |error: hyper::Error| self.failed(&error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(told)?;
        tokio::spawn(connection);
        let (kind, body) = ask.body.clone().unzip();
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&ask.path)
            .header(header::HOST, self.way.address().host())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        request = match ask.if_match {
            Some(Match::Any) => request.header(header::IF_MATCH, "*"),
            Some(Match::Tag(tag)) => request.header(header::IF_MATCH, format!("\"{tag}\"")),
            None => request,
        };
        if let Some(last) = ask.last_event {
            request = request.header("last-event-id", last);
        }
        let request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| Trouble::Usage(error.to_string()))?;
        sender.send_request(request).await.map_err(told)
    }

    fn failed(&self, reason: &str) -> Trouble {
        Trouble::System(format!("control at {}: {reason}", self.way.address().shown()))
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim_matches('"').parse().ok()
}

/// A path of the API with a piece that may hold anything: all but the unreserved characters (RFC 3986 section 2.3) and, where
/// it is a path itself, the slash is percent-encoded.
pub(super) fn encode(text: &str, slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A query of what is given.
pub(super) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let given = pairs
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> = given
        .map(|(name, value)| format!("{name}={}", encode(value, false)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

/// For [`query`]: there when it is true.
pub(super) fn flag(set: bool) -> Option<String> {
    set.then(|| "true".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_goes_into_a_query() {
        assert_eq!(query(&[("a", None)]), "");
        assert_eq!(
            query(&[("a", Some("x y/&".to_owned())), ("b", None), ("c", flag(true))]),
            "?a=x%20y%2F%26&c=true"
        );
        assert_eq!(encode("files/a b.conf", true), "files/a%20b.conf");
    }
}
