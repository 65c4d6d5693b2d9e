//! `findings`: what tasks noticed, over time.

use super::Global;
use super::measure::reader;
use crate::api::pin;
use crate::clock;
use crate::config;
use crate::error::Result;
use crate::node;
use crate::pipeline::{self, BrokenRun};
use crate::plugins;
use crate::show;
use keepwell_bundle::LockEntry;
use keepwell_journal::measurements::{FindingQuery, FindingRow};
use keepwell_model::id::Digest;
use keepwell_model::state::Exit;
use keepwell_model::used::Unused;
use keepwell_model::words::{Finding, Severity, printable};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A finding is the same tomorrow when its task, id and subject are; it is resolved when a later\nrun of the task does not find it any more.\n\nExample:\n  keepwell findings --severity critical"
)]
pub(crate) struct Args {
    /// Only of this task.
    #[arg(long)]
    task: Option<String>,
    /// Also those that are resolved.
    #[arg(long)]
    all: bool,
    /// Only this severe or worse: info, warning or critical.
    #[arg(long, value_parser = super::word::<Severity>)]
    severity: Option<Severity>,
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

/// The host's own: somebody broke the glass. Resolved by who acknowledges it, and by no run.
fn broken(global: &Global, args: &Args) -> Result<Vec<FindingRow>> {
    let all = pipeline::broken(&node::reader(&global.dir())?)?;
    let wanted = |b: &BrokenRun| {
        args.task.as_ref().is_none_or(|task| b.task == *task)
            && (args.all || b.glass.acknowledged.is_none())
    };
    let row = |b: BrokenRun| {
        let (run, glass) = (b.run, b.glass);
        FindingRow {
            fingerprint: Digest::of(format!("glass-broken {run}").as_bytes()),
            finding: Finding {
                id: "glass-broken".into(),
                subject: run.to_string(),
                severity: Severity::Critical,
                title: format!("user {} broke the glass: {}", glass.by, glass.reason),
                detail: format!("applied although it lacked: {}", glass.over),
                data: vec![],
            },
            task: b.task,
            first_seen: glass.at,
            last_seen: glass.at,
            count: 1,
            reopened: 0,
            resolved: glass.acknowledged.map(|seen| seen.at),
            last_run: Some(run),
        }
    };
    Ok(all.into_iter().filter(wanted).map(row).collect())
}

/// The host's own too: a version of a plugin failed too often. Gone when it is accepted or removed.
fn went_back(global: &Global, args: &Args) -> Result<Vec<FindingRow>> {
    let severe = args.severity.is_none_or(|least| least <= Severity::Warning);
    if args.task.is_some() || !severe {
        return Ok(vec![]);
    }
    let lock = plugins::lock(&global.dir())?;
    let row = |entry: &LockEntry| {
        let (title, back) = (plugins::went_back(entry)?, entry.rolled_back.as_ref()?);
        let subject = pin(entry);
        Some(FindingRow {
            fingerprint: Digest::of(format!("plugin-rolled-back {subject}").as_bytes()),
            finding: Finding {
                id: "plugin-rolled-back".into(),
                subject,
                severity: Severity::Warning,
                title,
                detail: "it is not taken again by itself".into(),
                data: vec![],
            },
            task: "host".into(),
            first_seen: back.at_ms,
            last_seen: back.at_ms,
            count: 1,
            reopened: 0,
            resolved: None,
            last_run: None,
        })
    };
    Ok(lock.entries().iter().filter_map(row).collect())
}

/// Grants that the policy ends, or soon will, because nobody uses them.
fn idle(global: &Global, args: &Args) -> Result<Vec<FindingRow>> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let severe = args.severity.is_none_or(|least| least <= Severity::Warning);
    let Some(after) = config.node.policy.unused_grants.filter(|_| severe) else {
        return Ok(vec![]);
    };
    let (reader, now) = (node::reader(&dir)?, clock::now_ms());
    let mut rows = vec![];
    let wanted = |name: &str| args.task.as_ref().is_none_or(|task| task == name);
    for task in config.tasks.values().filter(|t| wanted(t.name.as_str())) {
        for it in pipeline::idle(&reader, task, after, now)? {
            let (capability, at) = (it.capability, clock::readable);
            let (title, seen) = match it.unused {
                Unused::Fresh => continue,
                Unused::EndsAt(ends) => (
                    format!("the unused grant `{capability}` ends {}", at(ends)),
                    now,
                ),
                Unused::Ended { since } => (
                    format!(
                        "the grant `{capability}` has ended, unused since {}",
                        at(since)
                    ),
                    since,
                ),
            };
            let subject = format!("{} {capability}", task.name);
            rows.push(FindingRow {
                fingerprint: Digest::of(format!("unused-grant {subject}").as_bytes()),
                finding: Finding {
                    id: "unused-grant".into(),
                    subject,
                    severity: Severity::Warning,
                    title,
                    detail: format!(
                        "take it out of [grant], or save the task's file again to grant it anew: `keepwell plugin tighten {}` proposes",
                        task.name
                    ),
                    data: vec![],
                },
                task: task.name.to_string(),
                first_seen: seen,
                last_seen: now,
                count: 1,
                reopened: 0,
                resolved: None,
                last_run: None,
            });
        }
    }
    Ok(rows)
}

/// Exits 1 when something critical is open and 3 when something else is, as a check does.
pub(super) fn findings(global: &Global, args: &Args) -> Result<Exit> {
    let mut rows = match reader(global)? {
        Some(reader) => reader.findings(&FindingQuery {
            task: args.task.clone(),
            open: !args.all,
            at_least: args.severity,
            limit: Some(args.limit),
        })?,
        None => vec![],
    };
    rows.splice(0..0, went_back(global, args)?);
    rows.splice(0..0, idle(global, args)?);
    rows.splice(0..0, broken(global, args)?);
    global.out().rows(
        &rows,
        &[
            "severity",
            "task",
            "finding",
            "first seen",
            "last seen",
            "times",
            "state",
        ],
        |row: &FindingRow| {
            let finding = &row.finding;
            vec![
                format!("{:?}", finding.severity).to_lowercase(),
                row.task.clone(),
                printable(&finding.title, 60),
                clock::readable(row.first_seen),
                clock::readable(row.last_seen),
                row.count.to_string(),
                row.resolved.map_or_else(
                    || "open".into(),
                    |at| format!("resolved {}", clock::readable(at)),
                ),
            ]
        },
    );
    if rows.is_empty() {
        show::say("nothing is open");
    }
    let open = rows.iter().filter(|row| row.resolved.is_none());
    let worst = open.map(|row| row.finding.severity).max();
    Ok(match worst {
        Some(Severity::Critical) => Exit::Failed,
        Some(Severity::Warning) => Exit::Warned,
        Some(Severity::Info) | None => Exit::Done,
    })
}
