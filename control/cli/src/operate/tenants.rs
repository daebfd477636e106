//! `weir tenants`: the life of tenants, one by one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::apply::Done;
use super::ask::{Ask, Client, Match, encode, flag, query};
use super::converge::Waiting;
use super::list::{PAGE, json_document, list, said};
use super::table::{Column, plain, text, time};
use super::trouble::Trouble;
use super::{Control, Ended};
use crate::waf::seconds;

/// Bytes of a tenant's file.
const FILE_BYTES_MAX: u64 = 16 << 20;

const TENANTS: &[Column] = &[
    Column::new("ID", |tenant| text(&tenant["id"])),
    Column::new("STATE", |tenant| text(&tenant["state"])),
    Column::new("TIER", |tenant| text(&tenant["tier"])),
    Column::new("HOSTS", |tenant| text(&tenant["tenant"]["hosts"])),
    Column::new("MOVES TO", |tenant| text(&tenant["migrate_to"])),
    Column::new("DELETED AT", |tenant| time(&tenant["deletes_ms"])),
];

/// The life of tenants, one by one. A tenant is also what a document says of it: `weir apply` writes its tenants anew, and removes
/// those that it does not have.
#[derive(Args)]
pub(crate) struct Tenants {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Subcommand)]
enum Which {
    /// List them.
    List,
    /// Show one.
    Get {
        /// Its id.
        id: String,
    },
    /// Make one. It is pending until it is activated, if its file gives it no state.
    Create(Written),
    /// Write one anew. What it is in its life stays.
    Put(Written),
    /// Change parts of one: a JSON merge patch (RFC 7396) on `tenant` and `pools`.
    Patch(Written),
    /// Serve one that is pending or has moved.
    Activate(Step),
    /// Stop one: its clients are refused with 403.
    Suspend(Step),
    /// Serve a suspended one again.
    Resume(Step),
    /// Delete one: its clients are told 410, and it can be restored until its grace is over.
    Delete {
        #[command(flatten)]
        step: Step,
        /// How long it can be restored: 90s, 15m, 1h, 7d. Without it, 30 days.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        grace: Option<u64>,
    },
    /// Make a deleted one what it was.
    Restore(Step),
    /// Move one to another region: its clients are sent there. Activate it when it has moved.
    Migrate {
        #[command(flatten)]
        step: Step,
        /// The region.
        #[arg(long, value_name = "ID")]
        region: String,
    },
    /// Print all that is kept of one: its documents and its events, as JSON.
    Export {
        /// Its id.
        id: String,
    },
}

#[derive(Args)]
struct Step {
    /// Its id.
    id: String,
    /// Say whether it could be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args)]
struct Written {
    #[command(flatten)]
    step: Step,
    /// JSON with `tenant`, as in the configuration's `tenants`, and `pools` that only it names.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

/// Runs it.
pub(crate) fn run(tenants: &Tenants, as_json: bool) -> Ended {
    let client = tenants.control.client()?;
    let path = |id: &str| format!("/v1/tenants/{}", encode(id, false));
    match &tenants.what {
        Which::List => list(&client, &format!("/v1/tenants?limit={PAGE}"), TENANTS, as_json),
        Which::Get { id } => Ok(json_document(&client.get(&path(id))?.body, as_json)),
        Which::Export { id } => {
            let export = client.get(&format!("{}/export", path(id)))?.body;
            Ok(json_document(&export, as_json))
        }
        Which::Create(written) => {
            let body = whole(written)?;
            let target = format!("/v1/tenants{}", dry(&written.step));
            let ask = Ask::json(Method::POST, target, &body);
            change(&client, &ask, &written.step, "created", as_json)
        }
        Which::Put(written) => {
            let target = format!("{}{}", path(&written.step.id), dry(&written.step));
            let ask = Ask::json(Method::PUT, target, &whole(written)?);
            change(
                &client,
                &ask.matching(Match::Any),
                &written.step,
                "changed",
                as_json,
            )
        }
        Which::Patch(written) => {
            let target = format!("{}{}", path(&written.step.id), dry(&written.step));
            let patch = read(&written.file)?.to_string().into_bytes();
            let ask = Ask::bytes(Method::PATCH, target, "application/merge-patch+json", patch);
            change(
                &client,
                &ask.matching(Match::Any),
                &written.step,
                "changed",
                as_json,
            )
        }
        Which::Activate(step) => plain_step(&client, step, "activate", "active", as_json),
        Which::Suspend(step) => plain_step(&client, step, "suspend", "suspended", as_json),
        Which::Resume(step) => plain_step(&client, step, "resume", "active again", as_json),
        Which::Restore(step) => plain_step(&client, step, "restore", "what it was", as_json),
        Which::Delete { step, grace } => {
            let grace_ms = grace.map(|grace_s| grace_s.saturating_mul(1000).to_string());
            let pairs = [("grace_ms", grace_ms), ("dry_run", flag(step.dry_run))];
            let target = format!("{}/delete{}", path(&step.id), query(&pairs));
            change(&client, &post(target), step, "deleted", as_json)
        }
        Which::Migrate { step, region } => {
            let target = format!("{}/migrate{}", path(&step.id), dry(step));
            let ask = Ask::json(Method::POST, target, &json!({"region": region}));
            change(&client, &ask.matching(Match::Any), step, "on its way", as_json)
        }
    }
}

fn dry(step: &Step) -> String {
    query(&[("dry_run", flag(step.dry_run))])
}

fn post(path: String) -> Ask {
    let ask = Ask {
        method: Method::POST,
        path,
        ..Ask::default()
    };
    ask.matching(Match::Any)
}

fn plain_step(client: &Client, step: &Step, verb: &str, done: &str, as_json: bool) -> Ended {
    let target = format!("/v1/tenants/{}/{verb}{}", encode(&step.id, false), dry(step));
    change(client, &post(target), step, done, as_json)
}

/// Makes a change of a tenant, which is a version, and waits for that if it is wanted.
fn change(client: &Client, ask: &Ask, step: &Step, done: &str, as_json: bool) -> Ended {
    let tenant = client.ask(ask)?.body;
    let id = plain(&step.id);
    if step.dry_run {
        return Ok(said(&format!("tenant {id} would be {done}"), &tenant, as_json));
    }
    let sentence = format!("tenant {id} is {done} in revision {}", text(&tenant["revision"]));
    Done {
        sentence: Some(sentence),
        answer: tenant,
        ..Done::default()
    }
    .end(client, &step.waiting, as_json)
}

pub(super) fn read(file: &Path) -> Result<Value, Trouble> {
    let shown = file.display();
    let text = super::secret::read(file, FILE_BYTES_MAX)
        .map_err(|error| Trouble::System(format!("{shown}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Trouble::Invalid(vec![format!("{shown}: {error}")]))
}

/// The file of a whole tenant, with the id that was given.
fn whole(written: &Written) -> Result<Value, Trouble> {
    let mut body = read(&written.file)?;
    let Some(members) = body.as_object_mut() else {
        return Err(Trouble::Invalid(vec![format!(
            "{}: write an object with `tenant` and, if it has its own, `pools`",
            written.file.display()
        )]));
    };
    members.insert("id".to_owned(), json!(written.step.id));
    Ok(body)
}
