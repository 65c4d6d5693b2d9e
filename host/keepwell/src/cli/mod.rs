//! The command line: what was typed becomes what it means, then one file per noun does it.

mod afar;
mod approvals;
mod ask;
mod audit;
mod break_glass;
mod bundle;
mod config;
mod daemon;
mod doctor;
mod findings;
mod init;
mod keys;
mod measure;
mod native;
mod plugin;
mod quarantine;
mod report;
mod run;
mod runs;
mod runs_steer;
mod schedule;
mod schedule_check;
mod schedule_edit;
mod source;
mod status;
mod store;
mod task;
mod task_state;
mod template;
mod trend;
mod trust;
mod wrong;

use crate::error::Result;
use crate::node_dir::NodeDir;
use crate::show::{self, Format, Out};
use clap::{Parser, Subcommand};
use keepwell_model::state::Exit;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the maintenance of a node as signed, sandboxed WebAssembly tasks that may look but not
/// touch: they propose, the host applies, journals and can undo.
#[derive(Debug, Parser)]
#[command(
    name = "keepwell",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed or a check is critical, 2 usage, 3 done with warnings, 4 denied,\n\
                  5 limit hit, 6 interrupted, 70 our bug, 75 not now, 78 bad configuration.\n\n\
                  Example:\n  keepwell init /tmp/node && keepwell --node /tmp/node run disk-check --set threshold=85"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Node directory.
    #[arg(
        long,
        global = true,
        env = "KEEPWELL_NODE",
        default_value = "/etc/keepwell",
        value_name = "DIR"
    )]
    node: PathBuf,
    /// Ask the daemon that listens here, as who cannot read the node directory does.
    #[arg(long, global = true, env = "KEEPWELL_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How data is printed on stdout.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: Format,
    /// Short for --output json.
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
}

impl Global {
    fn dir(&self) -> NodeDir {
        NodeDir::new(&self.node).asked_at(self.socket.clone())
    }
    fn out(&self) -> Out {
        Out::new(if self.json { Format::Json } else { self.output })
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a node directory: configuration, keys, state, the bundled plugins installed.
    Init(init::Args),
    /// Look at what this machine offers and what is in the way.
    Doctor(doctor::Args),
    /// Check, show or describe the configuration.
    #[command(subcommand)]
    Config(config::Verb),
    /// The node at a glance, and what waits for somebody.
    #[command(after_help = "Example:\n  keepwell status --json")]
    Status,
    /// The configured tasks.
    #[command(subcommand)]
    Task(task::Verb),
    /// Look and propose; apply nothing.
    Plan(run::PlanArgs),
    /// Plan, gate, apply, review, report.
    Run(run::RunArgs),
    /// Runs that were and are.
    #[command(subcommand)]
    Runs(runs::Verb),
    /// Put back what a run moved aside.
    Undo(runs::UndoArgs),
    /// Plugins: make, build, install.
    #[command(subcommand)]
    Plugin(plugin::Verb),
    /// Bundles: the signed files plugins travel in.
    #[command(subcommand)]
    Bundle(bundle::Verb),
    /// Whose plugins this node accepts.
    #[command(subcommand)]
    Trust(trust::Verb),
    /// The journal: show, verify, prove.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Shard stores.
    #[command(subcommand)]
    Store(store::Verb),
    /// Hold the node and run what is due, until told to end by SIGTERM. SIGHUP reads the
    /// configuration again.
    Daemon(daemon::Args),
    /// What tasks noticed, over time.
    Findings(findings::Args),
    /// Numbers over time.
    #[command(subcommand)]
    Measure(measure::Verb),
    /// How numbers were when all was well, and whether they still are.
    #[command(subcommand)]
    Baseline(measure::BaselineVerb),
    /// What a period came to: runs, slots, findings, changes, approvals.
    Report(report::Args),
    /// What runs when: make, change, check and look ahead.
    #[command(subcommand)]
    Schedule(schedule::Verb),
    /// Plans that wait for a second person.
    #[command(subcommand)]
    Approvals(approvals::Verb),
    /// Apply a plan that cannot wait for approval, on one person's word and loudly.
    #[command(subcommand)]
    BreakGlass(break_glass::Verb),
    /// What was moved aside and is kept for a while.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
}

/// Parses, does, and turns what happened into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return ExitCode::from(wrong::told(&e, std::env::args_os()).code()),
    };
    let out = cli.global.out();
    let ended = match (dispatch(cli), show::lost()) {
        (Ok(_), Some(lost)) => Err(lost),
        (ended, _) => ended,
    };
    match ended {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            out.error(&error);
            ExitCode::from(error.exit.code())
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit> {
    let global = &cli.global;
    if let Some(looked) = afar::look(global, std::env::args_os()) {
        return looked;
    }
    match cli.verb {
        Verb::Init(args) => init::init(global, &args),
        Verb::Doctor(args) => doctor::doctor(global, &args),
        Verb::Config(verb) => config::config(global, &verb),
        Verb::Status => status::status(global),
        Verb::Task(verb) => task::task(global, &verb),
        Verb::Plan(args) => run::plan(global, &args),
        Verb::Run(args) => run::run(global, &args),
        Verb::Runs(verb) => runs::runs(global, &verb),
        Verb::Undo(args) => runs::undo(global, &args),
        Verb::Plugin(verb) => plugin::plugin(global, &verb),
        Verb::Bundle(verb) => bundle::bundle(global, &verb),
        Verb::Trust(verb) => trust::trust(global, &verb),
        Verb::Audit(verb) => audit::audit(global, &verb),
        Verb::Store(verb) => store::store(global, &verb),
        Verb::Daemon(args) => daemon::daemon(global, &args),
        Verb::Findings(args) => findings::findings(global, &args),
        Verb::Measure(verb) => measure::measure(global, &verb),
        Verb::Baseline(verb) => measure::baseline(global, &verb),
        Verb::Report(args) => report::report(global, &args),
        Verb::Schedule(verb) => schedule::schedule(global, &verb),
        Verb::Approvals(verb) => approvals::approvals(global, &verb),
        Verb::BreakGlass(verb) => break_glass::break_glass(global, &verb),
        Verb::Quarantine(verb) => quarantine::quarantine(global, &verb),
    }
}

/// `key=value` of `--set`; the value is JSON when it parses as such, else text.
fn parse_setting(text: &str) -> Result<(String, serde_json::Value), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE, for example older-than=24h")?;
    if key.is_empty() {
        return Err("the key before `=` is empty".into());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
    Ok((key.to_owned(), value))
}

/// A word of a fixed set, as it is spelled in JSON. A wrong one is answered with the nearest, or all.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| {
        let message = e.to_string();
        crate::config::suggestion(&message).unwrap_or(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_json_or_text() {
        assert_eq!(parse_setting("a=85").unwrap().1, serde_json::json!(85));
        assert_eq!(parse_setting("a=24h").unwrap().1, serde_json::json!("24h"));
        assert_eq!(
            parse_setting("a=[\"x\"]").unwrap().1,
            serde_json::json!(["x"])
        );
        assert!(parse_setting("a").is_err() && parse_setting("=1").is_err());
    }

    #[test]
    fn a_wrong_word_is_answered_with_what_was_meant() {
        use keepwell_model::state::RunState;
        assert_eq!(word("waiting"), Ok(RunState::Waiting));
        let told = word::<RunState>("faild").unwrap_err();
        assert_eq!(told, "did you mean `failed`?");
        let told = word::<RunState>("xyz").unwrap_err();
        assert!(
            told.contains("waiting") && told.contains("interrupted"),
            "{told}"
        );
    }
}
