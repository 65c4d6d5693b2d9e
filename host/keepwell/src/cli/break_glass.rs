//! `break-glass`: a plan that cannot wait for approval is applied on one person's word, which
//! everybody is told of until somebody else has looked at it.

use super::Global;
use super::run::print_result;
use crate::api::{Request, find_run};
use crate::clock;
use crate::error::{Error, Result};
use crate::node;
use crate::pipeline::{self, BrokenRun};
use crate::show;
use keepwell_model::glass::DIGITS_MIN;
use keepwell_model::report::Report;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use keepwell_model::words::printable;
use std::io::{BufRead as _, IsTerminal as _};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Apply the plan of a run that waits or was denied. `[policy.break-glass]` says who may.
    #[command(
        after_help = "It asks for the first digits of the plan's digest, so that the plan that was looked at is the one\nthat is applied. Protected paths, shares, budgets and revoked plugins cannot be overridden; what a\nrule or a person denied only with `overrides-deny`.\n\nExample:\n  keepwell break-glass apply last --reason 'disk full, nobody on call answers'"
    )]
    Apply {
        /// A full id, its last 8 digits, or `last`.
        run: String,
        #[arg(long)]
        reason: String,
        /// The first digits of the plan's digest, at least 8, where nobody can be asked.
        #[arg(long, value_name = "DIGITS")]
        digest: Option<String>,
    },
    /// Runs for which it was done, the oldest first.
    #[command(after_help = "Example:\n  keepwell break-glass list --all")]
    List {
        /// Also those that were acknowledged.
        #[arg(long)]
        all: bool,
    },
    /// Say that you have looked at what was done. Who did it cannot.
    #[command(after_help = "Example:\n  keepwell break-glass ack 1f2e3d4c --reason 'it was right'")]
    Ack {
        run: String,
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn break_glass(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Apply {
            run,
            reason,
            digest,
        } => {
            let digest = match digest {
                Some(digest) => digest.clone(),
                None => ask(global, run)?,
            };
            let report = global.ask_live(Request::BreakGlass {
                run: run.clone(),
                digest,
                reason: reason.clone(),
            })?;
            print_result(global, &report);
            Ok(report.exit())
        }
        Verb::List { all } => list(global, *all),
        Verb::Ack { run, reason } => {
            let (run, reason) = (run.clone(), reason.clone());
            global.show(&global.ask(Request::Acknowledge { run, reason })?);
            Ok(Exit::Done)
        }
    }
}

/// Shows what would be applied, and has its digest typed.
fn ask(global: &Global, run: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("nobody at a terminal can be asked")
            .hint("name the plan by `--digest` and the first 8 digits of its digest"));
    }
    let reader = node::reader(&global.dir())?;
    let run = find_run(&reader, run)?;
    let report = reader
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))?;
    show::say(&facts(&report)?);
    let mut typed = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut typed)
        .map_err(|e| Error::usage(format!("nothing was typed: {e}")))?;
    Ok(typed.trim().to_owned())
}

fn facts(report: &Report) -> Result<String> {
    let plan = report
        .plan
        .as_ref()
        .ok_or_else(|| Error::usage(format!("run {} has no plan", report.run.short())))?;
    let why = report.reason.as_deref().unwrap_or("nobody has approved it");
    Ok(format!(
        "  This applies the plan of run {} of task {} without approval.\n  plan      {} actions, {} files, {}\n  digest    {}\n  now       {}: {}\n  Everybody is told until somebody else acknowledges it.\n  To go on, type the first {DIGITS_MIN} digits of the digest:",
        report.run.short(),
        report.task,
        plan.actions,
        plan.files,
        Bytes(plan.bytes),
        plan.digest.hex(),
        report.state,
        printable(why, 200)
    ))
}

fn list(global: &Global, all: bool) -> Result<Exit> {
    let mut runs = pipeline::broken(&node::reader(&global.dir())?)?;
    if !all {
        runs.retain(|b| b.glass.acknowledged.is_none());
    }
    let columns = [
        "run",
        "task",
        "by",
        "at",
        "lacked",
        "reason",
        "acknowledged",
    ];
    global.out().rows(&runs, &columns, |b: &BrokenRun| {
        let glass = &b.glass;
        let seen = glass.acknowledged.as_ref();
        vec![
            b.run.short(),
            b.task.clone(),
            format!("user {}", glass.by),
            clock::readable(glass.at),
            printable(&glass.over, 40),
            printable(&glass.reason, 60),
            seen.map_or_else(|| "no".into(), |seen| format!("by user {}", seen.by)),
        ]
    });
    if runs.is_empty() {
        show::say("nothing waits to be acknowledged");
    }
    Ok(Exit::Done)
}

/// The loud line of a run whose glass was broken and that nobody else has looked at.
pub(super) fn loud(b: &BrokenRun) -> String {
    format!(
        "GLASS BROKEN for run {} of task {} by user {} at {}: {}; `keepwell break-glass ack {}` when somebody else has looked",
        b.run.short(),
        b.task,
        b.glass.by,
        clock::readable(b.glass.at),
        printable(&b.glass.reason, 120),
        b.run.short()
    )
}
