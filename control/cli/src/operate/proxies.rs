//! `weir proxies`: who may join, and what those who did serve.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::ask::{Ask, Client, Match, encode};
use super::list::{PAGE, json_document, list, said};
use super::secret::SecretFile;
use super::table::{Column, plain, span, text, time};
use super::{Control, Ended};
use crate::commands::{complain, print};

const PROXIES: &[Column] = &[
    Column::new("ID", |proxy| text(&proxy["id"])),
    Column::new("REGION", |proxy| text(&proxy["region"])),
    Column::new("STATE", |proxy| {
        let state = match (&proxy["revoked"], &proxy["state"]["connected"]) {
            (Value::Bool(true), _) => "revoked",
            (_, Value::Bool(true)) => "connected",
            _ if proxy["state"]["since_ms"].is_u64() => "away",
            _ => "never seen",
        };
        state.to_owned()
    }),
    Column::new("SERVING", |proxy| text(&proxy["state"]["serving"]["revision"])),
    Column::new("TARGET", |proxy| text(&proxy["state"]["target"]["revision"])),
    Column::new("STALE", |proxy| match proxy["stale_ms"].as_u64() {
        None | Some(0) => String::new(),
        Some(stale_ms) => span(stale_ms),
    }),
    Column::new("REFUSED", |proxy| text(&proxy["state"]["refused"]["revision"])),
    Column::new("PROGRAM", |proxy| text(&proxy["state"]["program"])),
    Column::new("SINCE", |proxy| time(&proxy["state"]["since_ms"])),
];

/// Who may join, and what those who did serve.
#[derive(Args)]
pub(crate) struct Proxies {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Subcommand)]
enum Which {
    /// List them.
    List,
    /// Show one, with its reasons if it refused a version.
    Get {
        /// Its name.
        name: String,
    },
    /// Let a proxy in: prints its join token, which is given out once, for `weir proxy --control --join-file`.
    Create {
        /// Its name.
        name: String,
        /// The region that it stands in.
        #[arg(long, value_name = "ID")]
        region: String,
        /// Write the join token to this new file, for its owner only, instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Let a proxy join no more. It serves on what it has.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// Runs it.
pub(crate) fn run(proxies: &Proxies, as_json: bool) -> Ended {
    let client = proxies.control.client()?;
    match &proxies.what {
        Which::List => list(&client, &format!("/v1/proxies?limit={PAGE}"), PROXIES, as_json),
        Which::Get { name } => {
            let proxy = client.get(&format!("/v1/proxies/{}", encode(name, false)))?.body;
            Ok(json_document(&proxy, as_json))
        }
        Which::Create { name, region, out } => {
            let ask = Ask::json(
                Method::POST,
                "/v1/proxies",
                &json!({"id": name, "region": region}),
            );
            create(&client, &ask, "join_token", out.as_deref(), as_json)
        }
        Which::Revoke { name } => {
            let path = format!("/v1/proxies/{}/revoke", encode(name, false));
            let proxy = revoke(&client, path)?;
            let sentence = format!("{} may not join any more", plain(name));
            Ok(said(&sentence, &proxy, as_json))
        }
    }
}

/// Makes something whose secret is given out once, as a member of the answer.
pub(super) fn create(
    client: &Client,
    ask: &Ask,
    secret: &str,
    out: Option<&std::path::Path>,
    as_json: bool,
) -> Ended {
    // First the file: what cannot be written would be lost.
    let file = out.map(SecretFile::new).transpose()?;
    let mut created = client.ask(ask)?.body;
    let token = text(&created[secret]);
    if let (Some(file), Some(path)) = (file, out) {
        file.write(&token)?;
        if !as_json {
            complain(&format!("written to {}", path.display()));
            return Ok(std::process::ExitCode::SUCCESS);
        }
        if let Some(members) = created.as_object_mut() {
            members.remove(secret);
        }
    }
    if as_json {
        return Ok(print(&created.to_string()));
    }
    Ok(print(&token))
}

/// Takes back whatever is there.
pub(super) fn revoke(client: &Client, path: String) -> Result<Value, super::Trouble> {
    let ask = Ask {
        method: Method::POST,
        path,
        ..Ask::default()
    };
    Ok(client.ask(&ask.matching(Match::Any))?.body)
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    #[test]
    fn a_proxy_shows_what_it_serves_and_how_late_it_is() {
        let proxies = [
            json!({"id": "eu-1", "region": "eu", "revoked": false, "stale_ms": 1500, "state": {"connected": true,
                "since_ms": 0, "serving": {"revision": 6}, "target": {"revision": 7}, "program": "0.1.0"}}),
            json!({"id": "eu-2", "region": "eu", "revoked": false, "stale_ms": 0, "state": {"connected": false}}),
        ];
        assert_eq!(
            Table::new(PROXIES).part(&proxies),
            "ID    REGION  STATE       SERVING  TARGET  STALE  REFUSED  PROGRAM  SINCE\n\
             eu-1  eu      connected   6        7       1.5 s  -        0.1.0    1970-01-01T00:00:00Z\n\
             eu-2  eu      never seen  -        -       -      -        -        -\n"
        );
    }
}
