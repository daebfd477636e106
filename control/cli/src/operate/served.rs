//! `weir usage` and `weir slo`: how much tenants do, and how well they are served.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::ask::{Client, query};
use super::list::Listing;
use super::table::{Column, text};
use super::trouble::Trouble;
use super::{Control, Ended};

/// Tenants of a page.
const PAGE: &str = "100";

const USAGE: &[Column] = &[
    Column::new("TENANT", |tenant| text(&tenant["tenant"])),
    Column::new("REQUESTS", |tenant| text(&tenant["requests"])),
    Column::new("ERRORS", |tenant| text(&tenant["errors"])),
    Column::new("REFUSED", |tenant| text(&tenant["refused"])),
    Column::new("BLOCKED", |tenant| text(&tenant["blocked"])),
    Column::new("LIMITED", |tenant| text(&tenant["limited"])),
    Column::new("CPU MS", |tenant| millionth(&tenant["cpu_ns"])),
    Column::new("WAF MS", |tenant| millionth(&tenant["waf_ns"])),
    Column::new("KIB IN", |tenant| kib(&tenant["bytes_in"])),
    Column::new("KIB OUT", |tenant| kib(&tenant["bytes_out"])),
    Column::new("P99 US", |tenant| text(&tenant["latency"]["p99_us"])),
];

const SLO: &[Column] = &[
    Column::new("TENANT", |tenant| text(&tenant["tenant"])),
    Column::new("TIER", |tenant| text(&tenant["slo"]["tier"])),
    Column::new("AVAILABILITY", |tenant| {
        percent(&tenant["slo"]["availability"]["target_ppm"])
    }),
    Column::new("LEFT", |tenant| {
        percent(&tenant["slo"]["availability"]["left_ppm"])
    }),
    Column::new("BURN 1H", |tenant| {
        rate(&tenant["slo"]["availability"]["burn_1h_milli"])
    }),
    Column::new("IN TIME", |tenant| {
        percent(&tenant["slo"]["latency"]["target_ppm"])
    }),
    Column::new("LEFT", |tenant| percent(&tenant["slo"]["latency"]["left_ppm"])),
    Column::new("BURN 1H", |tenant| {
        rate(&tenant["slo"]["latency"]["burn_1h_milli"])
    }),
    Column::new("ALERT", |tenant| text(&tenant["slo"]["alert"])),
];

fn millionth(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(String::new, |value| (value / 1_000_000).to_string())
}

fn kib(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(String::new, |bytes| (bytes >> 10).to_string())
}

/// Millionths as percent; less than nothing is left when more was spent than there was.
fn percent(ppm: &Value) -> String {
    ppm.as_i64().map_or_else(String::new, |ppm| {
        let sign = if ppm < 0 { "-" } else { "" };
        let ppm = ppm.unsigned_abs();
        format!("{sign}{}.{:02} %", ppm / 10_000, ppm / 100 % 100)
    })
}

fn rate(milli: &Value) -> String {
    milli.as_u64().map_or_else(String::new, |milli| {
        format!("{}.{}", milli / 1000, milli / 100 % 10)
    })
}

/// Show what tenants did lately, those with the most requests first.
#[derive(Args)]
pub(crate) struct Usage {
    /// What comes first.
    #[arg(long, value_enum, default_value_t = Sort::Requests)]
    sort: Sort,
    /// Over how long.
    #[arg(long, value_enum, default_value_t = Span::Minute)]
    span: Span,
    #[command(flatten)]
    which: WhichTenants,
}

/// Show what is left of tenants' error budgets of 30 days, the least first. A burn rate of 1 spends a budget in exactly its 30
/// days.
///
/// Exit codes: 0 shown (with --exit-code: and nobody has to be called); 1 control refused; 2 wrong usage; 3 control cannot be
/// asked; 4 with --exit-code: a tenant has an alert that pages.
#[derive(Args)]
pub(crate) struct Slo {
    /// End with 4 if a tenant has an alert that pages.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    which: WhichTenants,
}

#[derive(Args)]
struct WhichTenants {
    /// Only tenants whose name has this in it.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    control: Control,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    /// The most requests.
    Requests,
    /// The most failed requests.
    Errors,
    /// The greatest share of failed requests.
    ErrorRate,
    /// The most refused requests.
    Refused,
    /// The most CPU time.
    Cpu,
    /// The greatest 99th percentile of latency.
    Latency,
    /// By name.
    Name,
}

#[derive(Clone, Copy, ValueEnum)]
enum Span {
    /// The last minute.
    Minute,
    /// The last ten.
    TenMinutes,
}

impl Sort {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Errors => "errors",
            Self::ErrorRate => "error_rate",
            Self::Refused => "refused",
            Self::Cpu => "cpu",
            Self::Latency => "latency",
            Self::Name => "name",
        }
    }
}

impl WhichTenants {
    /// Hands the pages of tenants to `take`.
    fn pages(
        &self,
        client: &Client,
        sort: &str,
        span: &str,
        mut take: impl FnMut(&[Value]) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut after = None;
        loop {
            let path = query(&[
                ("limit", Some(PAGE.to_owned())),
                ("sort", Some(sort.to_owned())),
                ("span", Some(span.to_owned())),
                ("q", self.search.clone()),
                ("after", after.clone()),
            ]);
            let page = client.get(&format!("/v1/overview/tenants{path}"))?.body;
            take(page["items"].as_array().map_or(&[][..], Vec::as_slice))?;
            let next = page["next"].as_str().map(str::to_owned);
            if next.is_none() || next == after {
                return Ok(());
            }
            after = next;
        }
    }
}

/// Runs `weir usage`.
pub(crate) fn usage(usage: &Usage, as_json: bool) -> Ended {
    let client = usage.which.control.client()?;
    let span = match usage.span {
        Span::Minute => "minute",
        Span::TenMinutes => "ten_minutes",
    };
    let mut listing = Listing::new(USAGE, as_json);
    let sort = usage.sort.as_str();
    usage
        .which
        .pages(&client, sort, span, |items| listing.part(items))?;
    listing.end()
}

/// Runs `weir slo`.
pub(crate) fn slo(slo: &Slo, as_json: bool) -> Ended {
    let client = slo.which.control.client()?;
    let mut listing = Listing::new(SLO, as_json);
    let mut pages = false;
    slo.which.pages(&client, "budget", "minute", |items| {
        pages |= items.iter().any(|tenant| tenant["slo"]["alert"] == "page");
        listing.part(items)
    })?;
    let shown = listing.end()?;
    Ok(if slo.exit_code && pages {
        ExitCode::from(super::apply::CHANGES)
    } else {
        shown
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table::Table;
    use super::*;

    #[test]
    fn a_budget_shows_what_is_left_and_how_fast_it_goes() {
        let level =
            |left_ppm: i64| json!({"target_ppm": 999_500, "left_ppm": left_ppm, "burn_1h_milli": 14_400});
        let tenants = [
            json!({"tenant": "a", "slo": {"tier": "starter", "availability": level(-25_000), "latency": level(1_000_000),
                "alert": "page"}}),
            json!({"tenant": "b", "slo": null}),
        ];
        assert_eq!(
            Table::new(SLO).part(&tenants),
            "TENANT  TIER     AVAILABILITY  LEFT     BURN 1H  IN TIME  LEFT      BURN 1H  ALERT\n\
             a       starter  99.95 %       -2.50 %  14.4     99.95 %  100.00 %  14.4     page\n\
             b       -        -             -        -        -        -         -        -\n"
        );
    }

    #[test]
    fn a_usage_shows_its_figures_in_their_units() {
        let tenant = json!({"tenant": "a", "requests": 7, "errors": 0, "refused": 0, "blocked": 0, "limited": 0,
            "cpu_ns": 3_500_000, "waf_ns": 0, "bytes_in": 2048, "bytes_out": 0, "latency": {"p99_us": 900}});
        let table = Table::new(USAGE).part(&[tenant]);
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["a", "7", "0", "0", "0", "0", "3", "0", "2", "0", "900"]);
    }
}
