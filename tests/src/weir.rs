//! A `weir proxy` under test: started on ports of the kernel's choice, stopped with its value, its log shown when a test fails.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::config::Config;
use crate::h1::{H1, Response};
use crate::wait::{wait_for, wait_within};

/// Longest start on a loaded machine with a debug build.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// What the process printed.
#[derive(Default)]
struct Output {
    listening: HashMap<String, SocketAddr>,
    ready: bool,
    successors: Vec<Pid>,
    log: String,
}

/// A running proxy.
pub struct Weir {
    child: Child,
    output: Arc<Mutex<Output>>,
    folder: TempDir,
    followers: Vec<thread::JoinHandle<()>>,
}

impl Weir {
    /// Starts with a document and waits until it is ready.
    pub fn start(config: &Config) -> Self {
        Self::start_with_files(config, &[])
    }

    /// As [`Self::start`], with files beside the document: (name, content).
    pub fn start_with_files(config: &Config, files: &[(&str, &str)]) -> Self {
        Self::spawn(&config.text(), files, &[]).ready()
    }

    /// Starts any text as the document, with more arguments, and waits until it is ready.
    pub fn start_text(text: &str, arguments: &[&str]) -> Self {
        Self::spawn(text, &[], arguments).ready()
    }

    /// As [`Self::start`], with the program under another path.
    pub fn start_program(program: &Path, config: &Config) -> Self {
        Self::spawn_program(program, &config.text(), &[], &[], None).ready()
    }

    /// As [`Self::start`], under a supervisor that listens on this socket (sd_notify).
    pub fn start_supervised(config: &Config, socket: &Path) -> Self {
        let socket = socket.to_str().expect("a path in UTF-8");
        Self::spawn_program(binary(), &config.text(), &[], &[], Some(socket)).ready()
    }

    /// Starts a document that cannot start, and gives how it ended and what it said.
    pub fn refused(config: &Config) -> (ExitStatus, String) {
        let mut weir = Self::spawn(&config.text(), &[], &[]);
        let status = weir.wait_exit();
        // What it printed last may still be on its way.
        for follower in std::mem::take(&mut weir.followers) {
            follower.join().expect("a pipe is read to its end");
        }
        let log = weir.log();
        (status, log)
    }

    fn ready(mut self) -> Self {
        wait_within(START_PATIENCE, "weir to be ready", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("weir ended at start with {status}");
            }
            self.output().ready.then_some(())
        });
        self
    }

    /// Starts a proxy that takes its configuration from control, and waits until it is up; `state_dir` is its own.
    pub fn start_controlled(url: &str, token: &str, state_dir: &Path, arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("weir-e2e-").expect("a temporary folder");
        let join = folder.path().join("join");
        std::fs::write(&join, token).expect("write the join token");
        let mut command = Command::new(binary());
        command
            .args(["proxy", "--control", url, "--admin", "127.0.0.1:0", "--join-file"])
            .arg(&join)
            .arg("--state-dir")
            .arg(state_dir)
            .args(arguments);
        Self::spawn_command(command, folder).ready()
    }

    /// Starts `weir control` and waits until it is ready; its listeners are `api` and `push`.
    pub fn start_control(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command
            .args(["control", "--push", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(arguments);
        let folder = TempDir::with_prefix("weir-e2e-").expect("a temporary folder");
        Self::spawn_command(command, folder).ready()
    }

    fn spawn(text: &str, files: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::spawn_program(binary(), text, files, arguments, None)
    }

    fn spawn_program(
        program: &Path,
        text: &str,
        files: &[(&str, &str)],
        arguments: &[&str],
        notify_socket: Option<&str>,
    ) -> Self {
        let folder = TempDir::with_prefix("weir-e2e-").expect("a temporary folder");
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).expect("write a file of the document");
        }
        let document = folder.path().join("weir.json");
        std::fs::write(&document, text).expect("write the document");
        let mut command = Command::new(program);
        command
            .args(["proxy", "--config"])
            .arg(&document)
            .args(arguments)
            .env("NOTIFY_SOCKET", notify_socket.unwrap_or_default());
        Self::spawn_command(command, folder)
    }

    fn spawn_command(mut command: Command, folder: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start weir");
        let output = Arc::new(Mutex::new(Output::default()));
        let followers = vec![
            follow(child.stdout.take(), &output),
            follow(child.stderr.take(), &output),
        ];
        Self {
            child,
            output,
            folder,
            followers,
        }
    }

    /// Address of a listener by its id; `admin` is the admin endpoint.
    pub fn address(&self, listener: &str) -> SocketAddr {
        wait_for(&format!("listener {listener}"), || {
            self.output().listening.get(listener).copied()
        })
    }

    /// A new cleartext connection to listener `web`.
    pub fn client(&self) -> H1 {
        H1::connect(self.address("web"))
    }

    /// GET of an admin path.
    pub fn admin_get(&self, path: &str) -> Response {
        let mut client = H1::connect(self.address("admin"));
        client.roundtrip(format!(
            "GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"
        ))
    }

    /// POST to an admin path.
    pub fn admin_post(&self, path: &str, body: &str) -> Response {
        let mut client = H1::connect(self.address("admin"));
        let length = body.len();
        client.roundtrip(format!(
            "POST {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Reloads with another document and expects success; gives the answer.
    pub fn reload(&self, config: &Config) -> Value {
        let response = self.admin_post("/reload", &config.text());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Value of a metric series by its exact name and labels, 0 when it does not exist.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.admin_get("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// Folder of the document.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file beside the document; `weir.json` is the document itself.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).expect("write beside the document");
    }

    /// Ends the process as the kernel would for want of memory.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill weir");
        self.child.wait().expect("wait for weir");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal weir");
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The processes that took over the listeners, one after the other.
    pub fn successors(&self) -> Vec<Pid> {
        self.output().successors.clone()
    }

    /// Runs `weir proxy --upgrade` for this proxy; gives its exit code and what it printed.
    pub fn upgrade(&self) -> (Option<i32>, String) {
        let admin = self.address("admin").to_string();
        run(&["proxy", "--upgrade", "--admin", &admin])
    }

    /// Waits for the end of the process.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_within(START_PATIENCE, "weir to end", || {
            child.try_wait().expect("wait for weir")
        })
    }

    /// Everything printed so far on both outputs.
    pub fn log(&self) -> String {
        self.output().log.clone()
    }

    fn output(&self) -> std::sync::MutexGuard<'_, Output> {
        self.output.lock().expect("no panic under the lock")
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to stop.
        drop(self.child.kill());
        drop(self.child.wait());
        for pid in self.successors() {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        if thread::panicking() {
            eprintln!(
                "--- weir said:\n{}---",
                self.output.lock().map(|o| o.log.clone()).unwrap_or_default()
            );
        }
    }
}

fn follow(pipe: Option<impl Read + Send + 'static>, output: &Arc<Mutex<Output>>) -> thread::JoinHandle<()> {
    let pipe = pipe.expect("a piped output");
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let Ok(mut output) = output.lock() else { return };
            let event: Option<Value> = serde_json::from_str(&line).ok();
            let text = |key: &str| event.as_ref()?.get(key)?.as_str();
            match text("event") {
                Some("listening") => {
                    let address = text("address").and_then(|address| address.parse().ok());
                    if let (Some(listener), Some(address)) = (text("listener"), address) {
                        output.listening.insert(listener.to_owned(), address);
                    }
                }
                Some("ready") => output.ready = true,
                Some("handed_over") => {
                    let pid = event.as_ref().and_then(|event| event["pid"].as_i64());
                    output
                        .successors
                        .extend(pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
                }
                _ => {}
            }
            output.log.push_str(&line);
            output.log.push('\n');
        }
    })
}

/// Runs `weir` with these arguments to its end; gives its exit code and what it printed on both outputs.
pub fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("run weir");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), text.concat())
}

/// Whether a process has ended; one that nobody has waited for yet has.
pub fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    // The state is the field behind the name, which stands in parentheses.
    stat.map_or(true, |stat| {
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    })
}

/// The binary under test: `WEIR_BIN`, or the one of this build, brought up to date once.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("WEIR_BIN") {
            return PathBuf::from(path);
        }
        let test = std::env::current_exe().expect("path of this test");
        // .../target/debug/deps/e2e-0123 -> .../target/debug
        let profile = test.ancestors().nth(2).expect("a target folder");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--package", "weir", "--bin", "weir"]);
        build.env("CARGO_TARGET_DIR", profile.parent().expect("a target folder"));
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        // A stale binary would test yesterday's code: cargo decides, and is quick when nothing changed.
        assert!(
            build.status().expect("run cargo").success(),
            "cargo build -p weir failed"
        );
        profile.join("weir")
    })
}
