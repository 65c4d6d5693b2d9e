//! Reads the files of a node directory. No plugin is opened and nothing is started.

use super::place::Problem;
use super::shape::{NodeFile, TaskFile};
use crate::error::{Error, Result};
use crate::node_dir::NodeDir;
use keepwell_model::id::{ParamName, RootName, SlotName, StoreName, TaskName};
use keepwell_model::limits::Limits;
use keepwell_model::param::Param;
use keepwell_model::schedule::ScheduleFile;
use keepwell_model::state::Exit;
use keepwell_model::store::StoreConfig;
use keepwell_model::units::Span;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A configuration file is a page; this keeps a wrong path from filling memory.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Quarantine that is emptied at once is deleting, and its class would be a lie.
const KEEP_FLOOR: Span = Span::secs(3_600);

/// Everything configured on a node.
#[derive(Debug, Clone)]
pub struct Config {
    pub node: NodeFile,
    pub text: String,
    pub path: PathBuf,
    /// `[params]`, checked.
    pub params: BTreeMap<ParamName, Param>,
    pub tasks: BTreeMap<TaskName, Task>,
    pub schedules: BTreeMap<SlotName, ScheduleDoc>,
}

/// A named schedule with the text it was read from.
#[derive(Debug, Clone)]
pub struct ScheduleDoc {
    pub name: SlotName,
    pub path: PathBuf,
    pub text: String,
    pub file: ScheduleFile,
}

impl ScheduleDoc {
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.path, &self.text, message)
    }
}

/// One configured task with the text it was read from.
#[derive(Debug, Clone)]
pub struct Task {
    pub name: TaskName,
    pub path: PathBuf,
    pub text: String,
    pub file: TaskFile,
    pub limits: Limits,
}

impl Task {
    /// Which of the plugin's tasks this runs.
    pub fn plugin_task(&self) -> &str {
        self.file.task.as_deref().unwrap_or(self.name.as_str())
    }

    /// The settings with those of the command line over them, as the guest gets them.
    pub fn settings_json(&self, set: &[(String, serde_json::Value)]) -> String {
        let mut all = self.file.settings.clone();
        all.extend(set.iter().cloned());
        serde_json::to_string(&all).unwrap_or_default()
    }

    /// What is set for one run alone, as a JSON object; `None` when nothing is.
    pub fn set_json(&self, set: &[(String, serde_json::Value)]) -> Option<String> {
        let all: BTreeMap<_, _> = set.iter().cloned().collect();
        (!all.is_empty()).then(|| serde_json::to_string(&all).unwrap_or_default())
    }

    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.path, &self.text, message)
    }
}

impl Config {
    pub fn roots(&self) -> BTreeMap<RootName, PathBuf> {
        self.node
            .roots
            .iter()
            .map(|(k, v)| (k.clone(), v.path.clone()))
            .collect()
    }

    pub fn protected(&self) -> BTreeMap<RootName, Vec<String>> {
        self.node
            .roots
            .iter()
            .map(|(k, v)| (k.clone(), v.protect.clone()))
            .collect()
    }

    pub fn stores(&self) -> BTreeMap<StoreName, StoreConfig> {
        self.node.stores.clone()
    }

    pub fn task(&self, name: &str) -> Result<&Task> {
        let known: Vec<&str> = self.tasks.keys().map(TaskName::as_str).collect();
        self.tasks
            .iter()
            .find(|(k, _)| k.as_str() == name)
            .map(|(_, t)| t)
            .ok_or_else(|| {
                let error = Error::usage(format!("there is no task `{name}`"));
                match keepwell_model::grant::nearest(name, &known) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None if known.is_empty() => {
                        error.hint("tasks are files in `tasks/` of the node directory")
                    }
                    None => error.hint(format!("known tasks: {}", known.join(", "))),
                }
            })
    }

    pub fn node_name(&self) -> String {
        let of_dir = || {
            let dir = self.path.parent().and_then(Path::file_name);
            dir.map_or_else(|| "node".to_owned(), |n| n.to_string_lossy().into_owned())
        };
        self.node.node.name.clone().unwrap_or_else(of_dir)
    }
}

/// The node that `text` is, in the file that it is or will be. Only what the text alone can tell.
pub fn parse_node(path: &Path, text: &str) -> Result<NodeFile> {
    toml::from_str(text).map_err(|e| bad(vec![Problem::from_toml(path, text, &e)]))
}

/// Reads everything; all problems of all files are reported together.
pub fn load(dir: &NodeDir) -> Result<Config> {
    dir.must_exist()?;
    let path = dir.config_file();
    let text = read(&path)?;
    let mut problems = vec![];
    let node = toml::from_str::<NodeFile>(&text).unwrap_or_else(|e| {
        problems.push(Problem::from_toml(&path, &text, &e));
        NodeFile::default()
    });
    let (params, mut flaws) = super::params::resolve(dir, &node);
    if node.quarantine.keep < KEEP_FLOOR {
        let message = format!("what was moved aside must be kept for {KEEP_FLOOR} at least");
        let hint = "cleaning runs unattended because it can be undone; soon after it must still be";
        let problem = Problem::new(&path, &text, message).at("quarantine.keep");
        problems.push(problem.hint(Some(hint.into())));
    }
    let mut tasks = BTreeMap::new();
    for file in toml_files(&dir.tasks())? {
        match load_task_file(&file) {
            Ok(task) => {
                tasks.insert(task.name.clone(), task);
            }
            Err(e) if !e.places.is_empty() => problems.extend(e.places),
            Err(e) => return Err(e),
        }
    }
    // A task that does not read is there all the same, and has its own problem.
    let known: Vec<String> = toml_files(&dir.tasks())?.iter().map(|f| stem(f)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    flaws.extend(super::params::unmeasured(&params, &known));
    for flaw in flaws {
        let problem = Problem::new(&path, &text, flaw.message);
        problems.push(problem.at(&flaw.place).hint(flaw.hint));
    }
    let mut schedules = BTreeMap::new();
    for file in toml_files(&dir.schedules())? {
        match load_schedule_file(&file) {
            Ok(doc) => {
                schedules.insert(doc.name.clone(), doc);
            }
            Err(e) if !e.places.is_empty() => problems.extend(e.places),
            Err(e) => return Err(e),
        }
    }
    if !problems.is_empty() {
        return Err(bad(problems));
    }
    Ok(Config {
        node,
        text,
        path,
        params,
        tasks,
        schedules,
    })
}

/// The error that shows all `problems`.
pub fn bad(problems: Vec<Problem>) -> Error {
    let count = problems.len();
    let message = if count == 1 {
        "the configuration has a problem".to_owned()
    } else {
        format!("the configuration has {count} problems")
    };
    Error {
        exit: Exit::Config,
        message,
        hint: None,
        taken: false,
        places: problems,
    }
}

pub fn load_task_file(path: &Path) -> Result<Task> {
    parse_task(path, read(path)?)
}

/// The task that `text` is, in the file that it is or will be.
pub fn parse_task(path: &Path, text: String) -> Result<Task> {
    let one = |problem: Problem| bad(vec![problem]);
    let name =
        TaskName::new(stem(path)).map_err(|e| one(Problem::new(path, &text, e.to_string())))?;
    let file: TaskFile =
        toml::from_str(&text).map_err(|e| one(Problem::from_toml(path, &text, &e)))?;
    let limits = file.limits.resolve().map_err(|e| {
        one(Problem::new(path, &text, e.to_string()).at(&format!("limits.{}", e.limit)))
    })?;
    Ok(Task {
        name,
        path: path.to_owned(),
        text,
        file,
        limits,
    })
}

pub fn load_schedule_file(path: &Path) -> Result<ScheduleDoc> {
    parse_schedule(path, read(path)?)
}

/// The schedule that `text` is, in the file that it is or will be.
pub fn parse_schedule(path: &Path, text: String) -> Result<ScheduleDoc> {
    let one = |problem: Problem| bad(vec![problem]);
    let name =
        SlotName::new(stem(path)).map_err(|e| one(Problem::new(path, &text, e.to_string())))?;
    let file = toml::from_str(&text).map_err(|e| one(Problem::from_toml(path, &text, &e)))?;
    Ok(ScheduleDoc {
        name,
        path: path.to_owned(),
        text,
        file,
    })
}

/// What a file is called without its ending.
fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn toml_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io("read", dir, &e)),
    };
    let mut files = vec![];
    for entry in entries {
        let path = entry.map_err(|e| Error::io("read", dir, &e))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    use std::io::Read as _;
    let mut bytes = vec![];
    // What a file says of its length, a device or a pipe need not keep.
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| config_io(path, &e))?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(Error::config(format!(
            "{} is larger than {FILE_MAX_BYTES} bytes",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|_| {
        Error::config(format!("{} is not UTF-8", path.display()))
            .hint("configuration is text; was another file named?")
    })
}

fn config_io(path: &Path, e: &std::io::Error) -> Error {
    Error {
        exit: Exit::Config,
        ..Error::io("read", path, e)
    }
}

/// A file of the node directory other than its configuration, as text.
pub fn read_text(path: &Path) -> Result<String> {
    read(path)
}

/// The error for such a file when it does not parse, with its place when that is known.
pub fn bad_file(
    path: &Path,
    text: &str,
    message: &str,
    span: Option<std::ops::Range<usize>>,
) -> Error {
    bad(vec![Problem::new(path, text, message).span(span)])
}
