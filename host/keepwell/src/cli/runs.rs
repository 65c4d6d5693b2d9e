//! `runs` and `undo`.

use super::Global;
use super::run::print_result;
use super::runs_steer as steer;
use crate::api::{self, Request, find_run};
use crate::clock;
use crate::error::{Error, Result};
use crate::node;
use crate::pipeline;
use crate::show::{self, Format, Live, report_lines};
use keepwell_journal::{Filter, RunQuery, RunRow};
use keepwell_model::id::RunId;
use keepwell_model::param::CommitState;
use keepwell_model::report::Report;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Bytes;
use std::ops::ControlFlow;
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Newest first.
    #[command(
        after_help = "Example:\n  keepwell runs list --task temp-clean --state failed --limit 5"
    )]
    List {
        #[arg(long)]
        task: Option<String>,
        /// Only runs in this state, for example `failed`.
        #[arg(long, value_parser = super::word::<RunState>)]
        state: Option<RunState>,
        #[arg(long, default_value_t = 20)]
        limit: u64,
        /// Only runs that began before this one, for the next page.
        #[arg(long, value_name = "RUN")]
        before: Option<String>,
    },
    /// The report of a run: a full id, its last 8 digits, or `last`.
    #[command(after_help = "Example:\n  keepwell runs show last --json")]
    Show { run: String },
    /// Watch a run until it ends.
    #[command(after_help = "Example:\n  keepwell runs follow last")]
    Follow { run: String },
    /// Ask a run to stop at the next safe point.
    #[command(after_help = "Example:\n  keepwell runs cancel last")]
    Cancel { run: String },
    /// Forget what `[retention]` does not keep: old runs, measurements, expired quarantine.
    #[command(after_help = "Example:\n  keepwell runs prune")]
    Prune,
    /// Keep what a run changed, before it reverts by itself.
    #[command(after_help = "Example:\n  keepwell runs confirm last")]
    Confirm { run: String },
    /// Parameters that runs changed, newest first, and what became of each.
    #[command(after_help = "Example:\n  keepwell runs changes")]
    Changes,
    /// Finish the approved plan of a run that was interrupted.
    #[command(after_help = "Example:\n  keepwell runs resume last")]
    Resume { run: String },
    /// Leave the window that is open now open for longer, at most as long as its `max-extend` says.
    Extend(steer::ExtendArgs),
    /// Let the slot of a schedule that waits, or its next one, go sooner or later than the others.
    Prioritize(steer::PrioritizeArgs),
    /// Have a run of the daemon do less: it stops there, keeps what it did, and goes on next time.
    Adjust(steer::AdjustArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell undo last\n  keepwell undo 1f2e3d4c --only 17 --only 18"
)]
pub(crate) struct UndoArgs {
    /// A full id, its last 8 digits, or `last`.
    run: String,
    /// Only this action of the plan; may be given several times.
    #[arg(long, value_name = "ACTION")]
    only: Vec<u64>,
}

pub(super) fn runs(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::List {
            task,
            state,
            limit,
            before,
        } => list(global, task.clone(), *state, *limit, before.as_deref()),
        Verb::Show { run } => shown(global, run),
        Verb::Follow { run } => follow(global, run),
        Verb::Cancel { run } => cancel(global, run),
        Verb::Prune => {
            global.show(&global.ask(Request::Sweep)?);
            Ok(Exit::Done)
        }
        Verb::Resume { run } => resume(global, run),
        Verb::Confirm { run } => {
            let answer = global.ask(Request::Confirm { run: run.clone() })?;
            global.show(&answer);
            Ok(Exit::Done)
        }
        Verb::Changes => changes(global),
        Verb::Extend(args) => steer::extend(global, args),
        Verb::Prioritize(args) => steer::prioritize(global, args),
        Verb::Adjust(args) => steer::adjust(global, args),
    }
}

fn list(
    global: &Global,
    task: Option<String>,
    state: Option<RunState>,
    limit: u64,
    before: Option<&str>,
) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let before = before.map(|text| find_run(&reader, text)).transpose()?;
    let rows = reader.runs(&RunQuery {
        task,
        state,
        before,
        limit: Some(limit),
    })?;
    global.out().rows(
        &rows,
        &["run", "task", "state", "began", "took", "says"],
        |row: &RunRow| {
            let took = row.ended.map_or_else(String::new, |e| {
                show::duration(e.saturating_sub(row.started) * 1_000)
            });
            let says = row
                .line
                .clone()
                .or_else(|| row.reason.clone())
                .unwrap_or_default();
            vec![
                row.run.short(),
                row.task.clone(),
                row.state.to_string(),
                clock::readable(row.started),
                took,
                keepwell_model::words::printable(&says, 60),
            ]
        },
    );
    Ok(Exit::Done)
}

fn read_report(reader: &keepwell_journal::Reader, run: RunId) -> Result<Report> {
    reader
        .report(run)?
        .ok_or_else(|| Error::usage(format!("there is no run {run}")))
}

fn shown(global: &Global, text: &str) -> Result<Exit> {
    let reader = node::reader(&global.dir())?;
    let report = read_report(&reader, find_run(&reader, text)?)?;
    global.out().document(&report, || report_lines(&report));
    Ok(Exit::Done)
}

fn follow(global: &Global, text: &str) -> Result<Exit> {
    let dir = global.dir();
    let reader = node::reader(&dir)?;
    let run = find_run(&reader, text)?;
    let mut live = Live::new(global.out().format);
    let (mut after, mut last) = (None, None);
    loop {
        let filter = Filter {
            run: Some(run),
            after_index: after,
            ..Filter::default()
        };
        reader.records(&filter, &mut |index, record| {
            after = Some(index);
            pipeline::Observer::record(&mut live, &record);
            ControlFlow::Continue(())
        })?;
        let report = read_report(&reader, run)?;
        if report.state != RunState::Running {
            live.finish();
            print_result(global, &report);
            return Ok(report.exit());
        }
        if let Some(far) = pipeline::how_far(&dir.run(run)).filter(|far| Some(far) != last.as_ref())
        {
            live.far(&far);
            last = Some(far);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn cancel(global: &Global, run: &str) -> Result<Exit> {
    // Whoever runs it holds the lock; asking it to stop needs none.
    let dir = global.dir();
    let reader = node::reader(&dir)?;
    let waits = read_report(&reader, find_run(&reader, run)?)?.state == RunState::Waiting;
    let answer = match api::Client::connect(&dir)? {
        None if !waits => api::cancel(&dir, &reader, run)?,
        None | Some(_) => global.ask(Request::Cancel { run: run.into() })?,
    };
    global.show(&answer);
    Ok(Exit::Done)
}

fn changes(global: &Global) -> Result<Exit> {
    let mut all = pipeline::changes(&node::reader(&global.dir())?)?;
    all.reverse();
    let head = [
        "run", "action", "param", "old", "new", "state", "set", "reverts", "why",
    ];
    global.out().rows(&all, &head, |one: &pipeline::Changed| {
        let commit = &one.commit;
        let waits = commit.state == CommitState::Armed;
        let reverts = if waits {
            clock::readable(commit.deadline_ms)
        } else {
            String::new()
        };
        vec![
            commit.run.short(),
            commit.action.to_string(),
            commit.param.to_string(),
            commit.old.to_string(),
            commit.new.to_string(),
            commit.state.as_str().to_owned(),
            clock::readable(commit.armed_at_ms),
            reverts,
            one.why.clone().unwrap_or_default(),
        ]
    });
    Ok(Exit::Done)
}

fn resume(global: &Global, run: &str) -> Result<Exit> {
    let report = global.ask_live(Request::Resume { run: run.into() })?;
    print_result(global, &report);
    Ok(report.exit())
}

pub(super) fn undo(global: &Global, args: &UndoArgs) -> Result<Exit> {
    let report = global.ask_live(Request::Undo {
        run: args.run.clone(),
        only: args.only.clone(),
    })?;
    let undone = report.undone.clone().unwrap_or_default();
    if global.out().format == Format::Table {
        for one in undone.examples.iter().take(20) {
            show::say(&format!("  action {}: {}", one.action, one.why));
        }
        let bytes = report.plan.as_ref().map_or(0, |p| p.bytes);
        show::line(&format!(
            "put back {} of {} actions ({} planned)",
            undone.done,
            undone.done + undone.not_done,
            Bytes(bytes)
        ));
    } else {
        global.out().document(&report, String::new);
    }
    Ok(if undone.not_done == 0 {
        Exit::Done
    } else {
        Exit::Warned
    })
}
