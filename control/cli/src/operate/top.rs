//! `weir top`: what goes on now, and who has the most of it.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::list::write;
use super::table::{Column, Table, counted, text};
use super::{Control, Ended};

/// Puts the cursor at the top left of an empty screen (ECMA-48, CUP and ED).
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

const REGIONS: &[Column] = &[
    Column::new("REGION", |region| text(&region["region"])),
    Column::new("PROXIES", |region| {
        format!("{}/{}", count(&region["connected"]), count(&region["proxies"]))
    }),
    Column::new("STALE", |region| text(&region["stale"])),
    Column::new("REQUESTS", |region| text(&region["requests"])),
    Column::new("ERRORS", |region| share(&region["errors"], &region["requests"])),
    Column::new("REFUSED", |region| share(&region["refused"], &region["requests"])),
    Column::new("CPU/REQUEST", cpu),
];

const TALKERS: &[Column] = &[
    Column::new("TENANT", |talker| text(&talker["tenant"])),
    Column::new("ROUTE", |talker| text(&talker["route"])),
    Column::new("REQUESTS", |talker| text(&talker["requests"])),
    Column::new("ERRORS", |talker| share(&talker["errors"], &talker["requests"])),
    Column::new("CPU/REQUEST", cpu),
];

const REFUSALS: &[Column] = &[
    Column::new("REFUSED AS", |refused| text(&refused["code"])),
    Column::new("MINUTE", |refused| text(&refused["minute"])),
    Column::new("10 MINUTES", |refused| text(&refused["ten_minutes"])),
];

/// Show what goes on now: requests, errors, regions, and the tenants and routes with the most requests. It is drawn anew until
/// it is interrupted.
#[derive(Args)]
pub(crate) struct Top {
    /// Once, for scripts.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    #[command(flatten)]
    control: Control,
}

/// Runs it.
pub(crate) fn run(top: &Top, as_json: bool) -> Ended {
    let client = top.control.client()?;
    let clears = !top.once && !as_json && std::io::stdout().is_terminal();
    loop {
        let overview = client.get("/v1/overview")?.body;
        let shown = if as_json {
            format!("{overview}\n")
        } else {
            screen(&overview)
        };
        write(&format!("{}{shown}", if clears { CLEAR } else { "" }))?;
        if top.once {
            return Ok(ExitCode::SUCCESS);
        }
        sleep(Duration::from_secs(top.every));
    }
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A number with its share of a whole.
fn share(part: &Value, whole: &Value) -> String {
    let (part, whole) = (count(part), count(whole));
    let per_10k = part.saturating_mul(10_000).checked_div(whole).unwrap_or(0);
    format!("{part} ({}.{:02} %)", per_10k / 100, per_10k % 100)
}

fn cpu(value: &Value) -> String {
    let ns = count(&value["cpu_ns"]).checked_div(count(&value["requests"]));
    ns.map_or_else(String::new, |ns| format!("{} us", ns / 1000))
}

fn screen(overview: &Value) -> String {
    let mut screen = String::new();
    let (minute, proxies) = (&overview["traffic"]["minute"], &overview["proxies"]);
    let per_second = count(&minute["requests"]).checked_div(count(&minute["seconds"]));
    // Writing to a text always works.
    let _ = writeln!(
        screen,
        "last minute: {} requests/s; failed {}; refused {}, by the WAF {}, by limits {}",
        per_second.unwrap_or(0),
        share(&minute["errors"], &minute["requests"]),
        share(&minute["refused"], &minute["requests"]),
        count(&minute["blocked"]),
        count(&minute["limited"]),
    );
    let latency = &minute["latency"];
    if latency.is_object() {
        let ms = |key: &str| {
            let us = count(&latency[key]);
            format!("{}.{} ms", us / 1000, us / 100 % 10)
        };
        let _ = writeln!(
            screen,
            "latency: half within {}, 90 % {}, 99 % {}",
            ms("p50_us"),
            ms("p90_us"),
            ms("p99_us")
        );
    }
    let _ = writeln!(
        screen,
        "{} of {} connected, {} stale; newest revision {}",
        count(&proxies["connected"]),
        counted(count(&proxies["total"]), "proxy", "proxies"),
        count(&proxies["stale"]),
        count(&proxies["newest_revision"]),
    );
    for (columns, list) in [
        (REGIONS, &overview["regions"]),
        (TALKERS, &overview["talkers"]["tenants"]),
        (TALKERS, &overview["talkers"]["routes"]),
        (REFUSALS, &overview["refusals"]),
    ] {
        if let Some(items) = list.as_array().filter(|items| !items.is_empty()) {
            screen.push('\n');
            screen.push_str(&Table::new(columns).part(items));
        }
    }
    screen
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_screen_has_what_goes_on_and_who_has_the_most_of_it() {
        let overview = json!({
            "traffic": {"minute": {"seconds": 60, "requests": 6000, "errors": 60, "refused": 3, "blocked": 2, "limited": 1,
                "latency": {"p50_us": 900, "p90_us": 1500, "p99_us": 20_000}}},
            "proxies": {"total": 2, "connected": 1, "stale": 0, "newest_revision": 7},
            "regions": [{"region": "eu", "proxies": 2, "connected": 1, "stale": 0, "requests": 6000, "errors": 60,
                "refused": 3, "cpu_ns": 120_000_000}],
            "talkers": {"tenants": [{"tenant": "a", "requests": 6000, "errors": 60, "cpu_ns": 120_000_000}], "routes": []},
            "refusals": [{"code": "waf_blocked", "minute": 2, "ten_minutes": 2}],
        });
        assert_eq!(
            screen(&overview),
            "last minute: 100 requests/s; failed 60 (1.00 %); refused 3 (0.05 %), by the WAF 2, by limits 1\n\
             latency: half within 0.9 ms, 90 % 1.5 ms, 99 % 20.0 ms\n\
             1 of 2 proxies connected, 0 stale; newest revision 7\n\n\
             REGION  PROXIES  STALE  REQUESTS  ERRORS       REFUSED     CPU/REQUEST\n\
             eu      1/2      0      6000      60 (1.00 %)  3 (0.05 %)  20 us\n\n\
             TENANT  ROUTE  REQUESTS  ERRORS       CPU/REQUEST\n\
             a       -      6000      60 (1.00 %)  20 us\n\n\
             REFUSED AS   MINUTE  10 MINUTES\n\
             waf_blocked  2       2\n"
        );
    }

    #[test]
    fn nothing_goes_on_at_the_beginning() {
        assert!(screen(&json!({})).starts_with("last minute: 0 requests/s; failed 0 (0.00 %)"));
    }
}
