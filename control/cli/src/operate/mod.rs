//! Commands that ask control's admin API: what is served, what shall be served, who may join and who may ask.

pub(crate) mod apply;
pub(crate) mod events;
pub(crate) mod paths;
pub(crate) mod proxies;
pub(crate) mod rollouts;
pub(crate) mod served;
pub(crate) mod tenants;
pub(crate) mod tiers;
pub(crate) mod tokens;
pub(crate) mod top;
pub(crate) mod versions;

mod address;
mod ask;
mod converge;
mod difference;
mod list;
mod secret;
mod table;
mod trouble;
mod upload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use address::{Address, Security};
use ask::Client;
use trouble::Trouble;

/// What a command ends with.
pub(crate) type Ended = Result<ExitCode, Trouble>;

/// Where control is when nothing else is said.
const API: &str = "http://127.0.0.1:9902";
/// The file of the first token in control's data folder; `weir up` has that folder one below its own.
const FIRST_TOKEN: [&str; 2] = ["admin.token", "control/admin.token"];
/// Bytes of a token's file.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Where control is, and who asks.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Control")]
pub(crate) struct Control {
    /// Where control's admin API is: http://..., https://..., or the path of a Unix socket (with a slash). Without it the
    /// environment variable WEIR_API, or http://127.0.0.1:9902.
    #[arg(long, global = true, value_name = "URL|PATH")]
    api: Option<String>,
    /// File with the token to ask with. Without it the environment variable WEIR_TOKEN (a token), or the first token of
    /// --data-dir.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Data folder of a control on this machine (or of `weir up`): its first token is used.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Authorities that may vouch for control, PEM; without it those of the system.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Send the token without TLS to an address that is not loopback.
    #[arg(long, global = true)]
    api_plain: bool,
}

impl Control {
    /// A client for it; nothing is asked yet.
    pub(crate) fn client(&self) -> Result<Client, Trouble> {
        let named = self.api.clone().or_else(|| environment("WEIR_API"));
        let address = Address::parse(named.as_deref().unwrap_or(API)).map_err(Trouble::Usage)?;
        let security = Security {
            ca_file: self.ca_file.clone(),
            plain: self.api_plain,
        };
        Client::new(address, &security, self.token()?)
    }

    fn token(&self) -> Result<String, Trouble> {
        let read = |path: &PathBuf| {
            let text = secret::read(path, TOKEN_BYTES_MAX);
            text.map_err(|error| Trouble::System(format!("{}: {error}", path.display())))
        };
        let token = if let Some(path) = &self.token_file {
            read(path)?
        } else if let Some(token) = environment("WEIR_TOKEN") {
            token
        } else if let Some(folder) = &self.data_dir {
            let files = FIRST_TOKEN.map(|file| folder.join(file));
            let file = files.iter().find(|file| file.exists()).ok_or_else(|| {
                Trouble::System(format!(
                    "{}: no admin.token in it; is it the data folder of a control that was started once?",
                    folder.display()
                ))
            })?;
            read(file)?
        } else {
            return Err(Trouble::Usage(
                "no token to ask control with: give --token-file FILE, set WEIR_TOKEN, or give --data-dir FOLDER of a \
                 control on this machine (its first token is there)"
                    .to_owned(),
            ));
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Trouble::Usage(
                "the token is not one: it begins with weir_".to_owned(),
            ));
        }
        Ok(token.to_owned())
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The exit code of what a command ended with; what went wrong is told.
pub(crate) fn finish(ended: Ended, as_json: bool) -> ExitCode {
    ended.unwrap_or_else(|trouble| trouble.tell(as_json))
}
