//! An origin that speaks HTTP/2 in clear, records what it gets and answers as a test says, also with resets and GOAWAY.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::h2raw::{GOAWAY, frame};
use crate::wait::wait_for;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which connection, from 1.
    pub connection: u64,
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Fields.
    pub headers: HeaderMap,
    /// How many requests for this path came before.
    pub before: usize,
}

/// What the origin does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The body of the request, then these trailers.
    Echo(HeaderMap),
    /// This text at once, without reading the request body.
    Early(Bytes),
    /// GOAWAY that leaves this request unprocessed, then the end of the connection.
    Goaway,
    /// Closes the connection.
    Hangup,
    /// Only a head, with these fields.
    HeadOnly(HeaderMap),
    /// 103 with these fields, then the text `ok`.
    Interim(HeaderMap),
    /// Waits, then the text `ok`.
    Late(Duration),
    /// RST_STREAM.
    Reset(Reason),
}

type Handler = Box<dyn Fn(&Seen) -> Answer + Send + Sync>;

struct State {
    handler: Handler,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicU64,
    cancelled: AtomicU64,
}

/// A listening origin; it ends with this value.
pub struct H2Origin {
    address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

impl H2Origin {
    /// Answers as `handler` says when the head of a request is there.
    pub fn answering(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_streams(1000, handler)
    }

    /// As [`Self::answering`], with at most so many streams on a connection.
    pub fn with_streams(streams_max: u32, handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let state = Arc::new(State {
            handler: Box::new(handler),
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
        });
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port of the kernel's choice");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::AcqRel) + 1;
                tokio::spawn(serve(socket, number, streams_max, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no panic under the lock").clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Acquire)
    }

    /// Waits until a client has cancelled a stream.
    pub fn wait_cancelled(&self) {
        wait_for("a cancelled stream at the origin", || {
            (self.state.cancelled.load(Ordering::Acquire) > 0).then_some(())
        });
    }
}

async fn serve(socket: TcpStream, number: u64, streams_max: u32, state: Arc<State>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams_max);
    let wire = socket.into_std().expect("a socket of this runtime");
    let socket = wire
        .try_clone()
        .and_then(TcpStream::from_std)
        .expect("a second handle");
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let seen = record(&request, number, &state);
        match (state.handler)(&seen) {
            Answer::Hangup => return,
            Answer::Goaway => return leave(&wire).await,
            answer => {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    if reply(request.into_body(), respond, answer).await.is_none() {
                        state.cancelled.fetch_add(1, Ordering::AcqRel);
                    }
                });
            }
        }
    }
}

/// Says by hand what the `h2` crate does not: GOAWAY with last stream 0, though a stream was opened.
async fn leave(mut wire: &std::net::TcpStream) {
    // The other side may have closed already; then it knows as much.
    drop(wire.write_all(&frame(GOAWAY, 0, 0, &[0; 8])));
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn record(request: &Request<RecvStream>, connection: u64, state: &State) -> Seen {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    let mut all = state.seen.lock().expect("no panic under the lock");
    let seen = Seen {
        connection,
        method: request.method().to_string(),
        path: path.to_owned(),
        headers: request.headers().clone(),
        before: all.iter().filter(|known| known.path == path).count(),
    };
    all.push(seen.clone());
    seen
}

/// `None` when the client cancelled.
async fn reply(body: RecvStream, mut respond: SendResponse<Bytes>, answer: Answer) -> Option<()> {
    let ok = || Response::new(());
    match answer {
        Answer::Echo(trailers) => echo(body, respond, trailers).await,
        Answer::Early(text) => {
            let mut send = respond.send_response(ok(), false).ok()?;
            send.send_data(text, true).ok()
        }
        Answer::HeadOnly(fields) => {
            let mut head = ok();
            *head.headers_mut() = fields;
            respond.send_response(head, true).ok().map(drop)
        }
        Answer::Interim(fields) => {
            let mut head = ok();
            *head.status_mut() = http::StatusCode::EARLY_HINTS;
            *head.headers_mut() = fields;
            respond.send_informational(head).ok()?;
            let mut send = respond.send_response(ok(), false).ok()?;
            send.send_data(Bytes::from_static(b"ok"), true).ok()
        }
        Answer::Late(wait) => {
            let gone = std::future::poll_fn(|cx| respond.poll_reset(cx));
            if tokio::time::timeout(wait, gone).await.is_ok() {
                return None;
            }
            let mut send = respond.send_response(ok(), false).ok()?;
            send.send_data(Bytes::from_static(b"ok"), true).ok()
        }
        Answer::Reset(reason) => {
            respond.send_reset(reason);
            Some(())
        }
        Answer::Goaway | Answer::Hangup => Some(()),
    }
}

async fn echo(mut body: RecvStream, mut respond: SendResponse<Bytes>, trailers: HeaderMap) -> Option<()> {
    let mut send = respond.send_response(Response::new(()), false).ok()?;
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        send.send_data(piece, false).ok()?;
    }
    send.send_trailers(trailers).ok()
}
