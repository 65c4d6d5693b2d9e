//! Where installed plugins stand, and how they change: step by step, each durable before the next,
//! so that a crash leaves what was before or what was to be, and nothing in between.

use super::failpoint::failpoint;
use super::steps::{self, Intent, Step, Steps, What};
use super::{bundle_path, cache_path, compiled, endorsement_path, is_compiled, lock_text};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::node_dir::{NodeDir, make_private_dir, sync_dir, write_file};
use keepwell_bundle::{Bundle, Lock, LockEntry};
use keepwell_journal::{Filter, Journal, NodeKey};
use keepwell_model::event::{Event, Record};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// The plugins of one node, for whom changes them. Whoever has a [`Node`] holds its `plugins`
/// meanwhile: one change at a time.
#[derive(Debug)]
pub struct Shelf<'a> {
    pub dir: &'a NodeDir,
    pub key: &'a NodeKey,
    pub journal: &'a Journal,
    /// For whom, as the journal names them.
    pub actor: String,
    pub now_ms: u64,
}

/// What is to become of them.
#[derive(Debug)]
pub struct Change<'a> {
    pub what: What,
    /// The version that it is about.
    pub entry: LockEntry,
    /// The next lock.
    pub lock: Lock,
    /// To be stored, if its bytes are here, and compiled unless it is held.
    pub add: Option<Add<'a>>,
    pub events: Vec<Event>,
}

/// A bundle on its way in.
#[derive(Debug, Clone, Copy)]
pub struct Add<'a> {
    pub bundle: &'a Bundle,
    /// To be stored; `None` when it lies among the plugins already.
    pub bytes: Option<&'a [u8]>,
    /// The site's, where there is one.
    pub endorsement: Option<&'a [u8]>,
}

impl<'a> Add<'a> {
    /// It is stored, and may have to be compiled.
    pub const fn compiled(bundle: &'a Bundle) -> Self {
        Self {
            bundle,
            bytes: None,
            endorsement: None,
        }
    }
}

impl<'a> Shelf<'a> {
    pub fn of(node: &'a Node) -> Self {
        Self {
            dir: &node.dir,
            key: &node.key,
            journal: &node.journal,
            actor: node.actor.clone(),
            now_ms: node.clock.now_ms(),
        }
    }

    /// Makes the change, or leaves everything as it was and says why. An error after the journal was
    /// told says so: the next change, or the next start, finishes it.
    pub fn change(&self, change: &Change<'_>) -> Result<()> {
        self.settle()?;
        let intent = self.intent(change)?;
        let mut steps = Steps::begin(self.dir, &intent)?;
        failpoint("begun");
        if let Err(e) = self.prepare(change, &intent, &mut steps) {
            // What cannot be taken back now is by the next start.
            if let Err(later) = self.take_back(&intent) {
                crate::talk::say(&format!("what was begun is taken back later: {later}"));
            }
            return Err(e);
        }
        self.finish(&intent, &[], Some(&mut steps)).map_err(|e| {
            let exit = e.exit;
            let hint = "it is finished by the next command that opens the node";
            Error::new(exit, format!("{}; what was begun is not lost", e.message)).hint(hint)
        })
    }

    /// Installs a bundle where its plugin has no version yet.
    pub fn first(&self, bundle: &Bundle, bytes: &[u8]) -> Result<()> {
        let mut lock = super::lock(self.dir)?;
        let entry = LockEntry::of(bundle, self.now_ms);
        lock.insert(entry.clone());
        lock.activate(&entry.name, &entry.version);
        self.change(&Change {
            what: What::Install,
            entry,
            lock,
            add: Some(Add {
                bundle,
                bytes: Some(bytes),
                endorsement: None,
            }),
            events: vec![crate::api::installed_event(bundle)],
        })
    }

    fn intent(&self, change: &Change<'_>) -> Result<Intent> {
        let before = super::lock(self.dir)?;
        let mut made = vec![];
        if let Some(add) = &change.add {
            let known = before.entries().iter().any(|e| same_file(e, &change.entry));
            if add.bytes.is_some() && !known {
                made.extend(plugin_names(&change.entry));
            }
            if !cache_path(self.dir, add.bundle.component_digest).exists() {
                made.push(cache_name(&change.entry));
            }
        }
        Ok(Intent {
            what: change.what,
            plugin: change.entry.name.to_string(),
            version: change.entry.version.clone(),
            actor: self.actor.clone(),
            entries: self.journal.reader()?.size()?,
            made,
            gone: unneeded(&before, &change.lock),
            events: change.events.clone(),
            lock: lock_text(self.key, &change.lock)?,
        })
    }

    /// All that can fail for want of room, before anything counts.
    fn prepare(&self, change: &Change<'_>, intent: &Intent, steps: &mut Steps) -> Result<()> {
        if let Some(add) = &change.add {
            if change.what != What::Hold && !is_compiled(self.dir, self.key, add.bundle) {
                compiled(self.dir, self.key, add.bundle)?;
            }
            self.did(steps, Step::Compiled)?;
            make_private_dir(&self.dir.plugins())?;
            if let Some(endorsement) = add.endorsement {
                let path = endorsement_path(self.dir, &change.entry);
                write_file(&path, endorsement, 0o600)?;
            }
            if let Some(bytes) = add.bytes {
                write_file(&bundle_path(self.dir, &change.entry), bytes, 0o600)?;
            }
            self.did(steps, Step::Stored)?;
        }
        write_file(&self.next(), intent.lock.as_bytes(), 0o644)?;
        self.did(steps, Step::Prepared)
    }

    fn did(&self, steps: &mut Steps, step: Step) -> Result<()> {
        steps.did(step)?;
        failpoint(step.as_str());
        Ok(())
    }

    /// From the prepared lock to the end. `known` is what the journal was told already.
    fn finish(&self, intent: &Intent, known: &[Event], steps: Option<&mut Steps>) -> Result<()> {
        for event in intent.events.iter().filter(|e| !known.contains(e)) {
            self.journal.commit(self.record(intent, event.clone()))?;
            failpoint("telling");
        }
        let mut steps = steps;
        let mut did = |step| match steps.as_mut() {
            Some(steps) => self.did(steps, step),
            None => Ok(()),
        };
        did(Step::Told)?;
        self.switch(intent)?;
        did(Step::Switched)?;
        for name in &intent.gone {
            if let Some(path) = steps::place(self.dir, name) {
                steps::gone(&path)?;
            }
        }
        did(Step::Cleared)?;
        self.journal.checkpoint()?;
        steps::end(self.dir)
    }

    /// One rename, for which there is room on a full disk too.
    fn switch(&self, intent: &Intent) -> Result<()> {
        let (next, path) = (self.next(), self.dir.lock_file());
        let is = |path: &PathBuf| std::fs::read(path).is_ok_and(|b| b == intent.lock.as_bytes());
        if is(&path) {
            return steps::gone(&next);
        }
        if !is(&next) {
            return write_file(&path, intent.lock.as_bytes(), 0o644);
        }
        std::fs::rename(&next, &path).map_err(|e| Error::io("replace", &path, &e))?;
        sync_dir(self.dir.path()).map_err(|e| Error::io("sync", self.dir.path(), &e))
    }

    fn next(&self) -> PathBuf {
        self.dir.path().join("plugins.lock.next")
    }

    fn record(&self, intent: &Intent, event: Event) -> Record {
        Record {
            at: self.now_ms,
            run: None,
            task: None,
            actor: intent.actor.clone(),
            event,
        }
    }

    /// Nothing of it stays.
    fn take_back(&self, intent: &Intent) -> Result<()> {
        for name in &intent.made {
            if let Some(path) = steps::place(self.dir, name) {
                steps::gone(&path)?;
            }
        }
        steps::gone(&self.next())?;
        steps::end(self.dir)
    }

    /// Ends a change that was cut off: finishes what the journal was told of, takes back the rest.
    pub fn settle(&self) -> Result<()> {
        let path = steps::path(self.dir);
        let Some((intent, step)) = steps::left(self.dir)? else {
            // Cut off while it was written down.
            return steps::gone(&path);
        };
        // What was asked of the journal and is not answered yet must not come through afterwards.
        self.journal.flush()?;
        let known = self.told(&intent)?;
        let finished = known.iter().any(|event| intent.events.contains(event));
        let cut_off = Event::PluginCutOff {
            plugin: intent.plugin.clone(),
            version: intent.version.clone(),
            change: intent.what.as_str().to_owned(),
            step: step.as_str().to_owned(),
            finished,
        };
        let became = if finished { "finished" } else { "taken back" };
        crate::talk::say(&format!(
            "a change of plugin {}@{} ({}) was cut off when {step}: {became}",
            intent.plugin,
            intent.version,
            intent.what.as_str()
        ));
        if !known.contains(&cut_off) {
            self.journal.commit(Record {
                actor: "host".into(),
                ..self.record(&intent, cut_off)
            })?;
        }
        if finished {
            self.finish(&intent, &known, None)
        } else {
            self.take_back(&intent)
        }
    }

    /// What the node's journal knows of it.
    fn told(&self, intent: &Intent) -> Result<Vec<Event>> {
        let mut kinds: Vec<String> = intent.events.iter().map(|e| e.kind().to_owned()).collect();
        kinds.push("plugin-cut-off".to_owned());
        let filter = Filter {
            kinds,
            after_index: intent.entries.checked_sub(1),
            ..Filter::default()
        };
        let mut told = vec![];
        let reader = self.journal.reader()?;
        reader.records(&filter, &mut |_, record| {
            told.push(record.event);
            ControlFlow::Continue(())
        })?;
        Ok(told)
    }

    /// Writes the lock anew where no file and no version changes.
    pub fn note(&self, lock: &Lock) -> Result<()> {
        let text = lock_text(self.key, lock)?;
        write_file(&self.dir.lock_file(), text.as_bytes(), 0o644)
    }
}

fn same_file(a: &LockEntry, b: &LockEntry) -> bool {
    a.name == b.name && a.version == b.version
}

/// A bundle and its endorsement, which need not be there.
fn plugin_names(entry: &LockEntry) -> [String; 2] {
    let stem = format!("plugins/{}-{}", entry.name, entry.version);
    [format!("{stem}.kwb"), format!("{stem}.kwe")]
}

fn cache_name(entry: &LockEntry) -> String {
    let key = keepwell_sandbox::cache_key(entry.component);
    format!("cache/{key}.cwasm")
}

/// Files that the lock before needs and the next one does not.
fn unneeded(before: &Lock, next: &Lock) -> Vec<String> {
    let files = |lock: &Lock| -> BTreeSet<String> {
        let each = lock.entries().iter();
        let names = |e: &LockEntry| {
            let [bundle, endorsement] = plugin_names(e);
            [bundle, endorsement, cache_name(e)]
        };
        each.flat_map(names).collect()
    };
    files(before).difference(&files(next)).cloned().collect()
}
