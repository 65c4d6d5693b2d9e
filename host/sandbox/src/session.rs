//! The host's side of one worker: starts it, listens, answers, counts, and ends it.

mod channel;

use crate::child::{self, OwnChild, in_words};
use crate::frame::{FrameError, encode, pieces};
use crate::protocol::{
    Answer, Ask, Broker, Ended, Finished, FromWorker, Launch, Outcome, ToWorker, Told,
};
use crate::recount::{Excess, LINE_MAX_BYTES, Recount, printable_refusal};
use channel::{Broke, Channel};
use keepwell_model::event::{Usage, Walls};
use keepwell_model::limits::LimitName;
use keepwell_model::words::{Failure, Summary, printable};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The worker ends itself at its wall limit; this long after it the host does.
const GRACE: Duration = Duration::from_millis(500);
/// From its last word to its exit.
const PARTING: Duration = Duration::from_millis(500);

/// Runs one worker from start to end. Never fails: what goes wrong is an [`Outcome`].
pub fn look(launch: Launch<'_>, broker: &mut dyn Broker, cancel: &AtomicBool) -> Ended {
    let began = Instant::now();
    let deadline = began + launch.assignment.limits.wall.0 + GRACE;
    let mut session = Session {
        recount: Recount::new(launch.assignment),
        broker,
        walls: None,
        usage: Usage::default(),
        began,
    };
    let outcome = match session.start(launch, deadline) {
        Ok((mut child, mut channel)) => {
            let outcome = session.listen(&mut channel, cancel);
            session.part(&mut child, &mut channel, outcome)
        }
        Err(outcome) => outcome,
    };
    session.usage.wall_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    session.usage.log_bytes = session.recount.log_bytes;
    Ended {
        outcome,
        usage: session.usage,
        walls: session.walls,
    }
}

struct Session<'a> {
    recount: Recount<'a>,
    broker: &'a mut dyn Broker,
    walls: Option<Walls>,
    usage: Usage,
    began: Instant,
}

/// How listening ended.
enum Heard {
    Outcome(Outcome),
    /// The channel closed without a last word.
    Silence,
}

impl Session<'_> {
    fn start(
        &mut self,
        launch: Launch<'_>,
        deadline: Instant,
    ) -> Result<(OwnChild, Channel), Outcome> {
        let died = |why: String| Outcome::Died { detail: why };
        let (ours, theirs) =
            Channel::pair().map_err(|e| died(format!("cannot make its channel: {e}")))?;
        let assignment =
            encode(launch.assignment).map_err(|e| died(format!("cannot assign it: {e}")))?;
        let mut child = child::start_on_socket(
            launch.program,
            launch.args,
            Stdio::from(launch.code),
            theirs,
        )
        .map_err(|e| died(format!("cannot start it: {e}")))?;
        let mut channel = Channel::new(ours, child.0.stderr.take(), deadline);
        channel.queue(assignment);
        Ok((child, channel))
    }

    fn listen(&mut self, channel: &mut Channel, cancel: &AtomicBool) -> Heard {
        loop {
            let frame = match channel.receive(cancel) {
                Ok(frame) => frame,
                Err(broke) => return self.broke(broke),
            };
            let ended = match frame {
                FromWorker::Told(told) => self.told(told),
                FromWorker::Ask(ask) => self.asked(channel, ask),
                FromWorker::Finished { finished, usage } => Err(self.finished(finished, usage)),
            };
            if let Err(outcome) = ended {
                return Heard::Outcome(outcome);
            }
        }
    }

    fn told(&mut self, told: Told) -> Result<(), Outcome> {
        let told = self
            .recount
            .admit(told, self.began.elapsed())
            .map_err(excess)?;
        if let Told::Ready(walls) = &told {
            self.walls = Some(walls.clone());
        }
        self.broker.told(told).map_err(|_| Outcome::Cancelled)
    }

    fn asked(&mut self, channel: &mut Channel, ask: Ask) -> Result<(), Outcome> {
        self.recount.check(&ask).map_err(excess)?;
        // Whoever asks on and never reads would fill our memory with answers.
        if !channel.is_sent() {
            return Err(excess(Excess::Protocol(
                "it asked again before it read the answer",
            )));
        }
        let answer = self.broker.ask(ask);
        for frame in in_frames(answer) {
            let frame = encode(&frame).map_err(|e| Outcome::Died {
                detail: format!("cannot answer it: {e}"),
            })?;
            channel.queue(frame);
        }
        Ok(())
    }

    fn finished(&mut self, finished: Finished, usage: Usage) -> Outcome {
        self.usage = usage;
        let most = usize::try_from(self.recount.output_max()).unwrap_or(usize::MAX);
        match finished {
            Finished::Described(text) if text.len() > most => output(most),
            Finished::Described(text) => Outcome::Described(text),
            Finished::Summarized(summary) => summarized(summary, most),
            Finished::Failed(failure) => Outcome::Failed(printable_failure(failure.into())),
            Finished::Limited { limit, detail } => Outcome::Limited {
                limit,
                detail: printable(&detail, LINE_MAX_BYTES),
            },
            Finished::Trapped { message } => Outcome::Trapped {
                message: printable(&message, LINE_MAX_BYTES),
            },
            Finished::Unwalled { detail } => Outcome::Unwalled {
                detail: printable(&detail, LINE_MAX_BYTES),
            },
            Finished::Broken { detail } => Outcome::Died {
                detail: printable(&detail, LINE_MAX_BYTES),
            },
        }
    }

    fn broke(&self, broke: Broke) -> Heard {
        Heard::Outcome(match broke {
            Broke::Cancelled => Outcome::Cancelled,
            Broke::Deadline => Outcome::Limited {
                limit: LimitName::Wall,
                detail: format!("it ran longer than {}", self.recount.wall_max()),
            },
            Broke::Frame(FrameError::Closed) => return Heard::Silence,
            Broke::Frame(e) => {
                let mut detail = format!("it broke the protocol: {e}");
                if let Some(source) = std::error::Error::source(&e) {
                    detail.push_str(&format!(" ({source})"));
                }
                Outcome::Died { detail }
            }
        })
    }

    /// Ends the process and says how it ended where it did not say so itself.
    fn part(&mut self, child: &mut OwnChild, channel: &mut Channel, heard: Heard) -> Outcome {
        self.usage.worker_bytes = self.usage.worker_bytes.max(child.peak_bytes());
        match heard {
            Heard::Outcome(outcome) => {
                if !matches!(outcome, Outcome::Cancelled | Outcome::Died { .. }) {
                    channel.await_close(PARTING);
                }
                child.end();
                outcome
            }
            Heard::Silence => {
                // The socket closes a moment before the process can be waited for; killing it in
                // between would hide how it died.
                child.ends_before(Instant::now() + PARTING);
                let status = child.end();
                let mut detail = status.map_or_else(|| "it ended".to_owned(), in_words);
                let said = channel.complaint();
                if !said.is_empty() {
                    detail = format!("{detail}; it said: {}", printable(&said, LINE_MAX_BYTES));
                }
                Outcome::Died { detail }
            }
        }
    }
}

fn excess(excess: Excess) -> Outcome {
    match excess {
        Excess::Limit { limit, detail } => Outcome::Limited { limit, detail },
        Excess::Protocol(what) => Outcome::Died {
            detail: format!("it broke the protocol: {what}"),
        },
    }
}

fn output(most: usize) -> Outcome {
    Outcome::Limited {
        limit: LimitName::Output,
        detail: format!("its summary has more than {most} bytes"),
    }
}

/// A summary as it may be kept: within its limit, its line safe to show, its data an object.
fn summarized(summary: Summary, most: usize) -> Outcome {
    if summary.line.len() + summary.data.len() > most {
        return output(most);
    }
    match serde_json::from_str::<serde_json::Value>(&summary.data) {
        Ok(serde_json::Value::Object(_)) => Outcome::Summarized(Summary {
            line: printable(&summary.line, LINE_MAX_BYTES),
            ..summary
        }),
        Ok(_) | Err(_) => Outcome::Failed(Failure::Permanent(
            "the data of its summary is not a JSON object".to_owned(),
        )),
    }
}

fn printable_failure(failure: Failure) -> Failure {
    let shown = |text: String| printable(&text, LINE_MAX_BYTES);
    match failure {
        Failure::Transient(why) => Failure::Transient(shown(why)),
        Failure::Permanent(why) => Failure::Permanent(shown(why)),
        Failure::Refused(refusal) => Failure::Refused(printable_refusal(refusal)),
    }
}

/// Long lists go in several frames.
fn in_frames(answer: Answer) -> Vec<ToWorker> {
    /// Of a remembered shard, beside its name.
    const REMEMBERED_BYTES: usize = 32;
    /// Two numbers, as postcard writes large ones.
    const PAIR_BYTES: usize = 20;
    let answers: Vec<Answer> = match answer {
        Answer::Remembered(Ok(list)) => pieces(list, |r| r.shard.len() + REMEMBERED_BYTES)
            .into_iter()
            .map(|piece| Answer::Remembered(Ok(piece)))
            .collect(),
        Answer::InUse(Ok((pairs, complete))) => pieces(pairs, |_| PAIR_BYTES)
            .into_iter()
            .map(|piece| Answer::InUse(Ok((piece, complete))))
            .collect(),
        other => vec![other],
    };
    let last = answers.len().saturating_sub(1);
    let frames = answers.into_iter().enumerate();
    frames
        .map(|(i, answer)| ToWorker {
            answer,
            more: i < last,
        })
        .collect()
}

#[cfg(test)]
mod tests;
