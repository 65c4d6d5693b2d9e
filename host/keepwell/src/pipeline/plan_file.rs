//! A plan on disk: written line by line while the guest proposes, sealed by its digest, read back
//! a batch at a time. A million actions are never in memory.

use crate::error::{Error, Result};
use keepwell_model::action::{Action, Change, PlanHeader, Price};
use keepwell_model::gate::Effect;
use keepwell_model::id::{Digest, RootName};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The longest line of a plan: a path of 4,096 bytes, each escaped to three, and the rest.
const LINE_MAX_BYTES: u64 = 16 << 10;

/// A plan being written. Its file is made with the first action: most tasks only look.
#[derive(Debug)]
pub(super) struct PlanWriter {
    dir: PathBuf,
    file: Option<BufWriter<File>>,
    hash: Sha256,
    header: Vec<u8>,
    line: Vec<u8>,
    plan: SealedPlan,
}

/// A finished plan: what it is, and where.
#[derive(Debug, Clone)]
pub struct SealedPlan {
    pub path: PathBuf,
    pub digest: Digest,
    pub actions: u64,
    pub files: u64,
    pub bytes: u64,
    /// Each kind of thing it does, once.
    pub effects: BTreeSet<Effect>,
    /// Entries taken of each root.
    pub per_root: BTreeMap<RootName, u64>,
}

impl SealedPlan {
    fn empty(path: PathBuf) -> Self {
        Self {
            path,
            digest: Digest::of(b""),
            actions: 0,
            files: 0,
            bytes: 0,
            effects: BTreeSet::new(),
            per_root: BTreeMap::new(),
        }
    }

    /// One that was sealed before, if it is still that one.
    pub(super) fn reopen(path: &Path, digest: Digest) -> Result<Self> {
        let mut reader = PlanReader::open(path, digest)?;
        let mut plan = Self::empty(path.to_owned());
        plan.digest = digest;
        while let Some(action) = reader.next_action()? {
            plan.count(&action.change, action.change.price());
        }
        Ok(plan)
    }

    fn count(&mut self, change: &Change, price: Price) {
        self.actions += 1;
        self.files += price.files;
        self.bytes += price.bytes;
        self.effects.insert(Effect::of(change));
        let Some(root) = change.root() else {
            return;
        };
        match self.per_root.get_mut(root) {
            Some(taken) => *taken += price.files,
            None => {
                self.per_root.insert(root.clone(), price.files);
            }
        }
    }
}

impl PlanWriter {
    /// A new plan in `dir`, which is made if need be.
    pub(super) fn new(dir: &Path, header: &PlanHeader) -> Result<Self> {
        let header = encode(Vec::new(), header)?;
        Ok(Self {
            dir: dir.to_owned(),
            file: None,
            hash: Sha256::new_with_prefix(&header),
            header,
            line: Vec::with_capacity(512),
            plan: SealedPlan::empty(dir.join("plan.jsonl")),
        })
    }

    pub(super) fn actions(&self) -> u64 {
        self.plan.actions
    }

    pub(super) fn push(&mut self, action: &Action) -> Result<()> {
        let price = action.change.price();
        self.line = encode(std::mem::take(&mut self.line), action)?;
        self.hash.update(&self.line);
        let file = match &mut self.file {
            Some(file) => file,
            None => self
                .file
                .insert(create(&self.dir, &self.plan.path, &self.header)?),
        };
        file.write_all(&self.line)
            .map_err(|e| Error::io("write", &self.plan.path, &e))?;
        self.plan.count(&action.change, price);
        Ok(())
    }

    /// Everything on disk, and the digest.
    pub(super) fn seal(mut self) -> Result<SealedPlan> {
        if let Some(file) = &mut self.file {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(|e| Error::io("write", &self.plan.path, &e))?;
        }
        self.plan.digest = Digest::from_bytes(self.hash.finalize().into());
        Ok(self.plan)
    }
}

/// One line of the canonical encoding, in the memory of the line before it.
fn encode(mut line: Vec<u8>, value: &impl serde::Serialize) -> Result<Vec<u8>> {
    line.clear();
    serde_json::to_writer(&mut line, value)
        .map_err(|e| Error::failed(format!("cannot encode an action: {e}")))?;
    line.push(b'\n');
    Ok(line)
}

fn create(dir: &Path, path: &Path, header: &[u8]) -> Result<BufWriter<File>> {
    crate::node_dir::make_private_dir(dir)?;
    let open = || -> std::io::Result<BufWriter<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut file = BufWriter::with_capacity(256 << 10, file);
        file.write_all(header)?;
        Ok(file)
    };
    open().map_err(|e| Error::io("create", path, &e))
}

/// Reads a sealed plan, action by action, checking the digest first.
#[derive(Debug)]
pub struct PlanReader {
    path: PathBuf,
    file: BufReader<File>,
    pub header: PlanHeader,
    line: Vec<u8>,
}

impl PlanReader {
    /// Opens the plan at `path` if it still has `digest`.
    pub fn open(path: &Path, digest: Digest) -> Result<Self> {
        let io = |e: std::io::Error| Error::io("read", path, &e);
        let mut file = File::open(path).map_err(io)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = file.read(&mut buffer).map_err(io)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
        }
        if Digest::from_bytes(hash.finalize().into()) != digest {
            return Err(Error::denied(format!(
                "the plan at {} is not the one that was sealed",
                path.display()
            ))
            .hint("somebody changed the file; nothing was done"));
        }
        // The same file that was hashed, whatever the name means by now.
        file.rewind().map_err(io)?;
        let file = BufReader::with_capacity(256 << 10, file);
        let mut reader = Self {
            path: path.to_owned(),
            file,
            header: PlanHeader {
                plan: 0,
                task: String::new(),
                component: digest,
                grant: digest,
                settings: digest,
            },
            line: vec![],
        };
        reader.header = reader
            .parse_line()?
            .ok_or_else(|| Error::failed(format!("the plan at {} is empty", path.display())))?;
        Ok(reader)
    }

    fn parse_line<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.line.clear();
        let n = (&mut self.file)
            .take(LINE_MAX_BYTES)
            .read_until(b'\n', &mut self.line)
            .map_err(|e| Error::io("read", &self.path, &e))?;
        if n == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&self.line)
            .map(Some)
            .map_err(|e| Error::failed(format!("{}: bad line: {e}", self.path.display())))
    }

    /// The next action; `None` at the end.
    pub fn next_action(&mut self) -> Result<Option<Action>> {
        self.parse_line()
    }

    /// At most `max` actions.
    pub fn batch(&mut self, max: usize) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        while actions.len() < max {
            match self.next_action()? {
                Some(action) => actions.push(action),
                None => break,
            }
        }
        Ok(actions)
    }

    /// Where the next action stands in the file.
    pub(super) fn place(&mut self) -> Result<u64> {
        let place = self.file.stream_position();
        place.map_err(|e| Error::io("read", &self.path, &e))
    }

    /// Goes on from a [`Self::place`].
    pub(super) fn go_to(&mut self, place: u64) -> Result<()> {
        let gone = self.file.seek(std::io::SeekFrom::Start(place));
        gone.map(drop)
            .map_err(|e| Error::io("read", &self.path, &e))
    }

    /// Leaves out the actions before `id`.
    pub fn skip_to(&mut self, id: u64) -> Result<()> {
        for _ in 0..id {
            if self.next_action()?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::action::{EntryKind, Identity, RelPath};

    fn action(id: u64) -> Action {
        let identity = Identity {
            device: 1,
            inode: id,
            size: 10,
            mtime_ns: 0,
            ctime_ns: 0,
        };
        Action {
            id,
            change: Change::Quarantine {
                root: RootName::new("tmp").unwrap(),
                path: RelPath::new(format!("f{id}")).unwrap(),
                kind: EntryKind::File,
                identity,
            },
            reason: "old".into(),
        }
    }

    fn header() -> PlanHeader {
        let digest = Digest::of(b"");
        PlanHeader {
            plan: 1,
            task: "t".into(),
            component: digest,
            grant: digest,
            settings: digest,
        }
    }

    fn sealed(dir: &Path) -> SealedPlan {
        let mut writer = PlanWriter::new(dir, &header()).unwrap();
        for id in 0..5 {
            writer.push(&action(id)).unwrap();
        }
        writer.seal().unwrap()
    }

    #[test]
    fn read_back_as_written_and_its_digest_is_that_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let plan = sealed(dir.path());
        assert_eq!((plan.actions, plan.files, plan.bytes), (5, 5, 50));
        assert_eq!(Digest::of(&std::fs::read(&plan.path).unwrap()), plan.digest);
        let mut reader = PlanReader::open(&plan.path, plan.digest).unwrap();
        reader.skip_to(2).unwrap();
        assert_eq!(reader.batch(10).unwrap(), [action(2), action(3), action(4)]);
    }

    #[test]
    fn a_plan_that_was_changed_after_it_was_sealed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let plan = sealed(dir.path());
        let text = std::fs::read_to_string(&plan.path).unwrap();
        std::fs::write(&plan.path, text.replace("f3", "f9")).unwrap();
        let error = PlanReader::open(&plan.path, plan.digest).unwrap_err();
        assert_eq!(error.exit, keepwell_model::state::Exit::Denied);
    }

    #[test]
    fn a_plan_without_actions_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let plan = PlanWriter::new(dir.path(), &header())
            .unwrap()
            .seal()
            .unwrap();
        assert!(!plan.path.exists());
    }
}
