//! `weir events`: what was done or refused, by whom, when, from where.

use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::ask::{Ask, Client, flag, query};
use super::list::{Listing, PAGE, pages, write};
use super::table::{Column, Table, now_ms, text, time};
use super::trouble::Trouble;
use super::{Control, Ended};
use crate::commands::complain;
use crate::waf::seconds;

/// Before a stream that ended is asked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Bytes of a line of a stream.
const LINE_BYTES_MAX: usize = 1 << 20;

const EVENTS: &[Column] = &[
    Column::new("TIME", |event| time(&event["time_ms"])),
    Column::new("SEQ", |event| text(&event["seq"])),
    Column::new("ACTOR", |event| text(&event["actor"])),
    Column::new("FROM", |event| text(&event["from"])),
    Column::new("ACTION", |event| text(&event["action"])),
    Column::new("SUBJECT", |event| text(&event["subject"])),
    Column::new("RESULT", |event| text(&event["result"])),
];

/// Show what was done or refused, by whom, when, from where; oldest first.
#[derive(Args)]
pub(crate) struct Events {
    /// Go on with events as they come; as JSON, one line for each.
    #[arg(long)]
    follow: bool,
    /// Of this action; all that begin with it when it ends in a dot: proxy.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Of this token, or of `system`.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// About this: version/7, proxy/eu-1, tenant/acme.
    #[arg(long, value_name = "NOUN/ID")]
    subject: Option<String>,
    /// Not before: so long ago (15m, 2h, 7d), or Unix time in milliseconds.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<u64>,
    /// Before: so long ago, or Unix time in milliseconds.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "follow")]
    until: Option<u64>,
    /// At most so many of the newest.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
    last: Option<u32>,
    #[command(flatten)]
    control: Control,
}

/// A time: so long ago, or Unix time in milliseconds.
fn moment(text: &str) -> Result<u64, String> {
    if let Ok(unix_ms) = text.parse() {
        return Ok(unix_ms);
    }
    let ago_s = seconds(text).map_err(|_| "write how long ago, like 15m, or Unix time in milliseconds")?;
    Ok(now_ms().saturating_sub(ago_s.saturating_mul(1000)))
}

/// Runs it.
pub(crate) fn run(events: &Events, as_json: bool) -> Ended {
    let client = events.control.client()?;
    let mut listing = Listing::new(EVENTS, as_json);
    let mut seen = None;
    let lists = !events.follow || events.since.is_some() || events.last.is_some();
    if lists {
        events.list(&client, |items| {
            seen = items.last().and_then(|event| event["seq"].as_u64()).or(seen);
            if events.follow && as_json {
                return items.iter().try_for_each(|event| write(&format!("{event}\n")));
            }
            listing.part(items)
        })?;
    }
    if !events.follow {
        return listing.end();
    }
    let seen = match seen {
        Some(seen) => seen,
        None => events.newest(&client)?,
    };
    let mut printer = Printer {
        as_json,
        table: listing.into_table(),
    };
    events.follow(&client, seen, |event| printer.print(event))
}

struct Printer {
    as_json: bool,
    table: Table,
}

impl Printer {
    fn print(&mut self, event: &Value) -> Result<(), Trouble> {
        if self.as_json {
            return write(&format!("{event}\n"));
        }
        write(&self.table.part(std::slice::from_ref(event)))
    }
}

impl Events {
    fn filters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("action", self.action.clone()),
            ("actor", self.actor.clone()),
            ("subject", self.subject.clone()),
        ]
    }

    fn list(
        &self,
        client: &Client,
        mut take: impl FnMut(&[Value]) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut pairs = self.filters();
        pairs.push(("since_ms", self.since.map(|ms| ms.to_string())));
        pairs.push(("until_ms", self.until.map(|ms| ms.to_string())));
        pairs.push(("newest_first", flag(self.last.is_some())));
        let limit = self.last.map_or_else(|| PAGE.to_owned(), |last| last.to_string());
        pairs.push(("limit", Some(limit)));
        let path = format!("/v1/events{}", query(&pairs));
        pages(client, &path, |mut items, _| {
            if self.last.is_some() {
                items.reverse();
            }
            take(&items)?;
            // The newest are one page.
            Ok(self.last.is_none())
        })
    }

    /// The newest that there is, 0 if there is none: what comes later is seen once, over ends of streams too.
    fn newest(&self, client: &Client) -> Result<u64, Trouble> {
        let mut pairs = self.filters();
        pairs.push(("newest_first", flag(true)));
        pairs.push(("limit", Some("1".to_owned())));
        let newest = client.get(&format!("/v1/events{}", query(&pairs)))?.body;
        Ok(newest["items"][0]["seq"].as_u64().unwrap_or(0))
    }

    /// Goes on for ever, over ends of streams; ends when control says no, or nobody reads.
    fn follow(
        &self,
        client: &Client,
        mut seen: u64,
        mut take: impl FnMut(&Value) -> Result<(), Trouble>,
    ) -> Ended {
        let path = format!("/v1/events/watch{}", query(&self.filters()));
        let mut lost = false;
        loop {
            let ask = Ask {
                last_event: Some(seen),
                ..Ask::get(path.clone())
            };
            let mut lines = Lines::default();
            let mut trouble = None;
            let ended = client.stream(&ask, |bytes| {
                lost = false;
                let taken = lines.take(bytes, |event| {
                    seen = event["seq"].as_u64().unwrap_or(seen);
                    take(event)
                });
                trouble = taken.err();
                trouble.is_none()
            });
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            match ended {
                // It may be starting again.
                Err(Trouble::System(reason)) => {
                    if !std::mem::replace(&mut lost, true) {
                        complain(&format!("weir: {reason}; asking again"));
                    }
                }
                ended => ended?,
            }
            sleep(AGAIN_AFTER);
        }
    }
}

/// Lines of an event stream (HTML Living Standard, section 9.2.6): here each event has one line of data, which says all.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&Value) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.0.extend_from_slice(bytes);
        let mut rest = self.0.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let data = line
                .strip_prefix(b"data:")
                .and_then(|data| serde_json::from_slice(data).ok());
            data.as_ref().map_or(Ok(()), &mut each)?;
        }
        self.0 = rest.to_vec();
        if self.0.len() > LINE_BYTES_MAX {
            return Err(Trouble::System(
                "control sent an event that is too long".to_owned(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_of_a_stream_however_it_is_cut() {
        let stream = b": welcome\n\nid: 1\nevent: a.b\ndata: {\"seq\":1}\n\nid: 2\nevent: a\ndata: {\"seq\":2}\n\n: still\n\n";
        for size in 1..stream.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for piece in stream.chunks(size) {
                let mut each = |event: &Value| {
                    seen.push(event["seq"].as_u64().unwrap());
                    Ok(())
                };
                lines.take(piece, &mut each).unwrap();
            }
            assert_eq!(seen, [1, 2]);
        }
    }

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        assert_eq!(moment("1700000000000").unwrap(), 1_700_000_000_000);
        assert!(now_ms() - moment("1h").unwrap() >= 3_600_000);
        assert!(moment("yesterday").is_err());
    }
}
