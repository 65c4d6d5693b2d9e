//! The shape of schedules as operators write them: a task's inline `schedule`, and the slots of a
//! named schedule in `schedules/NAME.toml`.

use crate::id::{GroupName, SlotName, TaskName};
use crate::state::RunState;
use crate::units::Span;
use crate::window::WindowTable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The keys that a task's schedule and a slot of a named schedule share. A macro and not a
/// flattened struct, because that would lose the place of a mistake.
macro_rules! schedule_keys {
    ($(#[$doc:meta])* pub struct $name:ident { $($extra:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct $name {
            $($extra)*
            /// Five fields, 1 is Monday, day-of-month OR day-of-week; or `@daily` and its like.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub cron: Option<String>,
            /// An interval in real time.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub every: Option<Span>,
            /// Where the interval begins, as `2026-01-01T00:00:00Z`. Default: the epoch.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub from: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pub slot: Option<NamedSlot>,
            /// Time of day of a named slot, as `02:00`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub at: Option<String>,
            /// Day of a named slot: a weekday; a day of the month or `last`; month and day.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub on: Option<String>,
            /// IANA time zone. Default: UTC.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub zone: Option<String>,
            /// How late the newest missed slot may still start. Default: half the period, at most
            /// a day.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub catch_up: Option<Span>,
            /// Each node is late by a share of this that is its own and never changes.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub jitter: Option<Span>,
            pub overlap: Overlap,
            #[serde(skip_serializing_if = "Option::is_none")]
            pub retry: Option<RetryTable>,
            /// Pause after this many failures in a row. Default: never.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub pause_after: Option<u32>,
            /// Of the schedules of a group, one runs at a time.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub group: Option<GroupName>,
            pub criticality: Criticality,
            pub on_interrupt: OnInterrupt,
        }
    };
}

schedule_keys! {
    /// A task's inline schedule. Exactly one of `cron`, `every` and `slot` says when.
    pub struct ScheduleTable {}
}

schedule_keys! {
    /// A slot of a named schedule. Without `cron`, `every` and `slot`, its name says when.
    pub struct SlotTable {
        /// Run one after the other, in this order.
        pub tasks: Vec<TaskName>,
        pub stop_on: StopOn,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub window: Option<WindowTable>,
    }
}

/// A named schedule: slots with ordered sets of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ScheduleFile {
    /// IANA time zone of every slot that names none. Default: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Window of every slot that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowTable>,
    /// Exclusive group of every slot that names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// One called as a named slot (`daily`) is that slot, unless it says otherwise.
    pub slots: BTreeMap<SlotName, SlotTable>,
}

impl ScheduleFile {
    /// The schedule of one slot, with what the file says for all of them.
    pub fn schedule(&self, name: &SlotName, slot: &SlotTable) -> ScheduleTable {
        let silent = slot.cron.is_none() && slot.every.is_none() && slot.slot.is_none();
        let by_name = || NamedSlot::from_name(name.as_str()).filter(|_| silent);
        ScheduleTable {
            cron: slot.cron.clone(),
            every: slot.every,
            from: slot.from.clone(),
            slot: slot.slot.or_else(by_name),
            at: slot.at.clone(),
            on: slot.on.clone(),
            zone: slot.zone.clone().or_else(|| self.zone.clone()),
            catch_up: slot.catch_up,
            jitter: slot.jitter,
            overlap: slot.overlap,
            retry: slot.retry.clone(),
            pause_after: slot.pause_after,
            group: slot.group.clone().or_else(|| self.group.clone()),
            criticality: slot.criticality,
            on_interrupt: slot.on_interrupt,
        }
    }

    pub fn window<'a>(&'a self, slot: &'a SlotTable) -> Option<&'a WindowTable> {
        slot.window.as_ref().or(self.window.as_ref())
    }
}

/// How a schedule is told in one line of a list: what was written, not what it means.
impl fmt::Display for ScheduleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cron, self.every, self.slot) {
            (Some(cron), ..) => f.write_str(cron)?,
            (None, Some(every), _) => write!(f, "every {every}")?,
            (None, None, Some(slot)) => write!(f, "{slot}")?,
            (None, None, None) => f.write_str("never")?,
        }
        if let Some(on) = &self.on {
            write!(f, " {on}")?;
        }
        if let Some(at) = &self.at {
            write!(f, " {at}")?;
        }
        match &self.zone {
            Some(zone) => write!(f, " {zone}"),
            None => Ok(()),
        }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* pub enum $type:ident { $($(#[$var:meta])* $name:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum $type {
            $($(#[$var])* $name),+
        }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Slots that need no pattern.
    pub enum NamedSlot {
        Hourly = "hourly",
        #[default]
        Daily = "daily",
        Weekly = "weekly",
        Monthly = "monthly",
        Quarterly = "quarterly",
        Annual = "annual",
    }
}

words! {
    /// What happens to a slot that comes while the one before it still runs.
    pub enum Overlap {
        /// It is skipped.
        #[default]
        Skip = "skip",
        /// It waits; at most one does.
        BufferOne = "buffer-one",
        /// The one that runs is cancelled, then it starts.
        CancelOther = "cancel-other",
    }
}

words! {
    /// What goes first when not all can start.
    pub enum Criticality {
        Low = "low",
        #[default]
        Normal = "normal",
        High = "high",
        /// Starts under pressure too.
        Critical = "critical",
    }
}

words! {
    /// What becomes of a run that was cut off.
    pub enum OnInterrupt {
        /// What was planned and not applied is applied next time.
        #[default]
        Resume = "resume",
        /// It stays interrupted until a person looks.
        Report = "report",
    }
}

words! {
    /// When the tasks after a bad one do not run.
    pub enum StopOn {
        /// It did not come to a good end.
        #[default]
        Failed = "failed",
        /// It found something critical, or was denied.
        Critical = "critical",
        Never = "never",
    }
}

impl NamedSlot {
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.as_str() == name)
    }
}

impl StopOn {
    /// Whether the rest of the set is left out after a task that ended so. An end that the host
    /// or a person caused (cancelled, interrupted) always stops it: the set did not get its turn.
    pub const fn stops(self, state: RunState, critical_finding: bool) -> bool {
        match state {
            RunState::Cancelled | RunState::Interrupted => true,
            RunState::Running | RunState::Waiting | RunState::Skipped | RunState::Missed => false,
            RunState::Done | RunState::Warned => match self {
                Self::Failed | Self::Never => false,
                Self::Critical => critical_finding,
            },
            RunState::Failed | RunState::Limited => match self {
                Self::Failed => true,
                Self::Critical => critical_finding,
                Self::Never => false,
            },
            RunState::Denied => match self {
                Self::Failed | Self::Critical => true,
                Self::Never => false,
            },
        }
    }
}

/// Trying again, for errors that the task itself calls transient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetryTable {
    /// Tries in all, the first one included.
    pub attempts: u32,
    /// Before the second try; doubled for each further one.
    pub first: Span,
    /// The longest wait.
    pub most: Span,
}

impl Default for RetryTable {
    fn default() -> Self {
        Self {
            attempts: 3,
            first: Span::secs(30),
            most: Span::secs(1_800),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_old_are_still_read() {
        let text = r#"{"cron":"0 2 * * *","zone":"Europe/Berlin","catch-up":"12h"}"#;
        let table: ScheduleTable = serde_json::from_str(text).unwrap();
        assert_eq!(table.catch_up, Some(Span::secs(43_200)));
        assert_eq!(table.overlap, Overlap::Skip);
        assert_eq!(table.to_string(), "0 2 * * * Europe/Berlin");
        let again = serde_json::to_string(&table).unwrap();
        assert_eq!(
            serde_json::from_str::<ScheduleTable>(&again).unwrap(),
            table
        );
    }

    #[test]
    fn a_key_nobody_knows_is_refused_everywhere() {
        for text in [
            r#"{"crom":"0 2 * * *"}"#,
            r#"{"cron":"0 2 * * *","retry":{"times":3}}"#,
            r#"{"slot":"fortnightly"}"#,
            r#"{"overlap":"buffer-all"}"#,
        ] {
            assert!(
                serde_json::from_str::<ScheduleTable>(text).is_err(),
                "{text}"
            );
        }
        let text = r#"{"slots":{"daily":{"tasks":["a"],"stop_on":"never"}}}"#;
        assert!(serde_json::from_str::<ScheduleFile>(text).is_err());
    }

    #[test]
    fn a_slot_takes_from_its_file_what_it_does_not_say() {
        let text = r#"{"zone":"Asia/Tokyo","group":"disk-heavy","window":{"duration":"2h"},
            "slots":{"daily":{"at":"01:30","tasks":["a","b"]},
                     "nightly":{"cron":"0 3 * * *","zone":"UTC","window":{"duration":"1h"}}}}"#;
        let file: ScheduleFile = serde_json::from_str(text).unwrap();
        let read = |name: &str| {
            let name = SlotName::new(name).unwrap();
            let slot = &file.slots[&name];
            (
                file.schedule(&name, slot),
                file.window(slot).unwrap().duration,
            )
        };
        let (daily, window) = read("daily");
        assert_eq!(daily.slot, Some(NamedSlot::Daily));
        assert_eq!(daily.zone.as_deref(), Some("Asia/Tokyo"));
        assert_eq!(window, Span::secs(7_200));
        let (nightly, window) = read("nightly");
        assert_eq!((nightly.slot, nightly.zone.as_deref()), (None, Some("UTC")));
        assert_eq!(nightly.group, daily.group);
        assert_eq!(window, Span::secs(3_600));
    }

    #[test]
    fn a_set_stops_as_its_rule_says() {
        assert!(StopOn::Failed.stops(RunState::Failed, false));
        assert!(!StopOn::Failed.stops(RunState::Warned, true));
        assert!(StopOn::Critical.stops(RunState::Done, true));
        assert!(!StopOn::Critical.stops(RunState::Failed, false));
        assert!(!StopOn::Never.stops(RunState::Denied, true));
        for rule in StopOn::ALL {
            assert!(rule.stops(RunState::Cancelled, false));
            assert!(!rule.stops(RunState::Skipped, false));
        }
    }
}
