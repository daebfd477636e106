//! A real Chromium without a window, driven by its DevTools protocol over two pipes: no port, no library.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long an answer may take: a browser on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one page; it ends with this value.
pub struct Chromium {
    process: Child,
    input: File,
    output: Receiver<Value>,
    session: String,
    calls: u64,
    events: Vec<Value>,
    _folder: TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself. Its helpers end with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Chromium {
    /// Starts it with an empty page; none where it is not installed, which fails in CI.
    pub fn start() -> Option<Self> {
        let folder = TempDir::with_prefix("weir-chromium-").expect("a temporary folder");
        let (read, input) = std::io::pipe().expect("a pipe");
        let (output, write) = std::io::pipe().expect("a pipe");
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless=new",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-gpu",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"])
            // As root it refuses its sandbox; the only page that it sees is ours, and no other host has a name.
            .args([
                "--no-sandbox",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mapping = |parent_fd: OwnedFd, child_fd| FdMapping { parent_fd, child_fd };
        command
            .fd_mappings(vec![mapping(read.into(), 3), mapping(write.into(), 4)])
            .expect("free descriptors");
        let Ok(process) = command.spawn() else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "chromium is missing: .ci/setup installs it"
            );
            eprintln!("not checked: chromium is not installed (.ci/setup installs it)");
            return None;
        };
        // Holds the other ends of the pipes, which must close with the browser.
        drop(command);
        let (told, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if told.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            input: File::from(OwnedFd::from(input)),
            output: messages,
            session: String::new(),
            calls: 0,
            events: Vec::new(),
            _folder: folder,
        };
        browser.open();
        Some(browser)
    }

    fn open(&mut self) {
        let made = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", target);
        attached["sessionId"]
            .as_str()
            .expect("a session")
            .clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method; gives its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        self.input.write_all(&text).expect("the browser reads");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = match self.output.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the browser ended at {method}"),
            };
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            if answer["id"].is_null() {
                self.events.push(answer);
            }
        }
    }

    /// Events so far whose method is one of these.
    pub fn events(&self, methods: &[&str]) -> Vec<Value> {
        let events = self.events.iter();
        let wanted = events.filter(|event| methods.iter().any(|method| event["method"] == *method));
        wanted.map(|event| event["params"].clone()).collect()
    }

    /// The value of a JavaScript expression, which may be a promise.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != true {
            if Instant::now() > deadline {
                let page = self.eval("document.body.innerText.slice(0, 3000)");
                panic!("waited in vain for {expression}; the page shows {page}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Opens an address.
    pub fn go(&mut self, url: &str) {
        let done = self.call("Page.navigate", json!({"url": url}));
        assert!(done["errorText"].is_null(), "{url}: {done}");
        self.wait("document.readyState === 'complete'");
    }

    /// Types a text where the focus is.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Presses a key by its name and code: `("Tab", 9)`.
    pub fn press(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        let mut params =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        self.call("Input.dispatchKeyEvent", params.clone());
        params["type"] = json!("keyUp");
        params["text"] = json!("");
        self.call("Input.dispatchKeyEvent", params);
    }
}
