//! `weir proxy`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use weir_proxy::{ControlOptions, ProxyOptions, read_document};
use weir_schema::config::{Own, check};
use weir_schema::push::JoinToken;

use crate::commands::{INVALID, SYSTEM, USAGE, complain, fail, print, read, report, serve};
use crate::running;
use crate::supervise::follow_parent;

/// Longest wait for an upgrade: longer than the proxy gives its successor.
const UPGRADE_MAX: Duration = Duration::from_secs(75);

/// SIGTERM drains, a second one ends at once; SIGHUP reads the document again; SIGUSR2 is `--upgrade` without the waiting.
#[derive(Args)]
pub(crate) struct Proxy {
    /// The document, YAML or JSON. With --control only what is served before the first version comes.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["admin", "control"])]
    config: Option<PathBuf>,
    /// Folder for last-known-good versions; without it the document's `node.state_dir`. Given here it also serves when
    /// the document cannot be read.
    #[arg(long, value_name = "FOLDER", conflicts_with = "upgrade")]
    state_dir: Option<PathBuf>,
    /// Count what each tenant and route uses, second by second, under this name of the proxy, and keep it for whoever
    /// collects it (`GET /frames/batch` on the admin endpoint), in the state folder or else in memory. With --control that is
    /// done anyway, under the name of the join token.
    #[arg(long, value_name = "NODE", value_parser = node, conflicts_with_all = ["upgrade", "control"])]
    frames: Option<String>,
    /// Take the configuration from control: https://HOST:PORT, or http:// of a loopback address.
    #[arg(long, value_name = "URL", conflicts_with = "upgrade", requires = "state_dir")]
    control: Option<String>,
    /// File with the token that `weir proxies create` printed; without it the environment's WEIR_JOIN.
    #[arg(long, value_name = "FILE", requires = "control")]
    join_file: Option<PathBuf>,
    /// Authorities of control's certificate, PEM, when it is not the one that the token names.
    #[arg(long, value_name = "FILE", requires = "control")]
    control_ca: Option<PathBuf>,
    /// Certificate that this proxy shows to control, PEM.
    #[arg(long, value_name = "FILE", requires = "client_key", requires = "control")]
    client_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Address of a listener of this process, instead of the version's; repeatable.
    #[arg(long, value_name = "ID=ADDRESS", requires = "control", value_parser = listener)]
    listen: Vec<(String, SocketAddr)>,
    /// Print events for people.
    #[arg(long, hide = true)]
    human: bool,
    /// Tell the running proxy to hand its listeners to a new process of the binary that now lies where its own was started
    /// from, and wait for the outcome: 0 the new process serves and the old one drains; 1 it does not, and the old one
    /// serves on. The new process serves the version that is served now; reload afterwards if the document changed.
    #[arg(long)]
    upgrade: bool,
    /// With --upgrade: where the running proxy's admin endpoint is; without it the document's `admin.address`. With
    /// --control: where this process's admin endpoint is.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// A proxy's name: 1 to 63 printable characters without spaces.
fn node(text: &str) -> Result<String, String> {
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "1 to 63 printable ASCII characters without spaces".to_owned())
}

fn listener(text: &str) -> Result<(String, SocketAddr), String> {
    let (id, address) = text
        .split_once('=')
        .ok_or("write ID=ADDRESS, like web=0.0.0.0:80")?;
    let address = address
        .parse()
        .map_err(|_| format!("`{address}` is not an address with a port"))?;
    Ok((id.to_owned(), address))
}

/// Runs it.
pub(crate) fn run(proxy: &Proxy, as_json: bool) -> ExitCode {
    if proxy.upgrade {
        return upgrade(proxy, as_json);
    }
    follow_parent();
    let control = match &proxy.control {
        None => None,
        Some(url) => match control(proxy, url) {
            Ok(control) => Some(control),
            Err(reason) => return fail(USAGE, &reason, as_json),
        },
    };
    let document = match &proxy.config {
        Some(file) => read_document(file).map_err(|error| format!("{}: {error}", file.display())),
        None if control.is_some() => Err(String::new()),
        None => return fail(USAGE, "give --config FILE, or --control URL", as_json),
    };
    let options = ProxyOptions {
        document,
        file: proxy.config.clone(),
        state_dir: proxy.state_dir.clone(),
        frames: match &control {
            Some(control) => Some(control.token.node.clone()),
            None => proxy.frames.clone(),
        },
        control,
        human: proxy.human,
    };
    serve(options, as_json)
}

fn control(proxy: &Proxy, url: &str) -> Result<ControlOptions, String> {
    let token = match &proxy.join_file {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => std::env::var("WEIR_JOIN").map_err(
            |_| "give --join-file FILE with the token that `weir proxies create` printed, or WEIR_JOIN",
        )?,
    };
    let token = JoinToken::decode(&token)
        .ok_or("the join token cannot be read: copy the whole line that `weir proxies create` printed")?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(format!("--control {url}: write https://HOST:PORT"));
    }
    let listeners = proxy
        .listen
        .iter()
        .map(|(id, address)| (id.clone(), address.to_string()));
    let state_dir = proxy.state_dir.clone().ok_or("give --state-dir FOLDER")?;
    let state_dir = std::path::absolute(&state_dir).map_err(|error| error.to_string())?;
    Ok(ControlOptions {
        url: url.to_owned(),
        own: Own {
            region: Some(token.region.clone()),
            state_dir: Some(state_dir.clone()),
            admin: proxy.admin.map(|address| address.to_string()),
            listeners: listeners.collect::<BTreeMap<_, _>>(),
        },
        token,
        ca_file: proxy.control_ca.clone(),
        client_certificate: proxy.client_cert.clone().zip(proxy.client_key.clone()),
        state_dir,
    })
}

/// `weir proxy --upgrade`
fn upgrade(proxy: &Proxy, as_json: bool) -> ExitCode {
    let address = match (proxy.admin, &proxy.config) {
        (Some(address), _) => address,
        (None, Some(file)) => match read(file, as_json).map(|document| (check(&document), document.name)) {
            Ok((Ok(config), _)) => config.admin.address,
            Ok((Err(errors), name)) => return report(&name, &errors, as_json),
            Err(code) => return code,
        },
        (None, None) => return ExitCode::from(USAGE),
    };
    if address.port() == 0 {
        let message = "the kernel chose the port of the admin endpoint: give it with --admin";
        return fail(USAGE, message, as_json);
    }
    let (status, answer) = match running::post(address, "/upgrade", "", UPGRADE_MAX) {
        Ok(answered) => answered,
        Err(reason) => return fail(SYSTEM, &reason, as_json),
    };
    let code = if status == 200 { 0 } else { INVALID };
    if as_json {
        print(&answer.to_string());
    } else if status == 200 {
        print(&format!("handed over to process {}", answer["pid"]));
    } else {
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        for error in errors {
            complain(error["message"].as_str().unwrap_or_default());
        }
        complain("weir: not upgraded; the old process serves on");
    }
    ExitCode::from(code)
}
