//! Configuration as operators write it, read strictly: what is wrong is shown with its place.

mod check;
mod edit;
mod load;
mod params;
mod place;
mod shape;
mod timetable;

pub use check::{check_all, check_node, check_schedules, check_task};
pub use edit::Edited;
pub use load::{
    Config, ScheduleDoc, Task, bad, bad_file, load, load_schedule_file, load_task_file, parse_node,
    parse_schedule, parse_task, read_text,
};
pub use place::{Problem, suggestion};
pub use shape::{
    NodeFile, PullerTable, RootTable, SourceKind, SourceTable, TaskFile, node_schema,
    schedule_schema, task_schema,
};
pub use timetable::{Line, timetable};
