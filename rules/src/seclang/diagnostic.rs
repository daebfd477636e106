//! What is wrong in a rule file, where, and what would be valid.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The set cannot be used.
    Error,
    /// The set works, but a part of it has no effect or may not mean what its author thinks.
    Warning,
}

/// One finding about rule text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the caller named it.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// Error or warning.
    pub severity: Severity,
    /// Stable snake_case code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be valid.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let path = self.path.display();
        write!(
            f,
            "{path}:{}:{}: {word}[{}]: {}",
            self.line, self.column, self.code, self.message
        )?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// A position in a file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    fn diagnostic(
        &self,
        severity: Severity,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        let path = self.path.as_ref().clone();
        Diagnostic {
            path,
            line: self.line,
            column: self.column,
            severity,
            code,
            message,
            hint,
        }
    }

    pub(crate) fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, code, message.into(), None)
    }

    pub(crate) fn error_hint(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        self.diagnostic(Severity::Error, code, message.into(), hint)
    }

    pub(crate) fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, code, message.into(), None)
    }
}
