//! A plugin tried out in the real sandbox, on a node that is made for it and thrown away: a folder
//! with old and young files, a store with a shard that is not whole, a parameter in a file.

use crate::clock;
use crate::error::{Error, Result, chain};
use crate::new_node;
use crate::node::Node;
use crate::node_dir::{NodeDir, write_file};
use crate::pipeline::{self, Brake, Due, Silent};
use keepwell_bundle::{Against, Draft, Rule, SecretKey, Trust, TrustedKey};
use keepwell_model::capability::Capability;
use keepwell_model::event::{Call, Event, Mode};
use keepwell_model::grant::Tier;
use keepwell_model::id::Digest;
use keepwell_model::manifest::{Manifest, TaskInfo};
use keepwell_model::report::Report;
use keepwell_sandbox::Fail;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// How everything on that node is called.
const NAME: &str = "rehearsal";
/// Longest that a task may take there.
const LIMITS: &str = "[limits]\nwall = \"1m\"\ncpu = \"30s\"\n";
/// Files of the folder: their names and how old they are.
const FILES: [(&str, u64); 8] = [
    ("a.tmp", 0),
    ("b.part", 3_600),
    ("logs/app.log", 60),
    ("logs/app.log.1", 2 * DAY),
    ("cache/00/item", 5 * DAY),
    ("cache/01/item", 40 * DAY),
    ("cache/.hidden", 400 * DAY),
    ("deep/er/and/deeper/file.tmp", 90 * DAY),
];
const DAY: u64 = 86_400;

/// The node, and the tasks of the plugin on it.
pub(crate) struct Rehearsal {
    node: Node,
    tasks: Vec<String>,
    _scratch: TempDir,
}

/// One run there.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) report: Report,
    /// Calls of capabilities, in order, as many as the journal keeps.
    pub(crate) calls: Vec<Call>,
    /// It ended other than by its own word.
    pub(crate) crashed: bool,
}

impl Rehearsal {
    /// Makes the node and installs the component, signed by a key that nobody else has.
    pub(crate) fn new(component: &[u8], manifest: &Manifest) -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("keepwell-rehearsal-")
            .tempdir()
            .map_err(|e| Error::io("create", &std::env::temp_dir(), &e))?;
        let config = furnish(scratch.path())?;
        let key = SecretKey::generate(clock::random()?);
        let trust = trust(&key)?;
        let bytes = signed(component, manifest, &key)?;
        let against = Against {
            trust: &trust,
            now_ms: clock::now_ms(),
            endorsement: None,
        };
        let bundle =
            keepwell_bundle::open(&bytes, against).map_err(|e| Error::denied(chain(&e)))?;
        let dir = NodeDir::new(scratch.path().join("node"));
        new_node::create(&dir, NAME, &config, &trust, &[(bytes, bundle)])?;
        let mut tasks = vec![];
        for task in &manifest.tasks {
            let path = dir.tasks().join(format!("{}.toml", task.name));
            write_file(&path, task_file(manifest, task).as_bytes(), 0o644)?;
            tasks.push(task.name.clone());
        }
        let node = pipeline::open(dir)?;
        Ok(Self {
            node,
            tasks,
            _scratch: scratch,
        })
    }

    pub(crate) fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Looks and plans; nothing is applied.
    pub(crate) fn run(
        &mut self,
        task: &str,
        set: &[(String, serde_json::Value)],
        fail: Option<Fail>,
    ) -> Result<Tried> {
        self.node.fail = fail;
        let task = self.node.config.task(task)?;
        let due = Due::now(&self.node, task, NAME, Mode::Plan, false, set)?;
        let report = pipeline::run(&self.node, due, &mut Silent, &Brake::default())?;
        let mut calls = vec![];
        for record in self.node.reader()?.run(report.run)? {
            if let Event::Called { calls: some, .. } = record.event {
                calls.extend(some);
            }
        }
        Ok(Tried {
            crashed: pipeline::crashed(&report),
            report,
            calls,
        })
    }
}

/// Makes what is looked after, and gives the configuration that names it.
fn furnish(scratch: &Path) -> Result<String> {
    let (root, store, param) = (
        scratch.join("root"),
        scratch.join("store"),
        scratch.join("app.toml"),
    );
    let now = clock::now_ms();
    for (name, age) in FILES {
        let path = root.join(name);
        write(&path, format!("the content of {name}\n").as_bytes())?;
        let then = Duration::from_millis(now).saturating_sub(Duration::from_secs(age));
        let opened = std::fs::File::options().write(true).open(&path);
        opened
            .and_then(|file| file.set_modified(std::time::UNIX_EPOCH + then))
            .map_err(|e| Error::io("age", &path, &e))?;
    }
    let mut list = String::new();
    for (name, content, listed) in [
        ("whole", "whole\n", "whole\n"),
        ("broken", "brokem\n", "broken\n"),
    ] {
        write(&store.join(name), content.as_bytes())?;
        let _ = writeln!(list, "{}  {name}", Digest::of(listed.as_bytes()).hex());
    }
    let _ = writeln!(list, "{}  missing", Digest::of(b"missing").hex());
    write(&store.join("SHA256SUMS"), list.as_bytes())?;
    write(&param, b"[server]\nthreads = 8\n")?;
    let text = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    Ok(format!(
        "[node]\nname = \"{NAME}\"\n[roots.{NAME}]\npath = {}\n\
         [stores.{NAME}]\nkind = \"sha256sums\"\npath = {}\n\
         [params.{NAME}]\nfile = {}\nformat = \"toml\"\nkey = \"server.threads\"\n\
         type = \"integer\"\nmin = 1\nmax = 64\nstep = 1\nunit = \"threads\"\n\
         soak = \"1m\"\nrevert-after = \"1m\"\n",
        text(&root),
        text(&store),
        text(&param)
    ))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    write_file(path, bytes, 0o644)
}

/// Everything that the plugin asks for, on what there is.
fn task_file(manifest: &Manifest, task: &TaskInfo) -> String {
    let mut text = format!(
        "plugin = \"{}\"\ntask = \"{}\"\n\n{LIMITS}\n[grant]\n",
        manifest.name, task.name
    );
    for need in &task.needs {
        // No more than it asks for.
        let mut most = vec![];
        most.extend(need.max_files.map(|files| format!("max-files = {files}")));
        most.extend(
            need.max_bytes
                .map(|bytes| format!("max-bytes = \"{}B\"", bytes.0)),
        );
        most.extend(need.max_keys.map(|keys| format!("max-keys = {keys}")));
        let rule = match need.capability {
            Capability::Metrics => "{}".to_owned(),
            Capability::State => format!("{{ {} }}", most.join(", ")),
            Capability::Storage => format!("{{ roots = [\"{NAME}\"] }}"),
            Capability::StorageClean => {
                most.push(format!("roots = [\"{NAME}\"], max-share = \"100%\""));
                most.push("min-age = \"1m\", age-by = \"modified\"".to_owned());
                format!("{{ {} }}", most.join(", "))
            }
            Capability::Shards => format!("{{ stores = [\"{NAME}\"] }}"),
            Capability::ConfigRead | Capability::ConfigWrite => {
                format!("{{ params = [\"{NAME}\"] }}")
            }
        };
        let _ = writeln!(text, "{} = {rule}", need.capability);
    }
    text
}

fn trust(key: &SecretKey) -> Result<Trust> {
    let mut trust = Trust::default();
    let key = TrustedKey {
        public: key.public(),
        not_after_ms: None,
        rule: Some(Rule {
            // Its author's machine: both walls stand where the kernel has them.
            tier: Tier::Own,
            names: vec!["*".into()],
            capabilities: Capability::ALL.to_vec(),
            max: BTreeMap::new(),
            require: vec![],
        }),
    };
    trust
        .add(NAME, key)
        .map_err(|e| Error::failed(e.to_string()))?;
    Ok(trust)
}

fn signed(component: &[u8], manifest: &Manifest, key: &SecretKey) -> Result<Vec<u8>> {
    let draft = Draft {
        manifest: manifest.clone(),
        component: component.to_vec(),
        publisher: NAME.to_owned(),
        release: 1,
        issued_ms: None,
    };
    let built = keepwell_bundle::build(&draft).and_then(|bundle| bundle.unsigned());
    let bytes = built.and_then(|bytes| keepwell_bundle::add_signature(&bytes, key));
    bytes.map_err(|e| Error::denied(chain(&e)))
}
