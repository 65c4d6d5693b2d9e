//! The timetable: every schedule of the configuration, compiled, with the tasks it runs.

use super::load::Config;
use crate::error::{Error, Result};
use keepwell_model::id::{Digest, TaskName};
use keepwell_model::schedule::{Schedule, ScheduleTable, StopOn};

/// One schedule as the daemon obeys it.
#[derive(Debug, Clone)]
pub struct Line {
    /// `temp-clean`, or `standard-maintenance/daily`.
    pub key: String,
    pub schedule: Schedule,
    /// What was written, for lists: `daily 02:00`, the zone left out.
    pub wrote: String,
    /// Run one after the other.
    pub tasks: Vec<TaskName>,
    pub stop_on: StopOn,
    /// Of what says when: another pattern is another schedule.
    pub pattern: Digest,
    /// It is the task's own, so pausing the task pauses it.
    pub inline: bool,
}

/// Every schedule. The configuration was checked, so what does not compile is our bug.
pub fn timetable(config: &Config) -> Result<Vec<Line>> {
    let bad = |e: keepwell_model::schedule::BadSchedule| Error::config(e.message);
    let mut lines = vec![];
    for task in config.tasks.values() {
        let Some(table) = &task.file.schedule else {
            continue;
        };
        let schedule = table.compile(task.file.window.as_ref()).map_err(bad)?;
        lines.push(Line {
            key: task.name.to_string(),
            pattern: pattern(&schedule),
            wrote: wrote(table),
            schedule,
            tasks: vec![task.name.clone()],
            stop_on: StopOn::default(),
            inline: true,
        });
    }
    for doc in config.schedules.values() {
        for (name, slot) in &doc.file.slots {
            let table = doc.file.schedule(name, slot);
            let schedule = table.compile(doc.file.window(slot)).map_err(bad)?;
            lines.push(Line {
                key: format!("{}/{name}", doc.name),
                pattern: pattern(&schedule),
                wrote: wrote(&table),
                schedule,
                tasks: slot.tasks.clone(),
                stop_on: slot.stop_on,
                inline: false,
            });
        }
    }
    Ok(lines)
}

fn pattern(schedule: &Schedule) -> Digest {
    Digest::of(format!("{:?}", schedule.pattern).as_bytes())
}

fn wrote(table: &ScheduleTable) -> String {
    let table = ScheduleTable {
        zone: None,
        ..table.clone()
    };
    table.to_string()
}
