//! `report`: what a period came to, as Markdown for people and JSON for programs.

use super::Global;
use super::config::counted;
use super::measure::time;
use crate::clock;
use crate::config;
use crate::error::{Error, Result};
use crate::node;
use crate::period::{Fold, TaskFigures};
use crate::pipeline::{self, Changed};
use crate::show;
use keepwell_journal::measurements::{FindingQuery, FindingRow};
use keepwell_journal::{Filter, Reader, RunQuery};
use keepwell_model::approval::Answer;
use keepwell_model::event::Event;
use keepwell_model::id::RunId;
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Bytes;
use keepwell_model::words::{Severity, printable};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

/// Runs read from the journal at a time.
const PAGE: u64 = 1_000;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything is read from what the node kept, so the same period gives the same report, but for\nwhat is open now. With --since 7d, 30d or a date it is the weekly, monthly or any other report.\n\nExample:\n  keepwell report --since 7d > week.md\n  keepwell report --since 2026-11-01 --until 2026-12-01 --json"
)]
pub(crate) struct Args {
    /// RFC 3339, a date, or a span ago.
    #[arg(long, default_value = "1d")]
    since: String,
    /// Default: now.
    #[arg(long)]
    until: Option<String>,
}

#[derive(Debug, Serialize)]
struct Period {
    node: String,
    since: u64,
    until: u64,
    tasks: BTreeMap<String, TaskFigures>,
    slots: Slots,
    findings: Findings,
    changes: Vec<Changed>,
    approvals: Approvals,
    quarantine_entries: u64,
    quarantine_bytes: u64,
    waiting: Vec<String>,
}

/// Due instants that nothing was started for.
#[derive(Debug, Default, Serialize)]
struct Slots {
    missed: u64,
    skipped: u64,
    by_hand: u64,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    new: Vec<FindingRow>,
    resolved: Vec<FindingRow>,
    /// At this moment.
    open: Vec<FindingRow>,
}

#[derive(Debug, Default, Serialize)]
struct Approvals {
    asked: u64,
    granted: u64,
    denied: u64,
    refused: u64,
}

pub(super) fn report(global: &Global, args: &Args) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let reader = node::reader(&dir)?;
    let since = time(&args.since)?;
    let until = args
        .until
        .as_deref()
        .map_or_else(|| Ok(clock::now_ms()), time)?;
    if since >= until {
        return Err(Error::usage("the period ends before it begins")
            .hint("--since is the earlier one; `7d` means seven days ago"));
    }
    let within = |at: u64| (since..until).contains(&at);
    let mut changes = pipeline::changes(&reader)?;
    changes.retain(|c| within(c.commit.armed_at_ms));
    let (slots, approvals) = events(&reader, since, until)?;
    let kept = pipeline::kept(&config);
    let period = Period {
        node: config.node_name(),
        since,
        until,
        tasks: runs(&reader, since, until)?,
        slots,
        findings: findings(global, &within)?,
        changes,
        approvals,
        quarantine_entries: kept.iter().map(|k| k.run.entries).sum(),
        quarantine_bytes: kept.iter().map(|k| k.run.bytes).sum(),
        waiting: reader
            .in_state(RunState::Waiting)?
            .iter()
            .map(RunId::short)
            .collect(),
    };
    global.out().document(&period, || markdown(&period));
    Ok(Exit::Done)
}

/// Newest first, page by page, until they are older than the period before.
fn runs(reader: &Reader, since: u64, until: u64) -> Result<BTreeMap<String, TaskFigures>> {
    let before = since.saturating_sub(until - since);
    let mut fold = Fold::default();
    let mut oldest = None;
    loop {
        let page = reader.runs(&RunQuery {
            before: oldest,
            limit: Some(PAGE),
            ..RunQuery::default()
        })?;
        for row in &page {
            if row.started < before {
                return Ok(fold.end());
            }
            if row.started < since {
                fold.run_before(row);
            } else if row.started < until {
                fold.run(row);
            }
        }
        let Some(last) = page.last() else {
            return Ok(fold.end());
        };
        oldest = Some(last.run);
    }
}

fn events(reader: &Reader, since: u64, until: u64) -> Result<(Slots, Approvals)> {
    let (mut slots, mut approvals) = (Slots::default(), Approvals::default());
    let kinds = [
        "slot-missed",
        "slot-skipped",
        "slot-done-by-hand",
        "approval-asked",
        "approval-answered",
        "approval-refused",
    ];
    let filter = Filter {
        kinds: kinds.map(str::to_owned).to_vec(),
        since_ms: Some(since),
        until_ms: Some(until),
        ..Filter::default()
    };
    reader.records(&filter, &mut |_, record| {
        if let Event::SlotMissed { count, .. } = record.event {
            slots.missed += count;
        } else if let Event::SlotSkipped { .. } = record.event {
            slots.skipped += 1;
        } else if let Event::SlotDoneByHand { .. } = record.event {
            slots.by_hand += 1;
        } else if let Event::ApprovalAsked { .. } = record.event {
            approvals.asked += 1;
        } else if let Event::ApprovalRefused { .. } = record.event {
            approvals.refused += 1;
        } else if let Event::ApprovalAnswered { decision } = &record.event {
            match decision.answer {
                Answer::Grant => approvals.granted += 1,
                Answer::Deny => approvals.denied += 1,
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok((slots, approvals))
}

fn findings(global: &Global, within: &impl Fn(u64) -> bool) -> Result<Findings> {
    let mut found = Findings::default();
    let Some(reader) = super::measure::reader(global)? else {
        return Ok(found);
    };
    let all = reader.findings(&FindingQuery::default())?;
    for row in all {
        match row.resolved {
            None => found.open.push(row.clone()),
            Some(at) if within(at) => found.resolved.push(row.clone()),
            Some(_) => {}
        }
        if within(row.first_seen) {
            found.new.push(row);
        }
    }
    Ok(found)
}

fn markdown(period: &Period) -> String {
    let mut text = format!(
        "# Maintenance of {}\n\n{} to {}\n\n## Runs\n\n",
        period.node,
        clock::readable(period.since),
        clock::readable(period.until)
    );
    text.push_str(
        "| task | runs | done | warned | failed | other | success | median | before | longest | applied | bytes |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let ms = |took: Option<u64>| took.map_or_else(String::new, |ms| show::duration(ms * 1_000));
    for (task, it) in &period.tasks {
        let success = it.success();
        let _ = writeln!(
            text,
            "| {task} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            it.runs,
            it.done,
            it.warned,
            it.failed,
            it.other,
            success.map_or_else(String::new, |s| format!("{:.0} %", s * 100.0)),
            ms(it.median_ms),
            ms(it.median_before_ms),
            ms(it.longest_ms),
            it.actions,
            Bytes(it.bytes)
        );
    }
    let Slots {
        missed,
        skipped,
        by_hand,
    } = period.slots;
    let _ = writeln!(
        text,
        "\nSlots: {missed} missed, {skipped} skipped, {by_hand} done by hand."
    );
    let _ = writeln!(text, "\n## Findings\n");
    section(&mut text, "Open now", &period.findings.open);
    section(&mut text, "New", &period.findings.new);
    section(&mut text, "Resolved", &period.findings.resolved);
    let _ = writeln!(text, "\n## Changes and approvals\n");
    for change in &period.changes {
        let commit = &change.commit;
        let why = change
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let (at, state) = (clock::readable(commit.armed_at_ms), commit.state.as_str());
        let (param, old, new) = (&commit.param, &commit.old, &commit.new);
        let _ = writeln!(text, "- {at} `{param}` {old} to {new}, {state}{why}");
    }
    let Approvals {
        asked,
        granted,
        denied,
        refused,
    } = period.approvals;
    let _ = writeln!(
        text,
        "- approvals: {asked} asked for, {granted} granted, {denied} denied, {refused} answers refused"
    );
    for run in &period.waiting {
        let _ = writeln!(text, "- run {run} waits for approval");
    }
    let _ = writeln!(
        text,
        "- quarantine: {} entries, {}",
        period.quarantine_entries,
        Bytes(period.quarantine_bytes)
    );
    text
}

fn section(text: &mut String, name: &str, rows: &[FindingRow]) {
    let _ = writeln!(text, "{name}: {}", counted(rows.len(), "findings"));
    for row in rows {
        let severity = match row.finding.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let times = |count: u64| match count {
            1 => "once".to_owned(),
            more => format!("{more} times"),
        };
        // It came back after it was thought to be over.
        let again = match row.reopened {
            0 => String::new(),
            count => format!(", came back {}", times(count)),
        };
        let _ = writeln!(
            text,
            "- {severity}: {} ({}, seen {}{again})",
            printable(&row.finding.title, 200),
            row.task,
            times(row.count)
        );
    }
}
