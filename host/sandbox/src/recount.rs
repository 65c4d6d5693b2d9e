//! The host's own count of what a worker tells. The worker counts too and ends the run kindly;
//! this count holds when the worker is no longer ours.

use crate::protocol::{Ask, Assignment, Told};
use keepwell_model::id::ParamName;
use keepwell_model::limits::LimitName;
use keepwell_model::param::TEXT_MAX_BYTES;
use keepwell_model::units::Span;
use keepwell_model::words::{Finding, LogLine, Metric, Progress, Refusal, printable};
use std::time::Duration;

/// A log line is cut here.
pub(crate) const LINE_MAX_BYTES: usize = 4 << 10;
/// What a line of the log is charged beside its text: each becomes a record, however short it is.
pub(crate) const LINE_COST_BYTES: u64 = 64;
/// Ids, units, names, labels.
pub(crate) const WORD_MAX_BYTES: usize = 256;
/// Pairs in the data of a finding, or labels of a metric.
pub(crate) const PAIRS_MAX: usize = 64;
/// All findings of a run together, and all its metrics: both are held in memory several times
/// until the run ends, and a thousand of the longest findings would be 45 MiB each time.
pub(crate) const REPORTED_MAX_BYTES: u64 = 4 << 20;
/// What a pair costs beside its text.
const PAIR_BYTES: usize = 16;
/// As the contract says of `checkpoint`.
pub(crate) const CHECKPOINT_MAX_BYTES: usize = 64 << 10;
/// Calls kept one by one; further ones are counted.
pub const CALLS_KEPT: u64 = 10_000;
/// Tellings of calls that are only counted. Each tells of twice as many as the one before, so no
/// number of calls needs more.
const COUNTS_MAX: u64 = 64;
/// Refusals told one by one: each becomes a record. Further ones are counted among the calls.
pub(crate) const REFUSALS_KEPT: u64 = 1_000;
/// Names of shards a run may tell of: those of a million are a tenth of it. They are kept, and a
/// worker that is not ours could invent them without end.
const VERIFIED_MAX_BYTES: u64 = 1 << 30;
/// As the contract says of `quarantine`.
pub(crate) const PROPOSALS_MAX: usize = 4_096;
/// Progress comes at most this often.
pub(crate) const OFTEN: Duration = Duration::from_millis(100);
/// So many may come sooner: a busy host hears some late and the next in time.
const BURST: u64 = 32;

/// Checkpoints stay in the journal, so they come the more seldom the longer a run takes: a crash
/// costs a hundredth of it at most, and those of a whole day are about a thousand.
pub(crate) fn checkpoint_every(elapsed: Duration) -> Duration {
    OFTEN.max(elapsed / 100)
}

/// Why the host stops listening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Excess {
    Limit {
        limit: LimitName,
        detail: String,
    },
    /// Something an honest worker never sends.
    Protocol(&'static str),
}

/// What was reported so far of one kind.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    count: u32,
    bytes: u64,
}

impl Reported {
    /// One more; the error says what is too much.
    pub(crate) fn add(&mut self, bytes: usize, most: u32) -> Result<(), String> {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.count > most {
            return Err(format!("it reported more than {most}"));
        }
        if self.bytes > REPORTED_MAX_BYTES {
            let mib = REPORTED_MAX_BYTES >> 20;
            return Err(format!("it reported more than {mib} MiB of them"));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Recount<'a> {
    assignment: &'a Assignment,
    pub(crate) log_bytes: u64,
    findings: Reported,
    metrics: Reported,
    calls: u64,
    counts: u64,
    refusals: u64,
    progressed: u64,
    checkpointed: Option<Duration>,
    checkpointed_early: u64,
    verified_bytes: u64,
    ready: bool,
}

impl<'a> Recount<'a> {
    pub(crate) fn new(assignment: &'a Assignment) -> Self {
        Self {
            assignment,
            log_bytes: 0,
            findings: Reported::default(),
            metrics: Reported::default(),
            calls: 0,
            counts: 0,
            refusals: 0,
            progressed: 0,
            checkpointed: None,
            checkpointed_early: 0,
            verified_bytes: 0,
            ready: false,
        }
    }

    pub(crate) const fn output_max(&self) -> u64 {
        self.assignment.limits.output.0
    }

    pub(crate) const fn wall_max(&self) -> Span {
        self.assignment.limits.wall
    }

    /// What may be passed on, made safe to show.
    pub(crate) fn admit(&mut self, told: Told, elapsed: Duration) -> Result<Told, Excess> {
        if matches!(told, Told::Ready(_)) == self.ready {
            return Err(Excess::Protocol(
                "it was ready twice, or spoke before it was ready",
            ));
        }
        let limits = &self.assignment.limits;
        Ok(match told {
            Told::Ready(walls) => {
                self.ready = true;
                Told::Ready(walls)
            }
            Told::Logged(line) => {
                self.log_bytes = self.log_bytes.saturating_add(line_bytes(&line));
                if self.log_bytes > limits.log.0 {
                    return Err(over(LimitName::Log, format!("more than {}", limits.log)));
                }
                Told::Logged(printable_line(&line))
            }
            Told::Found(finding) => {
                let finding = printable_finding(&finding);
                let bytes = finding_bytes(&finding);
                self.findings
                    .add(bytes, limits.findings)
                    .map_err(|detail| over(LimitName::Findings, detail))?;
                Told::Found(finding)
            }
            Told::Measured(metric) => {
                let metric = printable_metric(&metric);
                let bytes = metric_bytes(&metric);
                self.metrics
                    .add(bytes, limits.metrics)
                    .map_err(|detail| over(LimitName::Metrics, detail))?;
                Told::Measured(metric)
            }
            Told::Progressed(progress) => {
                self.progress_not_too_often(elapsed)?;
                Told::Progressed(printable_progress(&progress))
            }
            Told::Checkpointed(state) => {
                self.checkpoint_not_too_often(elapsed)?;
                if state.len() > CHECKPOINT_MAX_BYTES {
                    return Err(Excess::Protocol("its checkpoint was too long"));
                }
                Told::Checkpointed(state)
            }
            Told::Called { mut calls, more } => {
                self.calls += calls.len() as u64;
                self.counts += u64::from(calls.is_empty());
                if self.calls > CALLS_KEPT || self.counts > COUNTS_MAX {
                    return Err(Excess::Protocol("it told of too many calls"));
                }
                for call in &mut calls {
                    call.function = printable(&call.function, WORD_MAX_BYTES);
                    call.subject = printable(&call.subject, WORD_MAX_BYTES);
                    call.result = printable(&call.result, WORD_MAX_BYTES);
                }
                Told::Called { calls, more }
            }
            Told::Refused {
                function,
                subject,
                refusal,
            } => {
                self.refusals += 1;
                if self.refusals > REFUSALS_KEPT {
                    return Err(Excess::Protocol("it told of too many refusals"));
                }
                Told::Refused {
                    function: printable(&function, WORD_MAX_BYTES),
                    subject: printable(&subject, WORD_MAX_BYTES),
                    refusal: printable_refusal(refusal),
                }
            }
            Told::Verified {
                store,
                remembered,
                gone,
            } => {
                if !self
                    .assignment
                    .stores
                    .keys()
                    .any(|name| name.as_str() == store)
                {
                    return Err(Excess::Protocol("it verified a store that was not granted"));
                }
                let names = remembered.iter().map(|r| &r.shard).chain(&gone);
                self.verified_bytes += names.map(|name| name.len() as u64).sum::<u64>();
                if self.verified_bytes > VERIFIED_MAX_BYTES {
                    return Err(Excess::Protocol("it told of too many shards"));
                }
                Told::Verified {
                    store,
                    remembered,
                    gone,
                }
            }
        })
    }

    /// Whether this may be asked at all; the broker decides what the answer is.
    pub(crate) fn check(&self, ask: &Ask) -> Result<(), Excess> {
        let a = self.assignment;
        let root = |name: &str| a.cleanable.iter().any(|root| root.as_str() == name);
        let store = |name: &str| a.stores.keys().any(|store| store.as_str() == name);
        let param = |names: &[ParamName], name: &str| names.iter().any(|n| n.as_str() == name);
        let may = self.ready
            && match ask {
                Ask::Rest => !a.stores.is_empty(),
                Ask::Cpu
                | Ask::Memory
                | Ask::Pressure(_)
                | Ask::Mounts
                | Ask::Networks
                | Ask::Processes { .. } => a.metrics,
                Ask::InUse => !a.storage.is_empty(),
                Ask::Remembered { store: name } | Ask::StoreFigures { store: name } => store(name),
                Ask::Propose {
                    root: name,
                    proposals,
                } => root(name) && proposals.len() <= PROPOSALS_MAX,
                Ask::ProposeTree { root: name, .. } => root(name),
                Ask::Param { name } => param(&a.readable, name),
                Ask::ProposeConfig {
                    name,
                    value,
                    reason,
                } => {
                    param(&a.writable, name)
                        && value.len() <= TEXT_MAX_BYTES
                        && reason.len() <= WORD_MAX_BYTES
                }
                Ask::State(ask) => a.state && ask.is_sound(),
            };
        if may {
            Ok(())
        } else {
            Err(Excess::Protocol("it asked for what was not granted"))
        }
    }

    fn progress_not_too_often(&mut self, elapsed: Duration) -> Result<(), Excess> {
        self.progressed += 1;
        let allowed =
            BURST + 2 * u64::try_from(elapsed.as_millis() / OFTEN.as_millis()).unwrap_or(0);
        if self.progressed > allowed {
            return Err(Excess::Protocol("it told of its progress too often"));
        }
        Ok(())
    }

    fn checkpoint_not_too_often(&mut self, elapsed: Duration) -> Result<(), Excess> {
        let last = self.checkpointed.replace(elapsed);
        let early =
            last.is_some_and(|last| elapsed.saturating_sub(last) < checkpoint_every(elapsed) / 2);
        self.checkpointed_early += u64::from(early);
        if self.checkpointed_early > BURST {
            return Err(Excess::Protocol("it told of checkpoints too often"));
        }
        Ok(())
    }
}

fn over(limit: LimitName, detail: String) -> Excess {
    Excess::Limit { limit, detail }
}

pub(crate) fn printable_line(line: &LogLine) -> LogLine {
    LogLine {
        level: line.level,
        message: printable(&line.message, LINE_MAX_BYTES),
    }
}

/// What a line is charged to the limit `log`.
pub(crate) const fn line_bytes(line: &LogLine) -> u64 {
    line.message.len() as u64 + LINE_COST_BYTES
}

pub(crate) fn printable_finding(finding: &Finding) -> Finding {
    Finding {
        id: printable(&finding.id, WORD_MAX_BYTES),
        subject: printable(&finding.subject, LINE_MAX_BYTES),
        severity: finding.severity,
        title: printable(&finding.title, LINE_MAX_BYTES),
        // Lines are kept: a detail may have several.
        detail: lines(&finding.detail),
        data: pairs(&finding.data),
    }
}

pub(crate) fn printable_metric(metric: &Metric) -> Metric {
    Metric {
        name: printable(&metric.name, WORD_MAX_BYTES),
        unit: printable(&metric.unit, WORD_MAX_BYTES),
        value: metric.value,
        labels: pairs(&metric.labels),
    }
}

pub(crate) fn printable_progress(progress: &Progress) -> Progress {
    Progress {
        unit: printable(&progress.unit, WORD_MAX_BYTES),
        note: printable(&progress.note, WORD_MAX_BYTES),
        done: progress.done,
        total: progress.total,
    }
}

pub(crate) fn printable_refusal(refusal: Refusal) -> Refusal {
    Refusal {
        code: refusal.code,
        message: printable(&refusal.message, LINE_MAX_BYTES),
        hint: refusal.hint.map(|hint| printable(&hint, LINE_MAX_BYTES)),
    }
}

pub(crate) fn finding_bytes(finding: &Finding) -> usize {
    let texts = [
        &finding.id,
        &finding.subject,
        &finding.title,
        &finding.detail,
    ];
    texts.iter().map(|text| text.len()).sum::<usize>() + pairs_bytes(&finding.data)
}

pub(crate) fn metric_bytes(metric: &Metric) -> usize {
    metric.name.len() + metric.unit.len() + pairs_bytes(&metric.labels)
}

fn pairs_bytes(pairs: &[(String, String)]) -> usize {
    let bytes = |(k, v): &(String, String)| k.len() + v.len() + PAIR_BYTES;
    pairs.iter().map(bytes).sum()
}

fn lines(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if out.len() + line.len() > LINE_MAX_BYTES {
            out.push('…');
            break;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&printable(line, LINE_MAX_BYTES));
    }
    out
}

fn pairs(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let shown = |text: &str| printable(text, WORD_MAX_BYTES);
    pairs
        .iter()
        .take(PAIRS_MAX)
        .map(|(k, v)| (shown(k), shown(v)))
        .collect()
}

#[cfg(test)]
mod tests;
