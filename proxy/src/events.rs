//! What the process tells on standard output: JSON lines, or text for a person.

use std::io::Write;

use serde_json::Value;

/// Tells events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    human: bool,
}

impl Events {
    /// For people instead of programs with `human`.
    pub(crate) const fn new(human: bool) -> Self {
        Self { human }
    }

    /// Prints one.
    pub(crate) fn tell(self, event: &Value) {
        let line = if self.human {
            for_people(event)
        } else {
            event.to_string()
        };
        let mut out = std::io::stdout().lock();
        // Nobody may be reading; the proxy serves all the same.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

fn for_people(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("event") {
        "listening" => format!("  {:<12} http(s)://{}", text("listener"), text("address")),
        "ready" => "ready".to_owned(),
        "reloaded" => match event.get("revision") {
            Some(revision) => format!("  revision {revision} is served"),
            None => "  the new configuration is served".to_owned(),
        },
        "warning" => format!("  warning: {}", text("message")),
        "drained" => "drained, good bye".to_owned(),
        _ => event.to_string(),
    }
}
