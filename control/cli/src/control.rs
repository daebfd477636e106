//! `weir control`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use weir_control::api::{ApiAddress, ApiOptions};
use weir_control::boot::{ControlOptions, CoreOptions, run_control};
use weir_control::push::PushOptions;
use weir_control::slo::DeliveryOptions;
use weir_control::versions::{Compiler, Tried};
use weir_proxy::Trial;
use weir_schema::push::ObjectHash;

use crate::commands::{SYSTEM, fail};
use crate::supervise::follow_parent;

/// Run the control process. It owns the configuration, pushes it to proxies as one signed version, and collects what they
/// report. SIGTERM and SIGINT end it; proxies serve on.
#[derive(Args)]
pub(crate) struct Control {
    /// Folder of everything that control keeps.
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Where operators ask: an address, or the path of a Unix socket (with a slash). Beyond loopback it wants TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9902", value_parser = api_address)]
    api: ApiAddress,
    /// Certificate of that address, PEM.
    #[arg(long, value_name = "FILE", requires = "api_key")]
    api_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "api_cert")]
    api_key: Option<PathBuf>,
    /// No TLS for operators beyond loopback: something in front of it has it.
    #[arg(long)]
    api_plain: bool,
    /// Alertmanager that is told alerts, like http://127.0.0.1:9093.
    #[arg(long, value_name = "URL")]
    alertmanager: Option<String>,
    /// Address that gets a POST for each group of alerts.
    #[arg(long, value_name = "URL")]
    alert_webhook: Option<String>,
    /// File with the key that signs those (`weir-signature`, HMAC-SHA256).
    #[arg(long, value_name = "FILE", requires = "alert_webhook")]
    alert_webhook_secret: Option<PathBuf>,
    /// Address of control as a browser finds it, for links in alerts.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9902")]
    origin: String,
    /// Address that proxies dial.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9903")]
    push: SocketAddr,
    /// Certificate of that address, PEM; without it control makes one and names it in join tokens.
    #[arg(long, value_name = "FILE", requires = "push_key")]
    push_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "push_cert")]
    push_key: Option<PathBuf>,
    /// Authorities of client certificates, PEM: a proxy may then show a certificate with its name instead of a token.
    #[arg(long, value_name = "FILE")]
    push_client_ca: Option<PathBuf>,
    /// No TLS for proxies: only on a loopback address.
    #[arg(long, conflicts_with_all = ["push_cert", "push_client_ca"])]
    push_plain: bool,
    /// A document that is published at the start and at SIGHUP, if it is another one than was published last: what was changed
    /// since in other ways stays.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A proxy of this machine: its join token is written to FOLDER/join/NAME; repeatable.
    #[arg(long, value_name = "NAME=REGION", value_parser = local_proxy)]
    local_proxy: Vec<(String, String)>,
}

fn api_address(text: &str) -> Result<ApiAddress, String> {
    if text.contains('/') {
        return Ok(ApiAddress::Unix(PathBuf::from(text)));
    }
    let address = text
        .parse()
        .map_err(|_| "write ADDRESS:PORT, or the path of a socket")?;
    Ok(ApiAddress::Tcp(address))
}

fn local_proxy(text: &str) -> Result<(String, String), String> {
    let named = text.split_once('=').filter(|(node, region)| {
        let id = |text: &str| weir_schema::ids::TenantId::new(text).is_some();
        id(node) && id(region)
    });
    let (node, region) = named.ok_or("write NAME=REGION, like eu-1=eu")?;
    Ok((node.to_owned(), region.to_owned()))
}

/// Tries versions with the code of the proxy.
struct ProxyCompiler(Trial);

impl Compiler for ProxyCompiler {
    fn check(
        &mut self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        let tried = self.0.check(index, object)?;
        Ok(Tried {
            warnings: tried.warnings,
            quarantined: tried.quarantined,
            diff: tried.diff,
            compile_ms: tried.compile_ms,
        })
    }
}

/// Where versions are tried: in memory, because the private keys of certificates are among their files.
fn trial_folder(data_dir: &Path) -> PathBuf {
    let name = ObjectHash::of(data_dir.as_os_str().as_encoded_bytes()).to_string();
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.join(format!("weir-control-{}", name.get(..16).unwrap_or_default()))
    } else {
        data_dir.join("trial")
    }
}

fn compiler(data_dir: &Path) -> Result<Box<dyn Compiler>, String> {
    let folder = trial_folder(data_dir);
    // What a process that was killed left behind.
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", folder.display()));
        }
        _ => {}
    }
    Ok(Box::new(ProxyCompiler(Trial::new(&folder)?)))
}

/// Runs it.
pub(crate) fn run(control: &Control, as_json: bool) -> ExitCode {
    follow_parent();
    match serve(control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(SYSTEM, &reason, as_json),
    }
}

fn serve(control: &Control) -> Result<(), String> {
    let data_dir = std::path::absolute(&control.data_dir).map_err(|error| error.to_string())?;
    let secret = control.alert_webhook_secret.as_ref().map(|file| {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok::<_, String>(text.trim_end().to_owned())
    });
    let secret = secret.transpose()?;
    let options = ControlOptions {
        core: CoreOptions {
            push: PushOptions {
                address: control.push,
                certificate: control.push_cert.clone().zip(control.push_key.clone()),
                client_ca: control.push_client_ca.clone(),
                plain: control.push_plain,
            },
            data_dir: data_dir.clone(),
        },
        config: control.config.clone(),
        api: ApiOptions {
            address: control.api.clone(),
            certificate: control.api_cert.clone().zip(control.api_key.clone()),
            plain: control.api_plain,
        },
        local_proxies: control.local_proxy.clone(),
        alerts: DeliveryOptions {
            alertmanager: control.alertmanager.clone(),
            webhook: control.alert_webhook.clone(),
            webhook_secret: secret,
            origin: control.origin.trim_end_matches('/').to_owned(),
        },
    };
    let ended = run_control(options, compiler(&data_dir)?);
    // Only files of versions, which are in the store.
    let _ = std::fs::remove_dir_all(trial_folder(&data_dir));
    ended
}
