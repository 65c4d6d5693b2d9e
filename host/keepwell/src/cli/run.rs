//! `plan` and `run`.

use super::{Global, parse_setting};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::pipeline::{self, Due, PlanReader};
use crate::show::{self, Format, Live};
use keepwell_model::event::Mode;
use keepwell_model::gate::Consent;
use keepwell_model::report::Report;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
    let (node, report) = go(global, &args.task, &args.set, Mode::Plan, "manual", false)?;
    let out = global.out();
    if out.format == Format::Table {
        show::say(show::report_lines(&report).trim_end());
    }
    match out.format {
        Format::Json => out.document(&report, String::new),
        Format::Table | Format::Jsonl => {
            if let Some(plan) = report.plan.as_ref().filter(|p| p.actions > 0) {
                let path = node.dir.run(report.run).join("plan.jsonl");
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
    let (_, report) = go(
        global,
        &args.task,
        &args.set,
        Mode::Apply,
        &args.trigger,
        args.yes,
    )?;
    print_result(global, &report);
    Ok(report.exit())
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
    name: &str,
    set: &[(String, serde_json::Value)],
    mode: Mode,
    trigger: &str,
    yes: bool,
) -> Result<(Node, Report)> {
    let node = pipeline::open(global.dir())?;
    let task = node.config.task(name)?;
    let settings = task.settings_json(set);
    let consent = Consent {
        person: yes,
        policy: node.config.node.policy.destructive_without_asking,
    };
    let due = Due::now(task, trigger, mode, consent, settings)?;
    let cancel = cancel_on(&[signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    let watch = watch_for_cancel(node.dir.run(due.run).join("cancel"), &cancel);
    let mut live = Live::new(global.out().format);
    let report = pipeline::run(&node, due, &mut live, &cancel);
    live.finish();
    drop(watch);
    let report = report?;
    if mode == Mode::Apply
        && let Err(e) = pipeline::expire_due(&node, crate::clock::now_ms())
    {
        show::say(&format!(
            "  quarantine that has expired was not deleted: {e}"
        ));
    }
    Ok((node, report))
}

/// A flag that these signals set: the run then stops between two actions.
pub(super) fn cancel_on(signals: &[i32]) -> Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in signals {
        signal_hook::flag::register(*signal, Arc::clone(&cancel))
            .map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
    }
    Ok(cancel)
}

/// `runs cancel` leaves a file; this thread sees it and sets the flag. Ends when dropped.
pub(super) struct Watch(Arc<AtomicBool>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn watch_for_cancel(file: std::path::PathBuf, cancel: &Arc<AtomicBool>) -> Watch {
    let over = Arc::new(AtomicBool::new(false));
    let (cancel, ended) = (Arc::clone(cancel), Arc::clone(&over));
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            if file.exists() {
                cancel.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
    Watch(over)
}
