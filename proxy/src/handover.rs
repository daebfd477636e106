//! A running process hands its listening sockets, and the version that it serves, to a new one.
//!
//! The old process starts the program again, under the name that it was started with itself. Its listening sockets go
//! along as descriptors (systemd's `LISTEN_FDS` protocol), so that no connection is ever refused; one end of a socket pair
//! is the new one's standard input. Over it the old one says what it hands over, once, and the new one answers, once:
//! that it serves, or why it cannot. Until that answer the old one serves as if nothing had happened.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_schema::config::Document;
use weir_schema::push::Signed;

use crate::switches::Switch;
use crate::sync::first::Fallback;

/// First descriptor of systemd's socket activation protocol.
const FIRST_FD: i32 = 3;
/// Tells a process that its standard input is a process that hands over.
const HANDED_OVER: &str = "WEIR_HANDED_OVER";
/// Longest wait for the new process to serve.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest wait of the new process for what it is handed.
const OFFER_MAX: Duration = Duration::from_secs(10);
/// Bytes of an offer; a document has at most 64 MiB, and JSON may double it.
const OFFER_BYTES_MAX: u64 = 160 << 20;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What an old process hands over.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Offer {
    /// Which listener each descriptor belongs to, in order; `None` is the admin endpoint.
    pub(crate) sockets: Vec<Option<String>>,
    /// Generation that the old process serves.
    pub(crate) generation: u64,
    /// The document that it serves, unless the new process makes the same one from its arguments.
    pub(crate) document: Option<OfferedDocument>,
    /// The version from control that it serves instead of a document.
    #[serde(default)]
    pub(crate) pushed: Option<Signed>,
    /// Why that is not the document that was asked for.
    pub(crate) fallback: Option<Fallback>,
    /// Tenants that are set aside and served on an older version.
    pub(crate) kept_tenants: Vec<String>,
    /// The document of that version.
    pub(crate) kept_document: Option<OfferedDocument>,
    /// Kill switches of the WAF; `None` from a program that had none.
    #[serde(default)]
    pub(crate) waf_switches: Option<Vec<Switch>>,
}

/// A document on its way.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OfferedDocument {
    name: String,
    base: PathBuf,
    text: String,
}

impl From<Document> for OfferedDocument {
    fn from(document: Document) -> Self {
        let Document { name, base, text } = document;
        Self { name, base, text }
    }
}

impl From<OfferedDocument> for Document {
    fn from(offered: OfferedDocument) -> Self {
        let OfferedDocument { name, base, text } = offered;
        Self { name, base, text }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Serves,
    Failed(Vec<String>),
}

/// The process that hands over to this one.
pub(crate) struct Predecessor(UnixStream);

impl Predecessor {
    /// Listens to the process that started this one to hand over; `None` when nobody did.
    ///
    /// # Errors
    /// When it says nothing that can be understood.
    pub(crate) fn meet() -> io::Result<Option<(Self, Offer)>> {
        if std::env::var_os(HANDED_OVER).is_none() {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_read_timeout(Some(OFFER_MAX))?;
        let mut text = Vec::new();
        (&stream).take(OFFER_BYTES_MAX).read_to_end(&mut text)?;
        Ok(Some((Self(stream), serde_json::from_slice(&text)?)))
    }

    /// Tells that this process serves: the old one stops accepting.
    pub(crate) fn served(self) {
        self.answer(&Answer::Serves);
    }

    /// Tells why this process cannot serve: the old one goes on.
    pub(crate) fn failed(self, errors: Vec<String>) {
        self.answer(&Answer::Failed(errors));
    }

    fn answer(mut self, answer: &Answer) {
        if let Ok(text) = serde_json::to_vec(answer) {
            // An old process that is gone needs no answer.
            let _ = self.0.write_all(&text);
            let _ = self.0.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Path of this program as it was named at its start. A link is not followed: after an upgrade it leads to the new binary.
pub(crate) fn program() -> PathBuf {
    let named = std::env::args_os().next().map(PathBuf::from);
    let found = named.and_then(|name| {
        if name.components().count() > 1 {
            return std::path::absolute(name).ok();
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&folders).map(|folder| folder.join(&name));
        candidates.into_iter().find(|path| path.is_file())
    });
    found
        .or_else(|| std::env::current_exe().ok())
        .unwrap_or_else(|| PathBuf::from("weir"))
}

/// A process that was started and has not taken over yet: it ends with this value.
struct Successor {
    child: Child,
    took_over: bool,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.took_over {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn start(program: &Path, sockets: Vec<TcpListener>, input: UnixStream) -> io::Result<Successor> {
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", sockets.len().to_string())
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDS_FIRST_FD")
        .env(HANDED_OVER, "1")
        .stdin(Stdio::from(OwnedFd::from(input)));
    let mappings = (FIRST_FD..).zip(sockets).map(|(child_fd, socket)| FdMapping {
        parent_fd: OwnedFd::from(socket),
        child_fd,
    });
    command
        .fd_mappings(mappings.collect())
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Successor {
        child: command.spawn()?,
        took_over: false,
    })
}

async fn converse(stream: UnixStream, offer: &[u8]) -> io::Result<Answer> {
    stream.set_nonblocking(true)?;
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    stream.write_all(offer).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// Starts `program` with this process's arguments and hands it `sockets`. Gives the new process's id once it serves. A
/// caller that drops the future ends the new process.
///
/// # Errors
/// Why it does not serve, in sentences; nothing has changed then, and the new process is gone.
pub(crate) async fn hand_over(
    program: &Path,
    sockets: Vec<TcpListener>,
    offer: &Offer,
) -> Result<u32, Vec<String>> {
    let told = |error: io::Error| vec![format!("{}: {error}", program.display())];
    let text = serde_json::to_vec(offer).map_err(|error| told(error.into()))?;
    let (ours, theirs) = UnixStream::pair().map_err(told)?;
    let mut successor = start(program, sockets, theirs).map_err(told)?;
    match tokio::time::timeout(START_MAX, converse(ours, &text)).await {
        Ok(Ok(Answer::Serves)) => {
            successor.took_over = true;
            Ok(successor.child.id())
        }
        Ok(Ok(Answer::Failed(errors))) => Err(errors),
        Ok(Err(_)) => Err(vec![
            "the new process ended before it served; its output says why".to_owned(),
        ]),
        Err(_) => {
            let seconds = START_MAX.as_secs();
            Err(vec![format!("the new process did not serve within {seconds} s")])
        }
    }
}
