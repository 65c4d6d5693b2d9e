//! A run while it happens: a bar on a terminal, plain lines elsewhere, JSON lines for programs.

use super::{Format, line, say};
use crate::pipeline::Observer;
use indicatif::{ProgressBar, ProgressStyle};
use keepwell_model::event::{Event, Record};
use keepwell_model::units::Bytes;
use keepwell_model::words::{Level, Progress, Severity};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Off a terminal, progress is a line now and then and not a flood.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Shows the events of one run.
#[derive(Debug)]
pub struct Live {
    jsonl: bool,
    bar: Option<ProgressBar>,
    last_plain: Instant,
}

impl Live {
    pub fn new(format: Format) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && format == Format::Table).then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(style(false, false));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self {
            jsonl: format == Format::Jsonl,
            bar,
            last_plain: Instant::now(),
        }
    }

    /// Takes the bar away, so that what follows is not drawn over.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn talk(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

fn style(known: bool, bytes: bool) -> ProgressStyle {
    let template = match (known, bytes) {
        (true, true) => "  {msg:<24} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
        (true, false) => "  {msg:<24} [{bar:30}] {pos}/{len} {per_sec} eta {eta}",
        (false, _) => "  {spinner} {msg:<24} {pos}",
    };
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// The line shown for an event while it happens; most are only in the report.
pub(crate) fn event_line(event: &Event) -> Option<String> {
    match event {
        Event::Logged { line } if line.level >= Level::Info => {
            let level = match line.level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Warn => "warn",
                Level::Error => "error",
            };
            Some(format!("  {level}: {}", line.message))
        }
        Event::Found { finding } if finding.severity == Severity::Critical => {
            Some(format!("  found: {}", finding.title))
        }
        Event::PlanSealed {
            actions,
            files,
            bytes,
            ..
        } if *actions > 0 => Some(format!(
            "  planned: {actions} actions, {files} files, {}",
            Bytes(*bytes)
        )),
        Event::Stopped { remaining, why } => {
            Some(format!("  stopped: {why}; {remaining} not reached"))
        }
        _ => None,
    }
}

impl Observer for Live {
    fn record(&mut self, record: &Record) {
        if self.jsonl {
            line(&serde_json::to_string(record).unwrap_or_default());
        } else if let Some(text) = event_line(&record.event) {
            self.talk(&text);
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let what = if progress.note.is_empty() {
            &progress.unit
        } else {
            &progress.note
        };
        if let Some(bar) = &self.bar {
            let known = progress.total > 0;
            if bar.length().unwrap_or(0) != progress.total {
                bar.set_length(progress.total);
                bar.set_style(style(known, progress.unit == "bytes"));
            }
            bar.set_message(what.clone());
            bar.set_position(progress.done);
        } else if self.jsonl {
            line(&serde_json::json!({ "progress": progress }).to_string());
        } else if self.last_plain.elapsed() >= PLAIN_EVERY {
            self.last_plain = Instant::now();
            say(&format!(
                "  {what}: {}/{} {}",
                progress.done, progress.total, progress.unit
            ));
        }
    }
}
