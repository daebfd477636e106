//! An origin that is a process of its own: it can be killed, comes back on its port, and keeps a ledger of what it did.
//!
//! The process is this test binary once more, told by a variable to be an origin ([`serve_if_asked`]). The parent holds
//! the port with a socket that does not listen, so while the origin is down nobody else gets it and it refuses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use crate::wait::wait_for;

const VARIABLE: &str = "WEIR_TEST_ORIGIN";

/// What one of the requests that reach an origin meets; by the request's number, so that runs repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before a byte is read.
    BeforeRead,
    /// The request is read, nothing is done, and the connection ends.
    AfterRead,
    /// The request is done, and the connection ends without an answer.
    AfterAppend,
    /// The request is done, and half of the answer comes.
    MidResponse,
    /// The request is done, and the process dies.
    Die,
}

impl Fault {
    const ALL: [Self; 5] = [
        Self::BeforeRead,
        Self::AfterRead,
        Self::AfterAppend,
        Self::MidResponse,
        Self::Die,
    ];
}

/// A line of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The request's `x-id`.
    pub id: String,
    /// Method.
    pub method: String,
    /// The answer was cut on purpose.
    pub cut: bool,
}

/// An origin process; it ends with this value.
pub struct OriginProcess {
    address: SocketAddr,
    _port: OwnedFd,
    ledger: PathBuf,
    test: &'static str,
    faulty: bool,
    child: Mutex<Option<Child>>,
}

impl OriginProcess {
    /// Starts it. `test` is the full name of the ignored test that calls [`serve_if_asked`]; a faulty one does a
    /// [`Fault`] with every second request.
    pub fn start(folder: &Path, name: &str, test: &'static str, faulty: bool) -> Self {
        let port = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&port, true).expect("SO_REUSEADDR");
        bind(&port, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of the kernel's choice");
        let address = rustix::net::getsockname(&port).expect("bound");
        let origin = Self {
            address: SocketAddr::try_from(address).expect("an IP address"),
            _port: port,
            ledger: folder.join(name),
            test,
            faulty,
            child: Mutex::new(None),
        };
        origin.revive();
        origin
    }

    /// Where it is, also while it is down.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().expect("no panic under the lock").take() {
            child.kill().expect("the process is there or was not waited for");
            child.wait().expect("it ended");
        }
    }

    /// Starts it again if it has ended, and waits until it accepts.
    pub fn revive(&self) {
        let mut child = self.child.lock().expect("no panic under the lock");
        let ended = child
            .as_mut()
            .is_none_or(|child| child.try_wait().expect("waitable").is_some());
        if !ended {
            return;
        }
        let program = std::env::current_exe().expect("path of this test");
        let order = format!(
            "{} {} {}",
            self.address,
            u8::from(self.faulty),
            self.ledger.display()
        );
        *child = Some(
            Command::new(program)
                .args([self.test, "--exact", "--ignored", "--nocapture"])
                .env(VARIABLE, order)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("this binary starts"),
        );
        wait_for("the origin to accept", || TcpStream::connect(self.address).ok());
    }

    /// Whether the process has ended.
    pub fn is_down(&self) -> bool {
        let mut child = self.child.lock().expect("no panic under the lock");
        child
            .as_mut()
            .is_none_or(|child| child.try_wait().expect("waitable").is_some())
    }

    /// All that it did so far.
    pub fn ledger(&self) -> Vec<Entry> {
        let text = std::fs::read_to_string(&self.ledger).unwrap_or_default();
        let entry = |line: &str| {
            let mut parts = line.split(' ').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            Entry {
                id: part(),
                method: part(),
                cut: part() == "cut",
            }
        };
        text.lines().map(entry).collect()
    }
}

impl Drop for OriginProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Serves until it is killed when this process was started to be an origin; else returns at once.
pub fn serve_if_asked() {
    let Ok(order) = std::env::var(VARIABLE) else {
        return;
    };
    let mut parts = order.splitn(3, ' ');
    let mut part = || parts.next().expect("three parts").to_owned();
    let (address, faulty, ledger) = (part(), part() == "1", part());
    let listener = TcpListener::bind(&address).expect("the port that the parent holds");
    let mut options = std::fs::OpenOptions::new();
    let ledger = options.create(true).append(true).open(ledger).expect("a ledger");
    // A process that came back goes on with other faults than the last.
    let count = AtomicU64::new(u64::from(std::process::id()));
    std::thread::scope(|scope| {
        for socket in listener.incoming().flatten() {
            // An error on a connection is what the test provokes.
            scope.spawn(|| drop(serve(socket, &ledger, faulty.then_some(&count))));
        }
    });
}

fn serve(socket: TcpStream, mut ledger: &std::fs::File, count: Option<&AtomicU64>) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(&socket), &socket);
    loop {
        let at = count.map(|count| count.fetch_add(1, Ordering::AcqRel));
        let fault = at.filter(|at| at % 2 == 0).map(|at| at / 2 % 20);
        // Dying is rarer than the rest.
        let fault = fault.and_then(|at| match at {
            19 => Some(Fault::Die),
            at => Fault::ALL.get((at % 4) as usize).copied(),
        });
        if fault == Some(Fault::BeforeRead) {
            socket.peek(&mut [0])?;
            // Unread bytes make the kernel send a reset.
            return Ok(());
        }
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let method = line.split(' ').next().unwrap_or_default().to_owned();
        let (mut id, mut length) = (String::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            match name {
                "x-id" => id = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        if fault == Some(Fault::AfterRead) {
            return Ok(());
        }
        if !id.is_empty() {
            let cut = if fault == Some(Fault::MidResponse) {
                "cut"
            } else {
                "-"
            };
            ledger.write_all(format!("{id} {method} {cut}\n").as_bytes())?;
        }
        match fault {
            Some(Fault::Die) => std::process::abort(),
            Some(Fault::AfterAppend) => return Ok(()),
            Some(Fault::MidResponse) => {
                writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
                // The head has time to be passed on.
                std::thread::sleep(Duration::from_millis(5));
                return Ok(());
            }
            _ => writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?,
        }
    }
}
