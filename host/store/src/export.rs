//! An object on its way out: group by group, each from whatever shards of it are good.

use crate::codec;
use crate::error::{Error, Result};
use crate::format::Store;
use crate::manifest::{Manifest, Object, ObjectKind};
use crate::sum::Hasher;
use crate::tree;
use keepwell_model::store::State;
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// An object that is there, and its groups in order.
#[derive(Debug, Clone)]
pub struct Listed {
    pub object: Object,
    pub groups: Vec<Manifest>,
}

impl Listed {
    /// Where a group is missing, if one is: they must cover the object without a gap.
    fn gap(&self) -> Option<u64> {
        let mut end = 0;
        for group in &self.groups {
            if group.offset != end {
                return Some(end);
            }
            end += group.len;
        }
        (end != self.object.size).then_some(end)
    }

    pub fn is_complete(&self) -> bool {
        self.gap().is_none()
    }
}

/// What an export found on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    pub bytes: u64,
    pub groups: u64,
    /// Shards that were read and not good; what they held was made anew from others.
    pub bad_shards: u64,
}

impl Store {
    /// All objects by their manifests, and what is wrong with manifests that are none.
    pub fn objects(&self) -> Result<(Vec<Listed>, Vec<Error>)> {
        let manifests = self.manifests()?;
        let mut all: Vec<Listed> = vec![];
        for group in manifests.all {
            match all.last_mut().filter(|it| it.object == group.object) {
                Some(listed) => listed.groups.push(group),
                None => all.push(Listed {
                    object: group.object.clone(),
                    groups: vec![group],
                }),
            }
        }
        all.sort_by(|a, b| a.object.name.cmp(&b.object.name));
        let wrong = manifests.wrong.into_iter().map(|(_, e)| e);
        Ok((all, wrong.collect()))
    }

    /// The object of that name or id.
    pub fn object(&self, wanted: &str) -> Result<Listed> {
        let (all, _) = self.objects()?;
        all.into_iter()
            .find(|it| it.object.name == wanted || it.object.id.to_string() == wanted)
            .ok_or_else(|| Error::NoObject(wanted.to_owned()))
    }

    /// Writes an object to where nothing is yet. It has its name only once all of it is there and
    /// its digest is right; `told` hears of each group's bytes.
    pub fn export(
        &self,
        listed: &Listed,
        to: &Path,
        told: &mut dyn FnMut(u64),
    ) -> Result<Exported> {
        if to.symlink_metadata().is_ok() {
            return Err(Error::Exists(to.to_owned()));
        }
        let partial = partial(to);
        if partial.symlink_metadata().is_ok() {
            return Err(Error::Exists(partial));
        }
        let mut reader = self.reader(listed, told)?;
        let done = write(&mut reader, listed.object.kind, &partial);
        let exported = reader.exported;
        if let Err(e) = done {
            // A half file is of no use; a half tree stays under its name for a person to look at.
            if listed.object.kind == ObjectKind::File {
                let _ = std::fs::remove_file(&partial);
            }
            return Err(e);
        }
        std::fs::rename(&partial, to).map_err(Error::io("name", to))?;
        Ok(exported)
    }

    fn reader<'a>(&'a self, listed: &Listed, told: &'a mut dyn FnMut(u64)) -> Result<Reader<'a>> {
        if let Some(at) = listed.gap() {
            return Err(Error::Incomplete {
                group: format!("at byte {at}"),
            });
        }
        Ok(Reader {
            store: self,
            object: listed.object.clone(),
            groups: listed.groups.clone().into(),
            hasher: Some(self.hash.hasher()),
            data: vec![],
            at: 0,
            exported: Exported::default(),
            told,
        })
    }
}

fn write(reader: &mut Reader<'_>, kind: ObjectKind, to: &Path) -> Result<()> {
    match kind {
        ObjectKind::Tree => tree::read_tree(reader, to),
        ObjectKind::File => {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options.open(to).map_err(Error::io("create", to))?;
            io::copy(reader, &mut file).map_err(|e| tree::inner(e, to))?;
            file.sync_all().map_err(Error::io("write", to))
        }
    }
}

fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

/// The bytes of an object; its end is an error when its digest is another.
struct Reader<'a> {
    store: &'a Store,
    object: Object,
    groups: VecDeque<Manifest>,
    hasher: Option<Hasher>,
    data: Vec<u8>,
    at: usize,
    exported: Exported,
    told: &'a mut dyn FnMut(u64),
}

impl Reader<'_> {
    fn next_group(&mut self, group: &Manifest) -> Result<()> {
        let (k, mut some) = (group.scheme.k(), vec![]);
        for shard in &group.shards {
            if some.len() == k {
                break;
            }
            match self.store.check(shard) {
                (State::Ok, Some(payload)) => some.push((usize::from(shard.index), payload)),
                _ => self.exported.bad_shards += 1,
            }
        }
        if some.len() < k {
            return Err(Error::Lost {
                group: group.group.to_string(),
                good: some.len(),
                needed: k,
            });
        }
        self.data = codec::data_of(&some, group.scheme)?.concat();
        let len = usize::try_from(group.len).unwrap_or(usize::MAX);
        if self.data.len() < len {
            return Err(Error::damaged(
                format!("group {}", group.group),
                "its shards hold less than its manifest says",
            ));
        }
        self.data.truncate(len);
        self.at = 0;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.data);
        }
        self.exported.groups += 1;
        self.exported.bytes += group.len;
        (self.told)(group.len);
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.data.len() {
            let Some(group) = self.groups.pop_front() else {
                let sum = self.hasher.take().map(Hasher::end);
                if sum.is_some_and(|sum| sum != self.object.digest) {
                    let what = format!("object `{}`", self.object.name);
                    let why = "its digest is not that of its manifest";
                    return Err(io::Error::other(Error::damaged(what, why)));
                }
                return Ok(0);
            };
            self.next_group(&group).map_err(io::Error::other)?;
        }
        let rest = &self.data[self.at..];
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        self.at += read;
        Ok(read)
    }
}
