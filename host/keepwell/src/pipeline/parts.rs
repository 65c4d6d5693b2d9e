//! What became of a batch of actions, in parts that fit a record of the journal each: every action
//! that was not done is named with its reason, and a record is bounded.

use keepwell_model::action::Action;
use keepwell_model::event::{Event, NotDone};
use keepwell_model::words::{Refusal, printable};

/// Actions named in one record. With the longest reasons, each character of them escaped, they take
/// half of what a record may have.
const NAMED_MAX: usize = 512;
/// Longest reason that is kept of each; those of the host's own actuators are shorter but for paths.
const WHY_MAX_BYTES: usize = 512;

/// Consecutive actions and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    first: u64,
    last: u64,
    done: u64,
    files: u64,
    bytes: u64,
    not_done: Vec<NotDone>,
}

/// A batch, from its first action on or from its last one back.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// The next action of the batch.
    pub(super) fn add(&mut self, action: &Action, became: Result<(), Refusal>) {
        let full = |part: &Part| part.not_done.len() >= NAMED_MAX;
        if self.0.last().is_none_or(full) {
            self.0.push(Part {
                first: action.id,
                last: action.id,
                done: 0,
                files: 0,
                bytes: 0,
                not_done: vec![],
            });
        }
        let Some(part) = self.0.last_mut() else {
            return;
        };
        part.first = part.first.min(action.id);
        part.last = part.last.max(action.id);
        match became {
            Ok(()) => {
                let price = action.change.price();
                part.done += 1;
                part.files += price.files;
                part.bytes += price.bytes;
            }
            Err(refusal) => part.not_done.push(NotDone {
                action: action.id,
                code: refusal.code.as_str().to_owned(),
                why: printable(&refusal.message, WHY_MAX_BYTES),
            }),
        }
    }

    /// Actions so far.
    pub(super) fn reached(&self) -> u64 {
        let each = self.0.iter();
        each.map(|part| part.done + part.not_done.len() as u64)
            .sum()
    }

    pub(super) fn outcomes(self) -> impl Iterator<Item = Event> {
        self.0.into_iter().map(|part| Event::Outcome {
            first: part.first,
            last: part.last,
            done: part.done,
            files: part.files,
            bytes: part.bytes,
            not_done: part.not_done,
        })
    }

    pub(super) fn undo_outcomes(self) -> impl Iterator<Item = Event> {
        self.0.into_iter().map(|part| Event::UndoOutcome {
            first: part.first,
            last: part.last,
            done: part.done,
            not_done: part.not_done,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::BATCH;
    use super::*;
    use keepwell_model::action::{Change, EntryKind, Identity, RelPath};
    use keepwell_model::id::RootName;

    fn action(id: u64) -> Action {
        Action {
            id,
            change: Change::Quarantine {
                root: RootName::new("tmp").unwrap(),
                path: RelPath::new("f").unwrap(),
                kind: EntryKind::File,
                identity: Identity {
                    device: 1,
                    inode: 1,
                    size: 3,
                    mtime_ns: 0,
                    ctime_ns: 0,
                },
            },
            reason: "old".into(),
        }
    }

    #[test]
    fn a_batch_of_nothing_but_refusals_fits_the_journal_and_names_each() {
        let mut parts = Parts::default();
        let last = 1_000_000 + BATCH as u64;
        for id in 1_000_000..last {
            parts.add(&action(id), Err(Refusal::denied("\"\\".repeat(4_096))));
        }
        assert_eq!(parts.reached(), BATCH as u64);
        let mut named = vec![];
        for event in parts.outcomes() {
            let bytes = serde_json::to_vec(&event).unwrap().len();
            assert!(
                bytes < keepwell_journal::RECORD_MAX_BYTES * 3 / 4,
                "{bytes}"
            );
            let Event::Outcome { not_done, .. } = event else {
                panic!("{event:?}");
            };
            named.extend(not_done.into_iter().map(|n| n.action));
        }
        assert_eq!(named, (1_000_000..last).collect::<Vec<_>>());
    }

    #[test]
    fn what_goes_back_from_the_last_on_has_its_ends_in_order() {
        let mut parts = Parts::default();
        for id in [9, 8, 6] {
            let became = if id == 8 {
                Err(Refusal::gone("no"))
            } else {
                Ok(())
            };
            parts.add(&action(id), became);
        }
        let events: Vec<Event> = parts.undo_outcomes().collect();
        let [
            Event::UndoOutcome {
                first: 6,
                last: 9,
                done: 2,
                not_done,
            },
        ] = events.as_slice()
        else {
            panic!("{events:?}");
        };
        assert_eq!(not_done.len(), 1);
    }
}
