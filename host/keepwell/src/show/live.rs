//! A run while it happens: a bar on a terminal, plain lines elsewhere, JSON lines for programs.

use super::{Format, line, say};
use crate::pipeline::{Far, Observer};
use indicatif::{ProgressBar, ProgressStyle};
use keepwell_model::event::{Event, Record};
use keepwell_model::units::Bytes;
use keepwell_model::words::{Level, Progress, Severity};
use std::io::IsTerminal as _;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Off a terminal, progress is a line now and then and not a flood.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Shows the events of one run. Lines are written by a thread of their own: whoever reads them
/// slowly, or not at all, must not hold up the run. There are only as many as a run has events.
#[derive(Debug)]
pub struct Live {
    jsonl: bool,
    bar: Option<ProgressBar>,
    last_plain: Instant,
    lines: Option<Sender<Line>>,
    writer: Option<JoinHandle<()>>,
}

/// Where a line goes.
#[derive(Debug)]
enum Line {
    Data(String),
    Talk(String),
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
        let (lines, to_write) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            for one in to_write {
                match one {
                    Line::Data(text) => line(&text),
                    Line::Talk(text) => say(&text),
                }
            }
        });
        Self {
            jsonl: format == Format::Jsonl,
            bar,
            last_plain: Instant::now(),
            lines: Some(lines),
            writer: Some(writer),
        }
    }

    /// Writes what is left and takes the bar away, so that what follows is not drawn over.
    pub fn finish(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has lost lines of talk; the report has them all.
            let _ = writer.join();
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn write(&self, one: Line) {
        if let Some(lines) = &self.lines {
            // The writer lives until `finish`.
            let _ = lines.send(one);
        }
    }

    fn talk(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => self.write(Line::Talk(text.to_owned())),
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

impl Live {
    /// Progress as another process wrote it down, with its own rate and time to the end.
    pub fn far(&mut self, far: &Far) {
        if self.bar.is_some() || self.jsonl {
            self.progress(&far.progress);
            return;
        }
        let Progress {
            done,
            total,
            unit,
            note,
        } = &far.progress;
        let what = if note.is_empty() { unit } else { note };
        let rate = far
            .rate()
            .map_or_else(String::new, |rate| format!(", {rate:.0} a second"));
        let eta = far
            .eta_seconds()
            .map_or_else(String::new, |s| format!(", {s} s to go"));
        self.talk(&format!("  {what}: {done}/{total} {unit}{rate}{eta}"));
    }
}

impl Observer for Live {
    fn record(&mut self, record: &Record) {
        if self.jsonl {
            self.write(Line::Data(
                serde_json::to_string(record).unwrap_or_default(),
            ));
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
            let text = serde_json::json!({ "progress": progress }).to_string();
            self.write(Line::Data(text));
        } else if self.last_plain.elapsed() >= PLAIN_EVERY {
            self.last_plain = Instant::now();
            self.write(Line::Talk(format!(
                "  {what}: {}/{} {}",
                progress.done, progress.total, progress.unit
            )));
        }
    }
}
