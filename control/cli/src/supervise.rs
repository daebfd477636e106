//! Runs children of this program, starts crashed ones again, and ends them in order.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// The first wait before a crashed process is started again; each crash soon after doubles it.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A process that ran this long crashed for the first time.
const RAN_WELL: Duration = Duration::from_secs(10);
/// After a signal to end, before the process is killed.
const END_MAX: Duration = Duration::from_secs(40);
/// Tells a child who started it: it ends when that one does.
const PARENT: &str = "WEIR_PARENT";

/// A program to run.
pub(crate) struct Program {
    /// Its name, for people.
    pub(crate) name: &'static str,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Whether its lines are given to who asked instead of printed.
    pub(crate) heard: bool,
}

/// Ends this process when the one that started it does, if that is a supervisor.
pub(crate) fn follow_parent() {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|pid| pid.parse::<i32>().ok()) else {
        return;
    };
    // Where it cannot be had, the child outlives a supervisor that is killed.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        // It ended before the line above.
        let _ = kill_process(rustix::process::getpid(), Signal::TERM);
    }
}

/// A program that is kept running.
pub(crate) struct Kept {
    program: Program,
    child: Child,
    since: Instant,
    wait: Duration,
    lines: mpsc::Sender<String>,
    /// It was ready once: a failure after that is a crash, not a mistake of whoever started it.
    pub(crate) was_ready: bool,
}

/// How a program ended for good.
pub(crate) enum Ended {
    /// By itself, on purpose.
    Done,
    /// It never came up; its exit code.
    Failed(u8),
}

impl Kept {
    /// Starts a program; lines that it prints come over `lines`.
    ///
    /// # Errors
    /// A sentence on why it does not start.
    pub(crate) fn start(program: Program, lines: mpsc::Sender<String>) -> Result<Self, String> {
        let child = spawn(&program, &lines)?;
        Ok(Self {
            program,
            child,
            since: Instant::now(),
            wait: WAIT_MIN,
            lines,
            was_ready: false,
        })
    }

    /// Waits until it ends for good; crashes on the way are told to `crashed` and mended. May be dropped and called again.
    pub(crate) async fn ended(&mut self, mut crashed: impl FnMut(&str)) -> Ended {
        loop {
            let status = self.child.wait().await;
            let code = status.ok().and_then(|status| status.code());
            if code == Some(0) {
                return Ended::Done;
            }
            let soon = self.since.elapsed() < RAN_WELL;
            if let (false, Some(code)) = (self.was_ready, code) {
                return Ended::Failed(u8::try_from(code).unwrap_or(1));
            }
            self.wait = if soon {
                (self.wait * 2).min(WAIT_MAX)
            } else {
                WAIT_MIN
            };
            crashed(&format!(
                "the {} process ended unexpectedly ({}); it is started again",
                self.program.name,
                code.map_or_else(|| "by a signal".to_owned(), |code| format!("code {code}"))
            ));
            loop {
                sleep(self.wait).await;
                match spawn(&self.program, &self.lines) {
                    Ok(child) => {
                        self.child = child;
                        self.since = Instant::now();
                        let pid = self.pid().unwrap_or_default();
                        crashed(&format!("the {} process runs again: {pid}", self.program.name));
                        break;
                    }
                    Err(reason) => {
                        crashed(&reason);
                        self.wait = (self.wait * 2).min(WAIT_MAX);
                    }
                }
            }
        }
    }

    /// Tells it to end, and waits until it has. It is killed when it takes too long, or when `hurry` says so.
    pub(crate) async fn end(mut self, hurry: impl Future<Output = ()>) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        tokio::select! {
            _ = timeout(END_MAX, self.child.wait()) => {}
            () = hurry => {}
        }
        // Nothing is left to kill if it ended.
        let _ = self.child.kill().await;
    }

    /// Its name.
    pub(crate) const fn name(&self) -> &'static str {
        self.program.name
    }

    /// Its process, unless it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

fn spawn(program: &Program, lines: &mpsc::Sender<String>) -> Result<Child, String> {
    let told = |error: std::io::Error| format!("the {} process does not start: {error}", program.name);
    let own = std::env::current_exe().map_err(told)?;
    let mut child = Command::new(own)
        .args(&program.arguments)
        .env(PARENT, std::process::id().to_string())
        // Ctrl-C is for the supervisor, which ends them in order.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(if program.heard {
            Stdio::piped()
        } else {
            Stdio::inherit()
        })
        .kill_on_drop(true)
        .spawn()
        .map_err(told)?;
    if let Some(out) = child.stdout.take() {
        let lines = lines.clone();
        tokio::spawn(async move {
            let mut out = BufReader::new(out).lines();
            while let Ok(Some(line)) = out.next_line().await {
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(child)
}
