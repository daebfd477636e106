//! `weir tokens`: who may ask control.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use super::ask::{Ask, encode};
use super::list::{PAGE, list, one, said};
use super::proxies::{create, revoke};
use super::table::{Column, now_ms, plain, text, time};
use super::{Control, Ended};
use crate::waf::seconds;

const TOKENS: &[Column] = &[
    Column::new("ID", |token| text(&token["id"])),
    Column::new("ROLE", |token| text(&token["role"])),
    Column::new("TENANTS", |token| text(&token["tenants"])),
    Column::new("REGIONS", |token| text(&token["regions"])),
    Column::new("STATE", |token| {
        let expired = token["expires_ms"]
            .as_u64()
            .is_some_and(|expires_ms| expires_ms <= now_ms());
        let state = match (&token["revoked_ms"], expired) {
            (Value::Number(_), _) => "revoked",
            (_, true) => "expired",
            _ => "valid",
        };
        state.to_owned()
    }),
    Column::new("CREATED", |token| time(&token["created_ms"])),
    Column::new("EXPIRES", |token| time(&token["expires_ms"])),
    Column::new("NOTE", |token| text(&token["note"])),
];

/// Who may ask control.
#[derive(Args)]
pub(crate) struct Tokens {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Look.
    Read,
    /// Change what is in its scope.
    Operate,
    /// Everything, tokens too.
    Admin,
}

#[derive(Subcommand)]
enum Which {
    /// List them.
    List,
    /// Make one: prints its secret, which is given out once.
    Create(New),
    /// Make one not valid any more, from now on.
    Revoke {
        /// Its id.
        id: String,
    },
    /// Show the token that asks.
    Whoami,
}

#[derive(Args)]
struct New {
    /// What it may do.
    #[arg(long, value_enum)]
    role: Role,
    /// Tenants that it is for, comma-separated; * is all of them.
    #[arg(long, value_name = "ID", value_delimiter = ',', required_unless_present_any = ["region", "everything"])]
    tenant: Vec<String>,
    /// Regions that it is for, comma-separated; * is all of them.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    region: Vec<String>,
    /// It is for all tenants and all regions.
    #[arg(long, conflicts_with_all = ["tenant", "region"])]
    everything: bool,
    /// It is valid for so long: 90s, 15m, 1h, 7d. Without it, until it is revoked.
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    for_s: Option<u64>,
    /// What it is for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Write the secret to this new file, for its owner only, instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl New {
    fn body(&self) -> Value {
        let all = || vec!["*".to_owned()];
        let (tenants, regions) = if self.everything {
            (all(), all())
        } else {
            (self.tenant.clone(), self.region.clone())
        };
        let role = match self.role {
            Role::Read => "read",
            Role::Operate => "operate",
            Role::Admin => "admin",
        };
        let expires_ms = self
            .for_s
            .map(|for_s| now_ms().saturating_add(for_s.saturating_mul(1000)));
        json!({"role": role, "tenants": tenants, "regions": regions, "note": self.note, "expires_ms": expires_ms})
    }
}

/// Runs it.
pub(crate) fn run(tokens: &Tokens, as_json: bool) -> Ended {
    let client = tokens.control.client()?;
    match &tokens.what {
        Which::List => list(&client, &format!("/v1/tokens?limit={PAGE}"), TOKENS, as_json),
        Which::Create(new) => {
            let ask = Ask::json(Method::POST, "/v1/tokens", &new.body());
            create(&client, &ask, "secret", new.out.as_deref(), as_json)
        }
        Which::Revoke { id } => {
            let token = revoke(&client, format!("/v1/tokens/{}/revoke", encode(id, false)))?;
            Ok(said(
                &format!("{} is not valid any more", plain(id)),
                &token,
                as_json,
            ))
        }
        Which::Whoami => Ok(one(&client.get("/v1/whoami")?.body, TOKENS, as_json)),
    }
}
