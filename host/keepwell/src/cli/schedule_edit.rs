//! `schedule create` and `schedule update`: a named schedule's file, written whole, and only when
//! the configuration with it is good.

use super::Global;
use super::schedule::{print_rows, rows, unknown};
use crate::api::{Client, Request};
use crate::config::{self, Config, Edited, timetable};
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
    let mut file = Edited::of(&path, "")?;
    if let Some(zone) = &args.zone {
        file.set(&["zone"], zone.as_str())?;
    }
    if let Some(window) = args.window {
        file.set(&["window", "duration"], window.to_string())?;
    }
    for (name, tasks) in args.sets.given() {
        if let Some(at) = args.at.as_ref().filter(|_| name != NamedSlot::Hourly) {
            file.set(&["slots", name.as_str(), "at"], at.as_str())?;
        }
        for task in tasks {
            add(&mut file, name, task)?;
        }
    }
    if args.sets.given().next().is_none() {
        return Err(Error::usage("a schedule without tasks runs nothing")
            .hint("name some, for example `--daily temp-clean disk-check`"));
    }
    put(global, &dir, &path, &args.name, &file.text())
}

pub(super) fn update(global: &Global, args: &UpdateArgs) -> Result<Exit> {
    let dir = global.dir();
    let config = config::load(&dir)?;
    let Some(doc) = config.schedules.get(&args.name) else {
        let known: Vec<_> = config.schedules.keys().map(ToString::to_string).collect();
        return Err(unknown(args.name.as_str(), &known));
    };
    let mut file = Edited::of(&doc.path, &doc.text)?;
    if let Some(zone) = &args.zone {
        file.set(&["zone"], zone.as_str())?;
    }
    for (name, tasks) in args.added.given() {
        for task in tasks {
            add(&mut file, name, task)?;
        }
    }
    for (name, tasks) in args.removed.given() {
        for task in tasks {
            remove(&mut file, name, task)?;
        }
    }
    put(global, &dir, &doc.path, &args.name, &file.text())
}

fn file_of(dir: &NodeDir, name: &SlotName) -> PathBuf {
    dir.schedules().join(format!("{name}.toml"))
}

fn add(file: &mut Edited, name: NamedSlot, task: &TaskName) -> Result<()> {
    if file.add(&["slots", name.as_str(), "tasks"], task.as_str())? {
        return Ok(());
    }
    Err(Error::usage(format!("{name} runs {task} already")))
}

/// A slot keeps what else it says, and goes with its last task.
fn remove(file: &mut Edited, name: NamedSlot, task: &TaskName) -> Result<()> {
    let tasks = ["slots", name.as_str(), "tasks"];
    if !file.take(&tasks, task.as_str())? {
        return Err(Error::usage(format!("{name} does not run {task}")));
    }
    if file.is_empty(&tasks)? {
        file.remove(&tasks[..2])?;
    }
    Ok(())
}

/// Writes the file when the whole configuration is good with it, and tells a running daemon.
fn put(global: &Global, dir: &NodeDir, path: &Path, name: &SlotName, text: &str) -> Result<Exit> {
    let mut config = config::load(dir)?;
    let doc = config::parse_schedule(path, text.to_owned())?;
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
        let text = "zone = 'UTC'\n# before the users come\n[slots.daily]\nat = '01:00'\n\
            tasks = ['a', 'b']\n";
        let mut file = Edited::of(Path::new("s.toml"), text).unwrap();
        let task = |name: &str| TaskName::new(name).unwrap();
        add(&mut file, NamedSlot::Daily, &task("c")).unwrap();
        add(&mut file, NamedSlot::Weekly, &task("a")).unwrap();
        assert!(add(&mut file, NamedSlot::Daily, &task("a")).is_err());
        assert!(remove(&mut file, NamedSlot::Monthly, &task("a")).is_err());
        remove(&mut file, NamedSlot::Daily, &task("a")).unwrap();
        assert!(
            file.text()
                .contains("users come\n[slots.daily]\nat = '01:00'\ntasks = ['b', \"c\"]")
        );
        remove(&mut file, NamedSlot::Daily, &task("b")).unwrap();
        remove(&mut file, NamedSlot::Daily, &task("c")).unwrap();
        let left: toml::Table = file.text().parse().unwrap();
        let slots = left["slots"].as_table().unwrap();
        assert!(!slots.contains_key("daily") && slots.contains_key("weekly"));
    }
}
