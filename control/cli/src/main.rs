//! The `weir` command.

mod commands;
mod control;
mod demo;
mod explain;
mod operate;
mod proxy;
mod rules_bench;
mod rules_explain;
mod rules_replay;
mod rules_requests;
mod rules_suggest;
mod rules_test;
mod running;
mod supervise;
mod up;
mod waf;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use operate::finish;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Weir: a regional ingress that knows whose request it is, where it comes from, how much it may do and whether it is
/// an attack.
///
/// Exit codes: 0 done; 1 the input is not valid, or control or a running proxy refused it (errors are printed); 2 wrong usage;
/// 3 the system refused (a port, a file, a process that does not answer), or time is over.
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
    /// Start a proxy in front of an upstream, and control beside it, on safe built-in defaults.
    Up(up::Up),
    /// Run a proxy with a configuration document, or tell a running one to hand over to a new binary.
    Proxy(proxy::Proxy),
    /// Run the control process: it owns the configuration and pushes it to proxies.
    Control(control::Control),
    Apply(operate::apply::Apply),
    Plan(operate::apply::Plan),
    Diff(operate::versions::Diff),
    Rollback(operate::versions::Rollback),
    Versions(operate::versions::Versions),
    Rollouts(operate::rollouts::Rollouts),
    Proxies(operate::proxies::Proxies),
    Tenants(operate::tenants::Tenants),
    Tiers(operate::tiers::Tiers),
    Tokens(operate::tokens::Tokens),
    Top(operate::top::Top),
    Usage(operate::served::Usage),
    Slo(operate::served::Slo),
    Events(operate::events::Events),
    /// Ask a running proxy what it would decide about a request, and why.
    Explain(explain::Explain),
    /// Look at configuration documents, and at what control serves.
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
    List(operate::paths::List),
    Get(operate::paths::Get),
    Put(operate::paths::Put),
    Delete(operate::paths::Delete),
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
        Command::Up(up) => up::run(&up, json),
        Command::Proxy(proxy) => proxy::run(&proxy, json),
        Command::Control(control) => control::run(&control, json),
        Command::Apply(apply) => finish(operate::apply::apply(&apply, json), json),
        Command::Plan(plan) => finish(operate::apply::plan(&plan, json), json),
        Command::Diff(diff) => finish(operate::versions::diff(&diff, json), json),
        Command::Rollback(rollback) => finish(operate::versions::rollback(&rollback, json), json),
        Command::Versions(versions) => finish(operate::versions::versions(&versions, json), json),
        Command::Rollouts(rollouts) => finish(operate::rollouts::run(&rollouts, json), json),
        Command::Proxies(proxies) => finish(operate::proxies::run(&proxies, json), json),
        Command::Tenants(tenants) => finish(operate::tenants::run(&tenants, json), json),
        Command::Tiers(tiers) => finish(operate::tiers::run(&tiers, json), json),
        Command::Tokens(tokens) => finish(operate::tokens::run(&tokens, json), json),
        Command::Top(top) => finish(operate::top::run(&top, json), json),
        Command::Usage(usage) => finish(operate::served::usage(&usage, json), json),
        Command::Slo(slo) => finish(operate::served::slo(&slo, json), json),
        Command::Events(events) => finish(operate::events::run(&events, json), json),
        Command::Config(Config::List(list)) => finish(operate::paths::run_list(&list, json), json),
        Command::Config(Config::Get(get)) => finish(operate::paths::run_get(&get, json), json),
        Command::Config(Config::Put(put)) => finish(operate::paths::run_put(&put, json), json),
        Command::Config(Config::Delete(delete)) => finish(operate::paths::run_delete(&delete, json), json),
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
