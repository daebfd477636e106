//! The `weir` command.

mod commands;
mod demo;
mod explain;
mod rules_bench;
mod rules_explain;
mod rules_replay;
mod rules_requests;
mod rules_suggest;
mod rules_test;
mod running;
mod waf;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Weir: a regional ingress that knows whose request it is, where it comes from, how much it may do and whether it is
/// an attack.
///
/// Exit codes: 0 done; 1 the input is not valid, or a running proxy refused it (errors are printed); 2 wrong usage; 3 the
/// system refused (a port, a file, a proxy that does not answer).
#[derive(Parser)]
#[command(name = "weir", version, arg_required_else_help = true)]
struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Start a proxy in front of an upstream on safe built-in defaults.
    Up(Up),
    /// Run a proxy with a configuration document, or tell a running one to hand over to a new binary.
    Proxy(Proxy),
    /// Ask a running proxy what it would decide about a request, and why.
    Explain(explain::Explain),
    /// Look at configuration documents.
    #[command(subcommand)]
    Config(Config),
    /// Look at rule files.
    #[command(subcommand)]
    Rules(Rules),
    /// Switch a running proxy's WAF, or a rule of it, off and on; see what is switched.
    #[command(subcommand)]
    Waf(waf::Waf),
    /// Print a shell's completion script.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
struct Up {
    /// Upstream to protect, like http://127.0.0.1:3000; without it a built-in demo origin answers.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Address of the admin endpoint.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: String,
    /// MMDB file with countries; adds geo headers and `--deny-country`.
    #[arg(long, value_name = "FILE")]
    geo: Option<PathBuf>,
    /// Countries to refuse (ISO 3166 codes).
    #[arg(long, value_name = "CODE", value_delimiter = ',', requires = "geo")]
    deny_country: Vec<String>,
    /// Peers (CIDR) whose X-Forwarded-For counts.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trust: Vec<String>,
    /// Requests per second of one client address.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    /// What the rules do: off, detect or block.
    #[arg(long, value_name = "MODE", default_value = "block")]
    waf: String,
}

/// SIGTERM drains, a second one ends at once; SIGHUP reads the document again; SIGUSR2 is `--upgrade` without the waiting.
#[derive(Args)]
struct Proxy {
    /// The document, YAML or JSON.
    #[arg(long, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// Folder for last-known-good versions; without it the document's `node.state_dir`. Given here it also serves when
    /// the document cannot be read.
    #[arg(long, value_name = "FOLDER", conflicts_with = "upgrade")]
    state_dir: Option<PathBuf>,
    /// Count what each tenant and route uses, second by second, under this name of the proxy, and keep it for whoever
    /// collects it (`GET /frames/batch` on the admin endpoint), in the state folder or else in memory.
    #[arg(long, value_name = "NODE", value_parser = node, conflicts_with = "upgrade")]
    frames: Option<String>,
    /// Tell the running proxy to hand its listeners to a new process of the binary that now lies where its own was started
    /// from, and wait for the outcome: 0 the new process serves and the old one drains; 1 it does not, and the old one
    /// serves on. The new process serves the version that is served now; reload afterwards if the document changed.
    #[arg(long)]
    upgrade: bool,
    /// Where the running proxy's admin endpoint is; without it the document's `admin.address`.
    #[arg(long, value_name = "ADDRESS", requires = "upgrade")]
    admin: Option<SocketAddr>,
}

/// A proxy's name: 1 to 63 printable characters without spaces.
fn node(text: &str) -> Result<String, String> {
    let fits = (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
        .ok_or_else(|| "1 to 63 printable ASCII characters without spaces".to_owned())
}

#[derive(Subcommand)]
enum Config {
    /// Check a document; prints all errors at once.
    Check {
        /// The document.
        file: PathBuf,
        /// Also read and compile what it names: certificates, keys, rules, databases.
        #[arg(long)]
        files: bool,
    },
    /// Show what a change of document changes.
    Diff {
        /// The document that runs.
        old: PathBuf,
        /// The document to come.
        new: PathBuf,
    },
    /// Print a commented example document.
    Example,
    /// Print the JSON Schema of documents.
    Schema,
}

#[derive(Subcommand)]
enum Rules {
    /// Check SecLang files; prints all errors at once.
    Check {
        /// Files and folders (their `*.conf`), in order; without any the shipped baseline is checked.
        files: Vec<PathBuf>,
    },
    /// Measure what requests cost.
    Bench(rules_bench::Bench),
    /// Say which rules match a request, on what, and the verdict.
    Explain(rules_explain::Explain),
    /// Replay recorded requests against two rule sets.
    Replay(rules_replay::Replay),
    /// Propose exclusions from audit events of detect mode.
    Suggest(rules_suggest::Suggest),
    /// Run a test suite of the go-ftw format in process.
    Test(rules_test::Test),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.output == Output::Json;
    match cli.command {
        Command::Up(up) => commands::up(&up, json),
        Command::Proxy(proxy) => commands::proxy(&proxy, json),
        Command::Explain(explain) => explain::explain(&explain, json),
        Command::Config(Config::Check { file, files }) => commands::config_check(&file, files, json),
        Command::Config(Config::Diff { old, new }) => commands::config_diff(&old, &new, json),
        Command::Config(Config::Example) if json => {
            let example = serde_json::json!({"document": weir_schema::config::example()});
            commands::print(&example.to_string())
        }
        Command::Config(Config::Example) => commands::print(weir_schema::config::example()),
        Command::Config(Config::Schema) => {
            commands::print(&format!("{:#}", weir_schema::config::json_schema()))
        }
        Command::Rules(Rules::Check { files }) => commands::rules_check(&files, json),
        Command::Rules(Rules::Bench(bench)) => rules_bench::run(&bench, json),
        Command::Rules(Rules::Explain(explain)) => rules_explain::run(&explain, json),
        Command::Rules(Rules::Replay(replay)) => rules_replay::run(&replay, json),
        Command::Rules(Rules::Suggest(suggest)) => rules_suggest::run(&suggest, json),
        Command::Rules(Rules::Test(test)) => rules_test::run(&test, json),
        Command::Waf(waf) => waf::run(&waf, json),
        Command::Completion { shell } => {
            let mut command = <Cli as clap::CommandFactory>::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "weir", &mut script);
            commands::print(&String::from_utf8_lossy(&script))
        }
    }
}
