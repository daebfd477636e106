//! Switches on disk, beside the last-known-good versions: an operator who took a rule out at night finds it out after a crash
//! too.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Switch;
use crate::sync::last_good::replace;

/// The file's name.
pub(crate) const FILE: &str = "waf_switches.json";

#[derive(Deserialize, Serialize)]
struct Stored {
    switches: Vec<Switch>,
}

/// Reads what is kept; a file that is not there keeps none.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn load(file: &Path) -> Result<Vec<Switch>, String> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| format!("{}: {error}", file.display()))?,
    };
    let stored: Result<Stored, _> = serde_json::from_slice(&text);
    stored
        .map(|stored| stored.switches)
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Writes; a crash leaves the old file or the new one.
///
/// # Errors
/// Those of the folder.
pub(super) fn save(file: &Path, switches: &[Switch]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let stored = Stored {
        switches: switches.to_vec(),
    };
    replace(file, &serde_json::to_vec(&stored)?)
}

#[cfg(test)]
mod tests {
    use super::super::{Position, Scope};
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_what_is_broken_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state").join(FILE);
        assert_eq!(load(&file), Ok(Vec::new()));
        let switch = Switch {
            scope: Scope::All,
            rule: None,
            mode: Position::Detect,
            since_unix_ms: 1,
            until_unix_ms: Some(2),
        };
        save(&file, std::slice::from_ref(&switch)).unwrap();
        assert_eq!(load(&file), Ok(vec![switch]));
        fs::write(&file, "{").unwrap();
        assert!(load(&file).unwrap_err().contains(FILE));
    }
}
