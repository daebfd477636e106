//! Lists of the API, page by page: what is printed is not kept.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Ended;
use super::ask::Client;
use super::table::{Column, Table};
use super::trouble::Trouble;
use crate::commands::print;

/// Things of a page.
pub(super) const PAGE: &str = "1000";

/// Hands each page of a list to `take`, with the tag of the page, until the list ends or `take` says so.
pub(super) fn pages(
    client: &Client,
    path: &str,
    mut take: impl FnMut(Vec<Value>, Option<u64>) -> Result<bool, Trouble>,
) -> Result<(), Trouble> {
    let mut path = path.to_owned();
    loop {
        let mut answer = client.get(&path)?;
        let Value::Array(items) = answer.body["items"].take() else {
            return Err(Trouble::System("control answered with no list".to_owned()));
        };
        let empty = items.is_empty();
        let next = answer.body["next"].as_str().map(str::to_owned);
        if !take(items, answer.etag)? || empty {
            return Ok(());
        }
        match next.filter(|next| next.starts_with("/v1/") && *next != path) {
            Some(next) => path = next,
            None => return Ok(()),
        }
    }
}

/// Writes a list: a table, or one JSON document with `items`.
pub(super) struct Listing {
    as_json: bool,
    table: Table,
    items: u64,
}

impl Listing {
    pub(super) fn new(columns: &'static [Column], as_json: bool) -> Self {
        Self {
            as_json,
            table: Table::new(columns),
            items: 0,
        }
    }

    /// Writes some of it.
    pub(super) fn part(&mut self, items: &[Value]) -> Result<(), Trouble> {
        let mut text = String::new();
        if self.as_json {
            for item in items {
                text.push_str(if self.items == 0 { "{\"items\":[" } else { ",\n" });
                text.push_str(&item.to_string());
                self.items += 1;
            }
        } else if !items.is_empty() {
            text = self.table.part(items);
            self.items += items.len() as u64;
        }
        write(&text)
    }

    /// The table, for what comes later.
    pub(super) fn into_table(self) -> Table {
        self.table
    }

    /// Writes its end.
    pub(super) fn end(mut self) -> Ended {
        match (self.as_json, self.items) {
            (true, 0) => write("{\"items\":[]}\n")?,
            (true, _) => write("]}\n")?,
            (false, 0) => write(&self.table.part(&[]))?,
            (false, _) => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes to standard output.
pub(super) fn write(text: &str) -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Trouble::System(format!("standard output: {error}")))
}

/// Prints a whole list.
pub(super) fn list(client: &Client, path: &str, columns: &'static [Column], as_json: bool) -> Ended {
    let mut listing = Listing::new(columns, as_json);
    pages(client, path, |items, _| listing.part(&items).map(|()| true))?;
    listing.end()
}

/// Prints one thing: as a table of one line, or as JSON.
pub(super) fn one(value: &Value, columns: &'static [Column], as_json: bool) -> ExitCode {
    if as_json {
        return print(&value.to_string());
    }
    print(&Table::new(columns).part(std::slice::from_ref(value)))
}

/// Prints JSON: in one line for programs, indented for people.
pub(super) fn json_document(value: &Value, as_json: bool) -> ExitCode {
    if as_json {
        return print(&value.to_string());
    }
    print(&format!("{value:#}"))
}

/// What changed and was not to be shown otherwise, as JSON for programs and a sentence for people.
pub(super) fn said(sentence: &str, value: &Value, as_json: bool) -> ExitCode {
    if as_json {
        return print(&json!(value).to_string());
    }
    print(sentence)
}
