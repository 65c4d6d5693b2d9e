//! `plan` and `run`.

use super::config::counted;
use super::{Global, parse_setting};
use crate::api::Request;
use crate::clock;
use crate::error::{Error, Result};
use crate::node;
use crate::pipeline::{self, PlanReader};
use crate::show::{self, Format};
use keepwell_model::event::Mode;
use keepwell_model::report::Report;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use std::io::IsTerminal as _;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keepwell plan temp-clean --set older-than=48h -o jsonl")]
pub(crate) struct PlanArgs {
    /// The task: a file of tasks/ without .toml.
    task: String,
    /// Override a setting for this run.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, serde_json::Value)>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The summary line is printed on stdout, everything else on stderr.\n\n\
Example:\n  keepwell run temp-clean --set older-than=48h\n  test \"$(keepwell run quick-check)\" = healthy"
)]
pub(crate) struct RunArgs {
    /// The task: a file of tasks/ without .toml.
    task: String,
    /// Override a setting for this run.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, serde_json::Value)>,
    /// Let a plan through that cannot be undone. Only from a terminal.
    #[arg(long)]
    yes: bool,
    /// Why it runs, for the journal.
    #[arg(long, default_value = "manual", value_name = "WORD")]
    trigger: String,
}

pub(super) fn plan(global: &Global, args: &PlanArgs) -> Result<Exit> {
    let report = go(global, &args.task, &args.set, Mode::Plan, "manual", false)?;
    let out = global.out();
    if out.format == Format::Table {
        show::say(show::report_lines(&report).trim_end());
    }
    match out.format {
        Format::Json => out.document(&report, String::new),
        Format::Table | Format::Jsonl => {
            if let Some(plan) = report.plan.as_ref().filter(|p| p.actions > 0) {
                let path = global.dir().run(report.run).join("plan.jsonl");
                print_plan(&mut PlanReader::open(&path, plan.digest)?, out.format)?;
            }
        }
    }
    Ok(report.exit())
}

/// Action by action, so that a large plan streams.
fn print_plan(reader: &mut PlanReader, format: Format) -> Result<()> {
    while let Some(action) = reader.next_action()? {
        let change = &action.change;
        let text = match format {
            Format::Table => {
                let price = change.price();
                format!(
                    "{:>6}  {:<15} {:>10}  {}  ({})",
                    action.id,
                    change.kind_name(),
                    Bytes(price.bytes).to_string(),
                    change.subject(),
                    action.reason
                )
            }
            Format::Json | Format::Jsonl => serde_json::to_string(&action).unwrap_or_default(),
        };
        show::line(&text);
    }
    Ok(())
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Result<Exit> {
    if args.yes && !std::io::stdin().is_terminal() {
        return Err(Error::denied("--yes counts only from a person at a terminal")
            .hint("for unattended runs set `policy.destructive-without-asking = true` in keepwell.toml"));
    }
    let report = go(
        global,
        &args.task,
        &args.set,
        Mode::Apply,
        &args.trigger,
        args.yes,
    )?;
    print_result(global, &report);
    say_what_reverts(global, &report);
    Ok(report.exit())
}

/// Said here and not where it ran: a daemon's talk goes to its log. Who cannot read the node
/// directory finds it by `runs changes` later.
fn say_what_reverts(global: &Global, report: &Report) {
    let waiting = node::reader(&global.dir()).and_then(|r| pipeline::waiting(&r, report.run));
    if let Ok(Some((count, first))) = waiting {
        let parameters = counted(count, "parameters");
        let (at, run) = (clock::readable(first), report.run.short());
        show::say(&format!(
            "  reverts   {parameters} at {at}; `keepwell runs confirm {run}` keeps what was set"
        ));
    }
}

/// The summary line is data; the report around it is talk.
pub(super) fn print_result(global: &Global, report: &Report) {
    let out = global.out();
    match out.format {
        Format::Json => out.document(report, String::new),
        Format::Jsonl => {}
        Format::Table => {
            show::print_report(report);
            if let Some(summary) = &report.summary {
                show::line(&keepwell_model::words::printable(&summary.line, 4_096));
            }
        }
    }
}

fn go(
    global: &Global,
    task: &str,
    set: &[(String, serde_json::Value)],
    mode: Mode,
    trigger: &str,
    yes: bool,
) -> Result<Report> {
    global.ask_live(Request::Run {
        task: task.to_owned(),
        set: set.to_vec(),
        mode,
        trigger: trigger.to_owned(),
        yes,
    })
}
