//! Interface `core`: what every task may use without asking.

use super::bindings::core as wit;
use crate::bounds::Crossed;
use crate::ctx::{Ctx, No};
use crate::protocol::Told;
use crate::recount::{
    CHECKPOINT_MAX_BYTES, OFTEN, checkpoint_every, finding_bytes, line_bytes, metric_bytes,
    printable_finding, printable_line, printable_metric, printable_progress,
};
use keepwell_model::limits::LimitName;
use keepwell_model::words::{Finding, Level, LogLine, Metric, Progress};

/// Refusals cannot be told by functions without a result; here there are none.
fn end(no: No) -> wasmtime::Error {
    match no {
        No::Ended(error) => error,
        No::Refused(refusal) => wasmtime::Error::new(refusal),
    }
}

fn crossed(limit: LimitName, detail: String) -> wasmtime::Error {
    wasmtime::Error::new(Crossed::new(limit, detail))
}

impl Ctx {
    /// A line of the run's log, under its limit.
    pub(crate) fn say(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let line = printable_line(&LogLine { level, message });
        self.counts.log_bytes += line_bytes(&line);
        if self.counts.log_bytes > self.assignment.limits.log.0 {
            let most = self.assignment.limits.log;
            return Err(crossed(
                LimitName::Log,
                format!("it logged more than {most}"),
            ));
        }
        self.tell(Told::Logged(line)).map_err(end)
    }
}

impl wit::Host for Ctx {
    fn log(&mut self, level: wit::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            wit::Level::Debug => Level::Debug,
            wit::Level::Info => Level::Info,
            wit::Level::Warn => Level::Warn,
            wit::Level::Error => Level::Error,
        };
        self.say(level, message)
    }

    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.assignment.now_ms)
    }

    fn settings(&mut self) -> wasmtime::Result<String> {
        Ok(self.assignment.task_settings.clone())
    }

    fn report_progress(&mut self, progress: wit::Progress) -> wasmtime::Result<()> {
        let wit::Progress {
            done,
            total,
            unit,
            note,
        } = progress;
        let progress = printable_progress(&Progress {
            done,
            total,
            unit,
            note,
        });
        match self.progress.put(progress, OFTEN) {
            Some(progress) => self.tell(Told::Progressed(progress)).map_err(end),
            None => Ok(()),
        }
    }

    fn report_finding(&mut self, finding: wit::Finding) -> wasmtime::Result<()> {
        let finding = printable_finding(&Finding {
            id: finding.id,
            subject: finding.subject,
            severity: finding.severity.into(),
            title: finding.title,
            detail: finding.detail,
            data: finding.data,
        });
        let most = self.assignment.limits.findings;
        self.counts
            .findings
            .add(finding_bytes(&finding), most)
            .map_err(|detail| crossed(LimitName::Findings, detail))?;
        self.tell(Told::Found(finding)).map_err(end)
    }

    fn report_metric(
        &mut self,
        name: String,
        unit: String,
        value: f64,
        labels: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let metric = printable_metric(&Metric {
            name,
            unit,
            value,
            labels,
        });
        let most = self.assignment.limits.metrics;
        self.counts
            .metrics
            .add(metric_bytes(&metric), most)
            .map_err(|detail| crossed(LimitName::Metrics, detail))?;
        if !value.is_finite() {
            // JSON has no such number, and a gap in a series is the truth.
            let message = format!("metric `{}` is not a number; it was left out", metric.name);
            return self.log(wit::Level::Warn, message);
        }
        self.tell(Told::Measured(metric)).map_err(end)
    }

    fn last_checkpoint(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.assignment.last_checkpoint.clone())
    }

    fn checkpoint(&mut self, state: Vec<u8>) -> wasmtime::Result<()> {
        if state.len() > CHECKPOINT_MAX_BYTES {
            let bytes = state.len();
            return Err(crossed(
                LimitName::Call,
                format!("a checkpoint of {bytes} bytes, of at most {CHECKPOINT_MAX_BYTES}"),
            ));
        }
        let every = checkpoint_every(self.meter.wall());
        match self.checkpoint.put(state, every) {
            Some(state) => self.tell(Told::Checkpointed(state)).map_err(end),
            None => Ok(()),
        }
    }
}
