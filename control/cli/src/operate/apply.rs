//! `weir apply` and `weir plan`: a document and its files become what control serves.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use weir_control::bundle::bundle;

use super::ask::{Ask, Client, Match, flag, query};
use super::converge::{Waiting, follow};
use super::difference::{remarks, shown};
use super::table::{counted, plain};
use super::trouble::Trouble;
use super::upload::{Served, Upload};
use super::{Control, Ended};
use crate::commands::{complain, print};

/// Paths that are shown of a list.
const PATHS_SHOWN: usize = 100;
/// With `--exit-code`: there is something to look at.
pub(super) const CHANGES: u8 = 4;

/// Make a document, with the files that it names, what control serves. Only what differs is sent. What an earlier document
/// made and this one does not have goes. Documents of single regions (`edge/REGION`) stay.
///
/// Exit codes: 0 published (with --wait: and served by all connected proxies), or nothing differs; 1 refused, or taken back;
/// 2 wrong usage; 3 control cannot be asked, or time is over.
#[derive(Args)]
pub(crate) struct Apply {
    /// The document.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    changing: Changing,
    /// Say what it would do, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Remove nothing: what the document does not have stays.
    #[arg(long)]
    keep: bool,
    /// Do not ask before paths are removed. Needed where nobody can answer.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    control: Control,
}

/// How a version is made.
#[derive(Args)]
pub(super) struct Changing {
    /// Why, for people.
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// Only the first stage is watched, and that for a shorter time.
    #[arg(long)]
    pub(super) emergency: bool,
    /// Only if this is the newest revision.
    #[arg(long, value_name = "REVISION")]
    pub(super) if_revision: Option<u64>,
}

/// Show what `weir apply` would change, as proxies see it. Control tries the document with the code that serves it; nothing is
/// published.
///
/// Exit codes: 0 it could be applied (with --exit-code: and nothing differs); 1 it would be refused; 2 wrong usage; 3 control
/// cannot be asked; 4 with --exit-code: something would change.
#[derive(Args)]
pub(crate) struct Plan {
    /// The document.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// As `weir apply --keep`: what the document does not have stays.
    #[arg(long)]
    keep: bool,
    /// End with 4 if something would change.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    control: Control,
}

/// What is to be done, and what control answered.
struct Tried {
    upload: Upload,
    served: Served,
    answer: Value,
}

/// Runs `weir apply`.
pub(crate) fn apply(apply: &Apply, as_json: bool) -> Ended {
    let client = apply.control.client()?;
    let (upload, served) = compare(&client, &apply.file, apply.keep)?;
    if !upload.remove.is_empty() {
        confirm(&upload.remove, apply)?;
    }
    let changing = &apply.changing;
    let note = changing
        .note
        .clone()
        .unwrap_or_else(|| format!("from {}", apply.file.display()));
    let revision = changing.if_revision.unwrap_or(served.revision);
    let body = upload.body(&note, changing.emergency)?;
    let answer = send(&client, &body, revision, apply.dry_run)?;
    if apply.dry_run {
        let tried = Tried {
            upload,
            served,
            answer,
        };
        return Ok(tell_plan(&tried, as_json));
    }
    let done = Done {
        sent: upload.paths().count(),
        removed: upload.remove,
        answer,
        ..Done::default()
    };
    done.end(&client, &apply.waiting, as_json)
}

/// Runs `weir plan`.
pub(crate) fn plan(plan: &Plan, as_json: bool) -> Ended {
    let client = plan.control.client()?;
    let (upload, served) = compare(&client, &plan.file, plan.keep)?;
    let body = upload.body("", false)?;
    let answer = send(&client, &body, served.revision, true)?;
    let changes = answer["changed_count"] != 0;
    let tried = Tried {
        upload,
        served,
        answer,
    };
    let told = tell_plan(&tried, as_json);
    Ok(if plan.exit_code && changes && told == ExitCode::SUCCESS {
        ExitCode::from(CHANGES)
    } else {
        told
    })
}

fn compare(client: &Client, file: &Path, keep: bool) -> Result<(Upload, Served), Trouble> {
    let document = weir_proxy::read_document(file)
        .map_err(|error| Trouble::System(format!("{}: {error}", file.display())))?;
    let bundle = bundle(&document).map_err(Trouble::Invalid)?;
    let served = Served::ask(client)?;
    let mut upload = Upload::of(bundle, &served);
    if keep {
        upload.remove.clear();
    }
    Ok((upload, served))
}

fn send(client: &Client, body: &Value, revision: u64, dry_run: bool) -> Result<Value, Trouble> {
    let path = format!("/v1/config/changes{}", query(&[("dry_run", flag(dry_run))]));
    let ask = Ask::json(Method::POST, path, body).matching(Match::Tag(revision));
    Ok(client.ask(&ask)?.body)
}

fn confirm(paths: &[String], apply: &Apply) -> Result<(), Trouble> {
    if apply.dry_run {
        return Ok(());
    }
    let go = counted(
        paths.len() as u64,
        "path goes, because the document does not have it:",
        "paths go, because the document does not have them:",
    );
    complain(&go);
    for path in paths.iter().take(PATHS_SHOWN) {
        complain(&format!("  - {}", plain(path)));
    }
    if paths.len() > PATHS_SHOWN {
        complain(&format!("  ... and {} more", paths.len() - PATHS_SHOWN));
    }
    if apply.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Trouble::Usage(
            "nobody can be asked whether they may go: say --yes".to_owned(),
        ));
    }
    complain("Remove them? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Trouble::Invalid(vec!["nothing was changed".to_owned()]))
}

fn tell_plan(tried: &Tried, as_json: bool) -> ExitCode {
    let mut value = tried.answer.clone();
    value["removed"] = json!(tried.upload.remove);
    value["outcome"] = json!("dry_run");
    value["from_revision"] = json!(tried.served.revision);
    if as_json {
        return print(&value.to_string());
    }
    remarks(&tried.answer).iter().for_each(|remark| complain(remark));
    if tried.answer["changed_count"] == 0 {
        return print(&format!(
            "nothing differs from revision {}",
            tried.served.revision
        ));
    }
    let mut text = String::new();
    let signed = tried.upload.paths().map(|path| {
        let known = tried.served.paths.contains_key(path);
        (if known { '~' } else { '+' }, path)
    });
    let signed: Vec<(char, &String)> = signed
        .chain(tried.upload.remove.iter().map(|path| ('-', path)))
        .collect();
    for (sign, path) in signed.iter().take(PATHS_SHOWN) {
        text.push_str(&format!("{sign} {}\n", plain(path)));
    }
    if signed.len() > PATHS_SHOWN {
        text.push_str(&format!("... and {} more paths\n", signed.len() - PATHS_SHOWN));
    }
    let diff = shown(&tried.answer["diff"]);
    if !diff.is_empty() {
        text.push_str("\nAs proxies see it:\n");
        text.push_str(&diff);
    }
    text.push_str(&format!(
        "\n{} from revision {}; it would be revision {}",
        counted(signed.len() as u64, "path differs", "paths differ"),
        tried.served.revision,
        tried.answer["revision"]
    ));
    print(&text)
}

/// A change that was made.
#[derive(Default)]
pub(super) struct Done {
    /// What to say; of a change of paths it is made here.
    pub(super) sentence: Option<String>,
    /// Paths that were sent.
    pub(super) sent: usize,
    pub(super) removed: Vec<String>,
    /// What control said.
    pub(super) answer: Value,
}

impl Done {
    /// Tells what was done, and waits if that is wanted.
    pub(super) fn end(self, client: &Client, waiting: &Waiting, as_json: bool) -> Ended {
        let mut value = self.answer;
        let revision = value["revision"].as_u64().unwrap_or(0);
        let same = value["changed_count"] == 0;
        if !as_json {
            remarks(&value).iter().for_each(|remark| complain(remark));
        }
        let first = match self.sentence {
            Some(sentence) => sentence,
            None if same => format!("nothing differs from revision {revision}"),
            None => format!(
                "revision {revision} is published: {}",
                counted(
                    value["changed_count"].as_u64().unwrap_or(0),
                    "path differs",
                    "paths differ"
                )
            ),
        };
        if value["changed_count"].is_u64() {
            value["sent"] = json!(self.sent);
            value["removed"] = json!(self.removed);
        }
        value["outcome"] = json!(if same { "same" } else { "published" });
        let Some(patience) = waiting.time() else {
            return Ok(super::list::said(&first, &value, as_json));
        };
        complain(&first);
        let convergence = follow(client, revision, patience)?;
        convergence.add_to(&mut value);
        if as_json {
            print(&value.to_string());
        } else {
            convergence.tell(revision);
        }
        Ok(convergence.code())
    }
}
