//! `schedule create` and `schedule update`: a named schedule's file, written whole, and only when
//! the configuration with it is good.

use super::Global;
use super::schedule::{print_rows, rows, unknown};
use crate::api::{Client, Request};
use crate::config::{self, Config, timetable};
use crate::error::{Error, Result};
use crate::node;
use crate::node_dir::{NodeDir, make_private_dir, write_file};
use crate::pipeline::{Brake, Silent};
use crate::plugins;
use crate::show;
use keepwell_model::id::{SlotName, TaskName};
use keepwell_model::schedule::NamedSlot;
use keepwell_model::state::Exit;
use keepwell_model::units::Span;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The options that name tasks for each named slot. A macro, because clap has no other way to give
/// the same six options another beginning.
macro_rules! sets {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $help:literal) => {
        $(#[$doc])*
        #[derive(Debug, clap::Args)]
        pub(crate) struct $name {
            #[arg(id = concat!($prefix, "hourly"), long = concat!($prefix, "hourly"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            hourly: Vec<TaskName>,
            #[arg(id = concat!($prefix, "daily"), long = concat!($prefix, "daily"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            daily: Vec<TaskName>,
            #[arg(id = concat!($prefix, "weekly"), long = concat!($prefix, "weekly"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            weekly: Vec<TaskName>,
            #[arg(id = concat!($prefix, "monthly"), long = concat!($prefix, "monthly"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            monthly: Vec<TaskName>,
            #[arg(id = concat!($prefix, "quarterly"), long = concat!($prefix, "quarterly"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            quarterly: Vec<TaskName>,
            #[arg(id = concat!($prefix, "annual"), long = concat!($prefix, "annual"), help = $help, value_name = "TASK", num_args = 1.., value_delimiter = ',')]
            annual: Vec<TaskName>,
        }

        impl $name {
            /// Those that were given.
            fn given(&self) -> impl Iterator<Item = (NamedSlot, &[TaskName])> {
                let all = [
                    (NamedSlot::Hourly, self.hourly.as_slice()),
                    (NamedSlot::Daily, &self.daily),
                    (NamedSlot::Weekly, &self.weekly),
                    (NamedSlot::Monthly, &self.monthly),
                    (NamedSlot::Quarterly, &self.quarterly),
                    (NamedSlot::Annual, &self.annual),
                ];
                all.into_iter().filter(|(_, tasks)| !tasks.is_empty())
            }
        }
    };
}

sets!(
    Sets,
    "",
    "Tasks of this slot, in the order in which they run"
);
sets!(
    Added,
    "add-",
    "Tasks that this slot is to run as well, after the others"
);
sets!(
    Removed,
    "remove-",
    "Tasks that this slot is to run no more; one without tasks goes"
);

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    /// Its file is schedules/NAME.toml.
    name: SlotName,
    #[command(flatten)]
    sets: Sets,
    /// Time of day of every slot but the hourly one. Default: 02:00 daily, 03:00 weekly and so on.
    #[arg(long, value_name = "HH:MM")]
    at: Option<String>,
    /// IANA time zone. Default: UTC.
    #[arg(long)]
    zone: Option<String>,
    /// How long after its time each slot may run.
    #[arg(long, value_name = "SPAN")]
    window: Option<Span>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    name: SlotName,
    #[command(flatten)]
    added: Added,
    #[command(flatten)]
    removed: Removed,
    /// IANA time zone of every slot that names none of its own.
    #[arg(long)]
    zone: Option<String>,
}

pub(super) fn create(global: &Global, args: &CreateArgs) -> Result<Exit> {
    let dir = global.dir();
    let path = file_of(&dir, &args.name);
    if path.exists() {
        return Err(
            Error::usage(format!("there is a schedule `{}` already", args.name))
                .hint("`keepwell schedule update` changes it"),
        );
    }
    let mut slots = Table::new();
    for (name, tasks) in args.sets.given() {
        let mut slot = Table::new();
        slot.insert("tasks".into(), array(tasks));
        if let Some(at) = args.at.as_ref().filter(|_| name != NamedSlot::Hourly) {
            slot.insert("at".into(), at.as_str().into());
        }
        slots.insert(name.to_string(), slot.into());
    }
    if slots.is_empty() {
        return Err(Error::usage("a schedule without tasks runs nothing")
            .hint("name some, for example `--daily temp-clean disk-check`"));
    }
    let mut file = Table::new();
    if let Some(zone) = &args.zone {
        file.insert("zone".into(), zone.as_str().into());
    }
    if let Some(window) = args.window {
        let duration = Value::from(window.to_string());
        file.insert(
            "window".into(),
            Table::from_iter([("duration".to_owned(), duration)]).into(),
        );
    }
    file.insert("slots".into(), slots.into());
    put(global, &dir, &path, &args.name, &file)
}

pub(super) fn update(global: &Global, args: &UpdateArgs) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let Some(doc) = config.schedules.get(&args.name) else {
        let known: Vec<_> = config.schedules.keys().map(ToString::to_string).collect();
        return Err(unknown(args.name.as_str(), &known));
    };
    if doc
        .text
        .lines()
        .any(|line| line.trim_start().starts_with('#') || line.contains(" # "))
    {
        return Err(Error::usage(format!(
            "{} has comments, which would be lost",
            doc.path.display()
        ))
        .hint("change it by hand; `keepwell schedule validate` checks it"));
    }
    let mut file: Table = doc
        .text
        .parse()
        .map_err(|e: toml::de::Error| Error::config(e.message().to_owned()))?;
    if let Some(zone) = &args.zone {
        file.insert("zone".into(), zone.as_str().into());
    }
    let slots = file
        .entry("slots")
        .or_insert_with(|| Table::new().into())
        .as_table_mut()
        .ok_or_else(|| Error::config("`slots` is not a table"))?;
    for (name, tasks) in args.added.given() {
        let mut all = tasks_of(slots, name);
        for task in tasks {
            if all.contains(task) {
                return Err(Error::usage(format!("{name} runs {task} already")));
            }
            all.push(task.clone());
        }
        set_tasks(slots, name, &all);
    }
    for (name, tasks) in args.removed.given() {
        let mut all = tasks_of(slots, name);
        for task in tasks {
            let at = all.iter().position(|t| t == task);
            let at = at.ok_or_else(|| Error::usage(format!("{name} does not run {task}")))?;
            all.remove(at);
        }
        set_tasks(slots, name, &all);
    }
    let path = doc.path.clone();
    put(global, &dir, &path, &args.name, &file)
}

fn file_of(dir: &NodeDir, name: &SlotName) -> PathBuf {
    dir.schedules().join(format!("{name}.toml"))
}

fn array(tasks: &[TaskName]) -> Value {
    tasks
        .iter()
        .map(|task| Value::from(task.as_str()))
        .collect::<Vec<_>>()
        .into()
}

/// The configuration was read, so what is there has its shape.
fn tasks_of(slots: &Table, name: NamedSlot) -> Vec<TaskName> {
    let tasks = slots.get(name.as_str()).and_then(|slot| slot.get("tasks"));
    let tasks = tasks.and_then(Value::as_array).into_iter().flatten();
    tasks
        .filter_map(|task| TaskName::new(task.as_str()?).ok())
        .collect()
}

fn set_tasks(slots: &mut Table, name: NamedSlot, tasks: &[TaskName]) {
    if tasks.is_empty() {
        slots.remove(name.as_str());
        return;
    }
    let slot = slots
        .entry(name.as_str())
        .or_insert_with(|| Table::new().into());
    if let Some(slot) = slot.as_table_mut() {
        slot.insert("tasks".into(), array(tasks));
    }
}

/// Writes the file when the whole configuration is good with it, and tells a running daemon.
fn put(global: &Global, dir: &NodeDir, path: &Path, name: &SlotName, file: &Table) -> Result<Exit> {
    let text = toml::to_string(file)
        .map_err(|e| Error::failed(format!("cannot write the schedule: {e}")))?;
    let mut config = config::load(dir)?;
    let doc = config::parse_schedule(path, text.clone())?;
    config.schedules.insert(name.clone(), doc);
    let problems = config::check_all(dir, &config, &plugins::trust(dir)?);
    if !problems.is_empty() {
        return Err(config::bad(problems));
    }
    make_private_dir(&dir.schedules())?;
    write_file(path, text.as_bytes(), 0o600)?;
    show::say(&format!("wrote {}", path.display()));
    show_slots(global, dir, &config, name)?;
    let Some(client) = Client::connect(dir)? else {
        show::say("no daemon runs on this node: nothing starts it until one does");
        return Ok(Exit::Done);
    };
    let answer = client.ask(&Request::Reload, &mut Silent, &Brake::default());
    global.show(
        &answer.map_err(|e| {
            e.hint("the file is written; the daemon goes on with what it read before")
        })?,
    );
    Ok(Exit::Done)
}

fn show_slots(global: &Global, dir: &NodeDir, config: &Config, name: &SlotName) -> Result<()> {
    let mut lines = timetable(config)?;
    let own = format!("{name}/");
    lines.retain(|line| line.key.starts_with(&own));
    print_rows(global, &rows(&lines, &node::reader(dir)?)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_what_else_it_says_and_goes_with_its_last_task() {
        let text = "zone = 'UTC'\n[slots.daily]\nat = '01:00'\ntasks = ['a', 'b']\n";
        let mut file: Table = text.parse().unwrap();
        let slots = file["slots"].as_table_mut().unwrap();
        let mut tasks = tasks_of(slots, NamedSlot::Daily);
        assert!(tasks_of(slots, NamedSlot::Weekly).is_empty());
        tasks.push(TaskName::new("c").unwrap());
        set_tasks(slots, NamedSlot::Daily, &tasks);
        set_tasks(slots, NamedSlot::Weekly, &tasks[..1]);
        assert_eq!(slots["daily"]["at"].as_str(), Some("01:00"));
        assert_eq!(tasks_of(slots, NamedSlot::Daily), tasks);
        set_tasks(slots, NamedSlot::Daily, &[]);
        assert!(!slots.contains_key("daily") && slots.contains_key("weekly"));
        let again: Table = toml::to_string(&file).unwrap().parse().unwrap();
        assert_eq!(again, file);
    }
}
