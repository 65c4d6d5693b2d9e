//! A plan on disk: written line by line while the guest proposes, sealed by its digest, read back
//! a batch at a time. A million actions are never in memory.

use crate::error::{Error, Result};
use keepwell_model::action::{Action, PlanHeader};
use keepwell_model::capability::Class;
use keepwell_model::id::{Digest, RootName};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The longest line of a plan: a path of 4,096 bytes, each escaped to three, and the rest.
const LINE_MAX_BYTES: u64 = 16 << 10;

/// A plan being written.
#[derive(Debug)]
pub(super) struct PlanWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
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
    pub worst: Class,
    /// Entries taken of each root.
    pub per_root: BTreeMap<RootName, u64>,
}

impl PlanWriter {
    /// A new plan in `dir`, which is made if need be.
    pub(super) fn create(dir: &Path, header: &PlanHeader) -> Result<Self> {
        crate::node_dir::make_private_dir(dir)?;
        let path = dir.join("plan.jsonl");
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| Error::io("create", &path, &e))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(256 << 10, file),
            hash: Sha256::new(),
            line: Vec::with_capacity(512),
            plan: SealedPlan {
                path: path.clone(),
                digest: Digest::of(b""),
                actions: 0,
                files: 0,
                bytes: 0,
                worst: Class::Read,
                per_root: BTreeMap::new(),
            },
            path,
        };
        writer.write(header)?;
        Ok(writer)
    }

    pub(super) fn actions(&self) -> u64 {
        self.plan.actions
    }

    pub(super) fn push(&mut self, action: &Action) -> Result<()> {
        let price = action.change.price();
        self.write(action)?;
        let plan = &mut self.plan;
        plan.actions += 1;
        plan.files += price.files;
        plan.bytes += price.bytes;
        plan.worst = plan.worst.max(action.change.class());
        match plan.per_root.get_mut(action.change.root()) {
            Some(taken) => *taken += price.files,
            None => {
                plan.per_root
                    .insert(action.change.root().clone(), price.files);
            }
        }
        Ok(())
    }

    fn write(&mut self, value: &impl serde::Serialize) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)
            .map_err(|e| Error::failed(format!("cannot encode an action: {e}")))?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.file
            .write_all(&self.line)
            .map_err(|e| Error::io("write", &self.path, &e))
    }

    /// Everything on disk, and the digest.
    pub(super) fn seal(mut self) -> Result<SealedPlan> {
        let sync = |file: &mut BufWriter<File>| {
            file.flush()?;
            file.get_ref().sync_all()
        };
        sync(&mut self.file).map_err(|e| Error::io("write", &self.path, &e))?;
        self.plan.digest = Digest::from_bytes(self.hash.finalize().into());
        Ok(self.plan)
    }
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
        let file = BufReader::with_capacity(256 << 10, File::open(path).map_err(io)?);
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
