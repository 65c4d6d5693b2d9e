//! A report for people: what happened, what was found, what changed, what it used.

use super::{GREEN, RED, YELLOW, paint};
use crate::clock;
use keepwell_model::event::Mode;
use keepwell_model::glass::Glass;
use keepwell_model::report::{Report, StateKept};
use keepwell_model::state::{Exit, RunState};
use keepwell_model::units::Bytes;
use keepwell_model::words::{Level, Severity, printable};
use std::fmt::Write as _;

/// Findings shown one by one; all are in the JSON.
const SHOWN: usize = 20;

/// `done`, coloured when the terminal wants it.
pub fn state_word(state: RunState) -> String {
    let colour = match state {
        RunState::Done => GREEN,
        RunState::Running
        | RunState::Waiting
        | RunState::Warned
        | RunState::Skipped
        | RunState::Missed => YELLOW,
        RunState::Failed
        | RunState::Denied
        | RunState::Limited
        | RunState::Cancelled
        | RunState::Interrupted => RED,
    };
    paint(state.as_str(), colour)
}

/// `1.2 s`, `340 ms`, `85 µs`.
pub fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// The report as talk, beside a summary that is printed as data.
pub fn print_report(report: &Report) {
    let told = Report {
        summary: None,
        ..report.clone()
    };
    super::say(report_lines(&told).trim_end());
}

/// The report as lines.
pub fn report_lines(report: &Report) -> String {
    let mut out = String::new();
    let mut say = |label: &str, text: String| {
        let _ = writeln!(out, "  {label:<9} {text}");
    };
    let took = report.ended.map_or_else(String::new, |ended| {
        let us = ended.saturating_sub(report.started) * 1_000;
        format!(" in {}", duration(us))
    });
    let why = report
        .reason
        .as_ref()
        .map_or_else(String::new, |r| format!(": {r}"));
    let critical = match (report.state, report.exit()) {
        (RunState::Done | RunState::Warned, Exit::Failed) => ", a check is critical",
        _ => "",
    };
    say(
        "result",
        format!("{}{critical}{took}{why}", state_word(report.state),),
    );
    if let Some(hint) = &report.hint {
        say("hint", hint.clone());
    }
    if let Some(glass) = &report.glass {
        say("GLASS", glass_line(glass));
    }
    if report.state == RunState::Waiting {
        let run = report.run.short();
        say(
            "waits",
            format!("for approval: keepwell approvals show {run}"),
        );
    }
    if let Some(summary) = &report.summary {
        say("says", printable(&summary.line, 1_000));
    }
    for finding in report.findings.iter().take(SHOWN) {
        let (word, colour) = match finding.severity {
            Severity::Info => ("info", GREEN),
            Severity::Warning => ("warning", YELLOW),
            Severity::Critical => ("critical", RED),
        };
        say(
            "finding",
            format!("{} {}", paint(word, colour), finding.title),
        );
    }
    if report.findings.len() > SHOWN {
        say(
            "",
            format!(
                "and {} more: keepwell runs show {} --json",
                report.findings.len() - SHOWN,
                report.run.short()
            ),
        );
    }
    for line in report
        .log
        .iter()
        .filter(|l| l.level >= Level::Warn)
        .take(SHOWN)
    {
        say("log", line.message.clone());
    }
    plan_and_apply(report, &mut say);
    for refusal in report.refusals.iter().take(5) {
        let hint = refusal
            .hint
            .as_ref()
            .map_or_else(String::new, |h| format!(" (hint: {h})"));
        say(
            "refused",
            format!("{}: {}{hint}", refusal.code.as_str(), refusal.message),
        );
    }
    if report.refusals.len() > 5 {
        say(
            "",
            format!(
                "and {} more refusals: keepwell audit show --run {}",
                report.refusals.len() - 5,
                report.run.short()
            ),
        );
    }
    used(report, &mut say);
    let plugin = report.plugin.as_ref().map_or_else(String::new, |p| {
        let version = report.plugin_version.as_deref().unwrap_or("?");
        let signer = report.signer.as_deref().unwrap_or("?");
        format!(", plugin {p}@{version} signed by {signer}")
    });
    say(
        "run",
        format!("{} of task {}{plugin}", report.run.short(), report.task),
    );
    out
}

fn glass_line(glass: &Glass) -> String {
    let by = format!(
        "broken by user {} at {} over {}: {}",
        glass.by,
        clock::readable(glass.at),
        printable(&glass.over, 200),
        printable(&glass.reason, 1_000)
    );
    match &glass.acknowledged {
        None => format!("{by}; {}", paint("nobody else has looked at it", RED)),
        Some(seen) => {
            let what = printable(&seen.reason, 1_000);
            format!("{by}; seen by user {}: {what}", seen.by)
        }
    }
}

fn plan_and_apply(report: &Report, say: &mut impl FnMut(&str, String)) {
    if let Some(plan) = report.plan.as_ref().filter(|p| p.actions > 0) {
        let digest = plan.digest.short();
        say(
            "plan",
            format!(
                "{} actions, {} files, {} (digest {digest}…)",
                plan.actions,
                plan.files,
                Bytes(plan.bytes)
            ),
        );
        if report.mode == Mode::Plan {
            say("applied", "nothing: this was only a plan".into());
        } else if report.applied.next > 0 {
            let applied = &report.applied;
            let mut text = format!(
                "{} of {}, {}",
                applied.done,
                plan.actions,
                Bytes(applied.bytes)
            );
            for (code, count) in &applied.not_done_by {
                let _ = write!(text, "; {count} not done ({code})");
            }
            if applied.remaining > 0 {
                let _ = write!(text, "; {} not reached", applied.remaining);
            }
            say("applied", text);
        }
    }
    if let Some(kept) = &report.state_kept {
        say("state", state_line(kept));
    }
    if let Some(undone) = &report.undone {
        say(
            "undone",
            format!("{} put back, {} not", undone.done, undone.not_done),
        );
        for one in undone.examples.iter().take(5) {
            say("", format!("action {}: {}", one.action, one.why));
        }
    }
}

/// What became of what the task wanted to keep for itself.
fn state_line(kept: &StateKept) -> String {
    let wanted = format!(
        "{} keys set ({}), {} deleted",
        kept.set,
        Bytes(kept.bytes),
        kept.deleted
    );
    match (kept.version, &kept.why) {
        (Some(version), _) => format!("{wanted}; kept as version {version}"),
        (None, Some(why)) => format!("not kept: {why} ({wanted})"),
        (None, None) => format!("{wanted}; under way"),
    }
}

fn used(report: &Report, say: &mut impl FnMut(&str, String)) {
    let usage = &report.usage;
    if usage.wall_us > 0 {
        say(
            "used",
            format!(
                "{} guest CPU, {} wall, {} guest memory, {} fuel, {} calls",
                duration(usage.cpu_us),
                duration(usage.wall_us),
                Bytes(usage.memory_bytes),
                count(usage.fuel),
                count(usage.calls),
            ),
        );
    }
    if let Some(walls) = &report.walls {
        say(
            "walls",
            format!(
                "wasm, landlock {}, seccomp {}",
                walls.landlock, walls.seccomp
            ),
        );
    }
    say("began", clock::readable(report.started));
}

/// `1,234,567`
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands() {
        assert_eq!(super::count(1_234_567), "1,234,567");
        assert_eq!(super::count(12), "12");
        assert_eq!(super::duration(1_500), "1.5 ms");
    }
}
