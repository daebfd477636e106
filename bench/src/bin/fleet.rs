//! A fleet of simulated proxies on control's push listener: they take versions as real ones do, and acknowledge at once.
//!
//! Reads commands from standard input, a line each, and answers with a line of JSON each:
//! `open REVISION INDEX` opens all sessions, each serving that version; `await REVISION MS` waits until all were sent it, and
//! gives the times since the Unix epoch at which they acknowledged it; `snapshot` fetches the newest version as a proxy that
//! has nothing; `state` says how many sessions are open and what was sent to them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use h2::client;
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use weir_schema::push::{
    Down, FORMAT, Head, Index, JoinToken, Manifest, Messages, ObjectHash, Page, Up, encode,
};

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// What all sessions count.
#[derive(Default)]
struct Counts {
    open: AtomicU64,
    sessions: AtomicU64,
    versions: AtomicU64,
    version_bytes: AtomicU64,
    /// By revision: when each acknowledged it.
    acked: Mutex<BTreeMap<u64, Vec<u64>>>,
    errors: Mutex<BTreeMap<String, u64>>,
}

struct Link {
    requests: client::SendRequest<Bytes>,
    authority: String,
    secret: String,
}

impl Link {
    async fn open(address: SocketAddr, token: &JoinToken) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(stream)
            .await?;
        tokio::spawn(connection);
        Ok(Self {
            requests: requests.ready().await?,
            authority: address.to_string(),
            secret: token.secret.clone(),
        })
    }

    async fn ask(
        &mut self,
        path: &str,
    ) -> Result<
        (
            h2::SendStream<Bytes>,
            impl Future<Output = Result<h2::RecvStream, Failed>> + use<>,
        ),
        Failed,
    > {
        let request = Request::builder()
            .method("POST")
            .uri(format!("http://{}{path}", self.authority))
            .header("authorization", format!("Bearer {}", self.secret))
            .body(())?;
        let (answer, body) = self.requests.send_request(request, false)?;
        let answer = async move {
            let answer = answer.await?;
            if answer.status() != 200 {
                return Err(format!("status {}", answer.status()).into());
            }
            Ok(answer.into_body())
        };
        Ok((body, answer))
    }

    /// Objects, in the order asked for.
    async fn objects(&mut self, hashes: &[ObjectHash]) -> Result<Vec<Vec<u8>>, Failed> {
        let (mut body, answer) = self.ask("/push/v1/objects").await?;
        body.send_data(Bytes::from(serde_json::to_vec(hashes)?), true)?;
        let mut said = answer.await?;
        let (mut buffer, mut objects) = (Vec::new(), Vec::new());
        while let Some(bytes) = said.data().await {
            let bytes = bytes?;
            said.flow_control().release_capacity(bytes.len())?;
            buffer.extend_from_slice(&bytes);
        }
        let mut rest = &buffer[..];
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_be_bytes(*head))?;
            let (object, after) = after.split_at_checked(length).ok_or("an object was cut")?;
            objects.push(object.to_vec());
            rest = after;
        }
        if objects.len() == hashes.len() {
            Ok(objects)
        } else {
            Err("objects lack".into())
        }
    }
}

/// One session, until it ends. Its proxy serves `serving`, which it changes.
async fn session(
    address: SocketAddr,
    token: &JoinToken,
    serving: &mut Option<Head>,
    counts: &Counts,
) -> Result<(), Failed> {
    let mut link = Link::open(address, token).await?;
    let (mut up, answer) = link.ask("/push/v1/session").await?;
    let mut said = answer.await?;
    let hello = Up::Hello {
        format: FORMAT,
        program: "simulated".to_owned(),
        started_ms: 0,
        serving: *serving,
        refused: None,
    };
    up.send_data(Bytes::from(encode(&hello)?), false)?;
    counts.open.fetch_add(1, Ordering::Relaxed);
    counts.sessions.fetch_add(1, Ordering::Relaxed);
    let _open = Open(counts);
    let mut messages = Messages::default();
    while let Some(bytes) = said.data().await {
        let bytes = bytes?;
        said.flow_control().release_capacity(bytes.len())?;
        messages.feed(&bytes);
        while let Some(message) = messages.take()? {
            match serde_json::from_slice(&message)? {
                Down::Version { signed, .. } => {
                    let manifest: Manifest = serde_json::from_str(&signed.manifest)?;
                    let head = manifest.head();
                    *serving = Some(head);
                    counts.versions.fetch_add(1, Ordering::Relaxed);
                    counts
                        .version_bytes
                        .fetch_add(message.len() as u64, Ordering::Relaxed);
                    let ack = Up::Ack {
                        head,
                        generation: head.revision,
                        compile_ms: 0,
                        fetched_bytes: 0,
                        quarantined: Vec::new(),
                    };
                    up.send_data(Bytes::from(encode(&ack)?), false)?;
                    if let Ok(mut acked) = counts.acked.lock() {
                        acked.entry(head.revision).or_default().push(now_us());
                    }
                }
                Down::Ping { number } => up.send_data(Bytes::from(encode(&Up::Pong { number })?), false)?,
                Down::Welcome { .. } | Down::FramesKept { .. } | Down::Unknown => {}
            }
        }
    }
    Ok(())
}

struct Open<'a>(&'a Counts);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Dials again and again with full jitter, as real proxies do.
async fn proxy(
    address: SocketAddr,
    token: JoinToken,
    mut serving: Option<Head>,
    seed: u64,
    counts: Arc<Counts>,
) {
    let (mut bound, mut random) = (Duration::from_millis(250), seed | 1);
    loop {
        let since = std::time::Instant::now();
        if let Err(error) = session(address, &token, &mut serving, &counts).await
            && let Ok(mut errors) = counts.errors.lock()
        {
            *errors.entry(error.to_string()).or_default() += 1;
        }
        if since.elapsed() > Duration::from_secs(5) {
            bound = Duration::from_millis(250);
        }
        // xorshift64: enough for jitter.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(bound.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)).await;
        bound = (bound * 2).min(Duration::from_secs(10));
    }
}

/// Fetches everything as a proxy that has nothing: the time until all of it is here.
async fn snapshot(address: SocketAddr, token: &JoinToken) -> Result<Value, Failed> {
    let since = std::time::Instant::now();
    let mut link = Link::open(address, token).await?;
    let (mut up, answer) = link.ask("/push/v1/session").await?;
    let mut said = answer.await?;
    let hello = Up::Hello {
        format: FORMAT,
        program: "simulated".to_owned(),
        started_ms: 0,
        serving: None,
        refused: None,
    };
    up.send_data(Bytes::from(encode(&hello)?), false)?;
    let mut messages = Messages::default();
    let manifest: Manifest = 'found: loop {
        let bytes = said.data().await.ok_or("the session ended")??;
        said.flow_control().release_capacity(bytes.len())?;
        messages.feed(&bytes);
        while let Some(message) = messages.take()? {
            if let Down::Version { signed, .. } = serde_json::from_slice(&message)? {
                break 'found serde_json::from_str(&signed.manifest)?;
            }
        }
    };
    let index = link.objects(&[manifest.index]).await?.pop().ok_or("no index")?;
    let pages: Vec<ObjectHash> = serde_json::from_slice::<Index>(&index)?
        .into_iter()
        .flatten()
        .collect();
    let (mut objects, mut bytes) = (Vec::new(), index.len());
    for page in link.objects(&pages).await? {
        bytes += page.len();
        let page: Page = serde_json::from_slice(&page)?;
        objects.extend(page.into_values().map(|entry| entry.hash));
    }
    objects.sort_unstable();
    objects.dedup();
    for some in objects.chunks(2000) {
        for (hash, object) in some.iter().zip(link.objects(some).await?) {
            if ObjectHash::of(&object) != *hash {
                return Err("another object".into());
            }
            bytes += object.len();
        }
    }
    Ok(json!({"ms": since.elapsed().as_millis() as u64, "objects": objects.len(), "bytes": bytes}))
}

async fn command(
    line: &str,
    address: SocketAddr,
    tokens: &[JoinToken],
    counts: &Arc<Counts>,
) -> Result<Value, Failed> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["open", revision, index] => {
            let head = Head {
                revision: revision.parse()?,
                index: index.parse()?,
            };
            for (place, token) in tokens.iter().enumerate().skip(1) {
                let seed = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                tokio::spawn(proxy(
                    address,
                    token.clone(),
                    Some(head),
                    seed,
                    Arc::clone(counts),
                ));
            }
            while counts.open.load(Ordering::Relaxed) + 1 < tokens.len() as u64 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(json!({"open": counts.open.load(Ordering::Relaxed)}))
        }
        ["await", revision, ms] => {
            let revision: u64 = revision.parse()?;
            let wait = Duration::from_millis(ms.parse()?);
            let since = std::time::Instant::now();
            let acked = || {
                let acked = counts.acked.lock().ok();
                acked
                    .and_then(|acked| acked.get(&revision).cloned())
                    .unwrap_or_default()
            };
            while acked().len() + 1 < tokens.len() && since.elapsed() < wait {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(json!({"acked_us": acked()}))
        }
        ["snapshot"] => snapshot(address, tokens.first().ok_or("no token")?).await,
        ["state"] => Ok(json!({
            "open": counts.open.load(Ordering::Relaxed),
            "sessions": counts.sessions.load(Ordering::Relaxed),
            "versions": counts.versions.load(Ordering::Relaxed),
            "version_bytes": counts.version_bytes.load(Ordering::Relaxed),
            "errors": counts.errors.lock().map(|errors| errors.clone()).unwrap_or_default(),
        })),
        _ => Err(format!("no such command: {line}").into()),
    }
}

async fn run(address: SocketAddr, folder: PathBuf) -> Result<(), Failed> {
    let mut tokens = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|file| file.map(|file| file.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for file in files {
        tokens.push(JoinToken::decode(&std::fs::read_to_string(&file)?).ok_or("not a join token")?);
    }
    let counts = Arc::new(Counts::default());
    let (sender, mut lines) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = lines.recv().await {
        let answer = command(&line, address, &tokens, &counts).await;
        let answer = answer.unwrap_or_else(|error| json!({"error": error.to_string()}));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, folder] = arguments.as_slice() else {
        return ExitCode::from(2);
    };
    let Ok(address) = address.parse() else {
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(run(address, PathBuf::from(folder)))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
