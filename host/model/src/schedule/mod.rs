//! Scheduling: when a task is due, and what to do about it. Pure: time, state and facts of the
//! machine are arguments; times are milliseconds since the epoch in UTC.
//!
//! A `Schedule` is what an operator wrote, compiled. `due::decide` says what to do now and when
//! to look again; `EntryState::after` is what each decision leaves behind, so that a store that
//! keeps the state keeps the promise: no slot runs twice and none passes unseen.

pub mod act;
pub mod check;
mod cron;
pub mod due;
mod late;
mod named;
pub mod pattern;
mod places;
pub mod policy;
pub mod pressure;
pub mod retry;
pub mod shape;
pub mod state;
#[cfg(test)]
mod tests;
pub mod upcoming;
pub mod zone;

pub use act::{Act, Decision, HoldWhy, MissWhy, SkipWhy, Slots, TooLate};
pub use due::{Entry, Facts, Outlook, decide};
pub use pattern::{BadPattern, Count, NoSlot, Pattern};
pub use policy::{BadSchedule, Schedule};
pub use pressure::{Pressed, PressureReading, PressureTable};
pub use shape::{
    Criticality, NamedSlot, OnInterrupt, Overlap, RetryTable, ScheduleFile, ScheduleTable,
    SlotTable, StopOn,
};
pub use state::{Again, EntryState, Extension, Held, Running, Urgent};
pub use zone::{Zone, zone_table_version};
