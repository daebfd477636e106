//! An operator: runs `weir` commands that ask a `weir control`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::weir::binary;

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, when it ended with this code.
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// An operator of one control.
pub struct Operator {
    /// Where its API is.
    pub api: String,
    /// The file with the token.
    pub token: PathBuf,
}

impl Operator {
    /// Of the control with this data folder, by its first token.
    pub fn of(api: String, data_dir: &Path) -> Self {
        Self {
            api,
            token: data_dir.join("admin.token"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .arg("--token-file")
            .arg(&self.token)
            .env("WEIR_API", &self.api)
            .env_remove("WEIR_TOKEN")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("run weir");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs a command that must end well, for its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat())
            .ends(0)
            .json()
    }

    /// Starts a command that does not end by itself, its standard output piped.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).spawn().expect("start weir")
    }
}
