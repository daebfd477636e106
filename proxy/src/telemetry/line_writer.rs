//! Lines of a log on their way to the disk: a bounded queue and a thread of its own. A full queue loses lines and says so.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use prometheus::IntCounter;
use weir_schema::config::checked::LogSink;

/// A document's log: it says where its lines go.
pub(crate) trait Log: Send + Sync + 'static {
    fn sink(&self) -> &LogSink;
}

/// How a log is written.
pub(crate) struct Settings {
    /// Of the thread.
    pub(crate) name: &'static str,
    /// Lines that wait to be written.
    pub(crate) queue_max: usize,
    /// Of a file that is made, before the umask.
    pub(crate) mode: u32,
    /// Lines that could not be written.
    pub(crate) failed: IntCounter,
}

enum Message<L> {
    Line(Arc<L>, Vec<u8>),
    Reopen,
    /// Everything before it is on its way to the disk when this is answered.
    Flush(SyncSender<()>),
}

/// Takes lines and writes them.
pub(crate) struct LineWriter<L>(SyncSender<Message<L>>);

impl<L: Log> LineWriter<L> {
    /// Starts the thread; it ends when the writer is dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        let (queue, lines) = sync_channel(settings.queue_max);
        std::thread::Builder::new()
            .name(settings.name.to_owned())
            .spawn(move || write_all(&settings, &lines))?;
        Ok(Self(queue))
    }

    /// Takes a line; false when the queue is full. Never waits.
    pub(crate) fn write(&self, log: &Arc<L>, line: Vec<u8>) -> bool {
        self.0.try_send(Message::Line(Arc::clone(log), line)).is_ok()
    }

    /// Waits until what was written so far is out, at most `limit`. Blocks. The process calls it before it ends.
    pub(crate) fn flush(&self, limit: Duration) {
        let (done, flushed) = sync_channel(1);
        // A log that cannot keep up must not hold the end of the process.
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(limit);
        }
    }

    /// Opens files again, after a rotation.
    pub(crate) fn reopen(&self) {
        // A full queue means that lines are being dropped anyway; the next rotation asks again.
        let _ = self.0.try_send(Message::Reopen);
    }
}

type Open = Option<(PathBuf, BufWriter<File>)>;

fn write_all<L: Log>(settings: &Settings, lines: &Receiver<Message<L>>) {
    let mut open: Open = None;
    loop {
        let message = match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                flush(&mut open);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => {
                flush(&mut open);
                return;
            }
        };
        match message {
            Message::Flush(done) => {
                flush(&mut open);
                // Who waited may have given up.
                let _ = done.send(());
            }
            Message::Reopen => {
                flush(&mut open);
                open = None;
            }
            Message::Line(log, line) => {
                if write_line(settings, log.sink(), &line, &mut open).is_err() {
                    settings.failed.inc();
                }
            }
        }
    }
}

fn write_line(settings: &Settings, sink: &LogSink, line: &[u8], open: &mut Open) -> io::Result<()> {
    let path = match sink {
        LogSink::Stdout => return io::stdout().lock().write_all(line),
        LogSink::File(path) => path,
    };
    if open.as_ref().is_none_or(|(now, _)| now != path) {
        flush(open);
        *open = None;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(settings.mode)
            .open(path)?;
        *open = Some((path.clone(), BufWriter::new(file)));
    }
    match open {
        Some((_, file)) => file.write_all(line),
        None => Ok(()),
    }
}

fn flush(open: &mut Open) {
    if let Some((_, file)) = open {
        // A disk that is full loses log lines; the request path must not stop for it.
        let _ = file.flush();
    }
}
