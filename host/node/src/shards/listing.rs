//! A store's shards, least recently verified first, and what is odd about them.

use super::SHARDS_MAX;
use super::anomaly::{After, Anomalies, Anomaly, remember};
use super::digest::Sum;
use super::files;
use super::kinds::{Named, Stranger};
use super::layout::{self, Expected, Place};
use super::name;
use super::store::Store;
use super::walk::{self, Entry, Then};
use globset::GlobSet;
use keepwell_model::store::{Remembered, State, Verdict};
use keepwell_model::words::Refusal;
use std::collections::HashMap;

/// Which shards to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListSelector {
    /// On the shard's name; empty means all. `*` stays within a directory, `**` does not.
    pub globs: Vec<String>,
    /// Only shards not verified since then, in milliseconds since the Unix epoch; 0 means all.
    pub not_verified_since_ms: u64,
}

/// One shard of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The path in the store; bytes that are not printable UTF-8 are written `\xNN`.
    pub name: String,
    /// Length of its file when it was listed.
    pub bytes: u64,
    /// Milliseconds since the Unix epoch of the last verdict `ok`; `None`: never.
    pub verified_ms: Option<u64>,
    pub(super) inode: u64,
    pub(super) expected: Expected,
    pub(super) size: Size,
    /// Whether the store itself names it, so that its absence is `missing` and not `vanished`.
    pub(super) named: bool,
}

/// What is known of a shard's size before reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Unknown,
    /// Another size is damage.
    Exactly(u64),
    /// What it was when last verified; the shard may have been written anew since.
    Once(u64),
}

/// What a store holds, as far as a selector admits it.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) shards: Vec<Listed>,
    pub(super) anomalies: Vec<Anomaly>,
    /// Digests of all shards, admitted or not, sorted: whose bytes a misplaced one may be.
    pub(super) known: Vec<Sum>,
}

impl Listing {
    /// Least recently verified first, never verified before all; then as they lie on the disk.
    pub fn shards(&self) -> &[Listed] {
        &self.shards
    }

    /// Verdicts that need no reading: `extra`, `missing`, `vanished`, `stale-temp`, `misplaced`
    /// (a file in another's directory), `unreadable`, `unverifiable`.
    pub fn anomalies(&self) -> impl ExactSizeIterator<Item = &Verdict> {
        self.anomalies.iter().map(|a| &a.verdict)
    }
}

impl Store {
    /// Lists what is there and compares it with what the store names and what the host remembers.
    /// Refusals: `gone`, `invalid` (a glob, a line of the list), `limit`, `io`.
    pub fn list(
        &self,
        remembered: &[Remembered],
        selector: &ListSelector,
    ) -> Result<Listing, Refusal> {
        self.check_present()?;
        let globs = layout::globs("selector", &selector.globs)
            .map_err(|why| Refusal::invalid(why.to_string()))?;
        let mut lister = Lister {
            store: self,
            globs: (!selector.globs.is_empty()).then_some(globs),
            since_ms: selector.not_verified_since_ms,
            before: remembered.iter().map(|r| (r.shard.as_str(), r)).collect(),
            named: HashMap::new(),
            listing: Listing::default(),
            odd: Anomalies::default(),
            blind: vec![],
            seen: 0,
        };
        lister.read_names()?;
        walk::walk(self.root(), &mut |path, entry| lister.visit(path, entry))?;
        lister.finish(remembered)
    }
}

struct Lister<'a> {
    store: &'a Store,
    globs: Option<GlobSet>,
    since_ms: u64,
    /// What is remembered and was not seen yet.
    before: HashMap<&'a str, &'a Remembered>,
    /// What the store itself names and was not seen yet.
    named: HashMap<String, Named>,
    listing: Listing,
    odd: Anomalies,
    /// Directories that could not be read, with a slash: of what lies below, nothing is said.
    blind: Vec<String>,
    seen: usize,
}

impl Lister<'_> {
    fn read_names(&mut self) -> Result<(), Refusal> {
        let names = self.store.kind.names(self.store.root())?;
        self.named = names.named;
        for t in names.troubles {
            let detail = t.detail.unwrap_or_default();
            self.odd
                .add(&t.shard, t.state, t.bytes, &detail, After::Nothing);
        }
        Ok(())
    }

    fn admits(&self, name: &str) -> bool {
        self.globs.as_ref().is_none_or(|g| g.is_match(name))
    }

    fn place(&self, path: &[u8], name: &str) -> Place {
        match &self.store.layout {
            Some(layout) => layout.place(path, name),
            None => match self.named.get(name) {
                Some(named) => Place::Shard(named.expected),
                None => Place::Extra,
            },
        }
    }

    fn visit(&mut self, path: &[u8], entry: Entry) -> Result<Then, Refusal> {
        let name = name::escape(path);
        let place = self.place(path, &name);
        match entry {
            Entry::File { bytes, inode } => return self.file(name, place, bytes, inode),
            Entry::Directory => match place {
                Place::Shard(expected) => {
                    self.not_a_file(&name, expected, "a directory in a shard's place");
                }
                Place::Ignored => {}
                Place::Misplaced { .. } | Place::Temporary | Place::Extra => {
                    return Ok(Then::Enter);
                }
            },
            Entry::Blind(errno) if path.is_empty() => {
                return Err(Refusal::io(format!(
                    "cannot read the store's directory: {}",
                    files::in_words(errno)
                )));
            }
            Entry::Blind(errno) => {
                if place != Place::Ignored {
                    let why = files::in_words(errno);
                    self.blind(&name, &format!("the directory cannot be read: {why}"));
                }
            }
            Entry::TooDeep => self.blind(&name, "directories nest too deep to be a store's"),
            Entry::Other(kind) => {
                let what = files::kind_in_words(kind);
                match place {
                    Place::Shard(expected) => {
                        let detail = format!("{what}, in a shard's place");
                        self.not_a_file(&name, expected, &detail);
                    }
                    Place::Ignored => {}
                    Place::Misplaced { .. } | Place::Temporary => {
                        self.odd(&name, State::Extra, 0, what);
                    }
                    Place::Extra => self.stranger(&name, 0, what),
                }
            }
            Entry::Unseen(errno) => {
                let why = files::in_words(errno);
                if let Place::Shard(expected) = place {
                    self.not_a_file(&name, expected, &why);
                } else {
                    self.odd(&name, State::Unreadable, 0, &why);
                }
            }
        }
        Ok(Then::Skip)
    }

    fn file(
        &mut self,
        name: String,
        place: Place,
        bytes: u64,
        inode: u64,
    ) -> Result<Then, Refusal> {
        match place {
            Place::Shard(expected) => self.shard(name, expected, bytes, inode)?,
            Place::Misplaced { belongs } => {
                let detail = format!("it lies in another's directory and belongs at `{belongs}`");
                self.odd(&name, State::Misplaced, bytes, &detail);
            }
            Place::Ignored => {}
            Place::Temporary => {
                self.odd(
                    &name,
                    State::StaleTemp,
                    bytes,
                    "left by an interrupted writer, or one at work",
                );
            }
            Place::Extra => self.stranger(&name, bytes, ""),
        }
        Ok(Then::Skip)
    }

    /// What fits no rule.
    fn stranger(&mut self, name: &str, bytes: u64, detail: &str) {
        match self.store.kind.stranger(name) {
            Stranger::Extra => self.odd(name, State::Extra, bytes, detail),
            Stranger::Unverifiable(why) => self.odd(name, State::Unverifiable, bytes, why),
            Stranger::Ignored => {}
        }
    }

    fn shard(
        &mut self,
        name: String,
        expected: Expected,
        bytes: u64,
        inode: u64,
    ) -> Result<(), Refusal> {
        self.seen += 1;
        if self.seen > SHARDS_MAX {
            return Err(
                Refusal::limit(format!("the store has more than {SHARDS_MAX} shards"))
                    .hint("split it into several `[stores]`, one for each part"),
            );
        }
        let before = self.before.remove(name.as_str());
        let named = self.named.remove(&name);
        self.listing.known.extend(expected.sum());
        let verified_ms = before.and_then(|r| r.verified_ms);
        let due = self.since_ms == 0 || verified_ms.is_none_or(|at| at < self.since_ms);
        if !due || !self.admits(&name) {
            return Ok(());
        }
        // A list may be written anew, with another digest for the same name.
        let sizes_hold = self.store.layout.is_some() && expected.size_holds();
        let is_named = named.is_some();
        let size = match (named.and_then(|named| named.bytes), before) {
            (Some(bytes), _) => Size::Exactly(bytes),
            // Only what was once verified had the right size.
            (_, Some(r)) if r.verified_ms.is_some() && sizes_hold => Size::Exactly(r.bytes),
            (_, Some(r)) if r.verified_ms.is_some() => Size::Once(r.bytes),
            (_, Some(_) | None) => Size::Unknown,
        };
        self.listing.shards.push(Listed {
            name,
            bytes,
            verified_ms,
            inode,
            expected,
            size,
            named: is_named,
        });
        Ok(())
    }

    /// A shard's place that holds no file.
    fn not_a_file(&mut self, name: &str, expected: Expected, detail: &str) {
        let before = self.before.remove(name);
        self.named.remove(name);
        self.listing.known.extend(expected.sum());
        if self.admits(name) {
            let after = remember(name, before, State::Unreadable);
            self.odd.add(name, State::Unreadable, 0, detail, after);
        }
    }

    fn blind(&mut self, name: &str, detail: &str) {
        let name = format!("{name}/");
        self.odd
            .add(&name, State::Unreadable, 0, detail, After::Nothing);
        self.blind.push(name);
    }

    fn odd(&mut self, name: &str, state: State, bytes: u64, detail: &str) {
        if self.admits(name) {
            self.odd.add(name, state, bytes, detail, After::Nothing);
        }
    }

    fn finish(mut self, remembered: &[Remembered]) -> Result<Listing, Refusal> {
        let mut ever = remembered.iter().filter(|r| r.state != State::Missing);
        let may_empty = self.store.kind.may_empty();
        if self.seen == 0 && !may_empty && self.blind.is_empty() && ever.next().is_some() {
            return Err(Refusal::gone(format!(
                "the store holds no shard, and {} were seen before",
                remembered.len()
            ))
            .hint(
                "is the right file system mounted? if it was emptied on purpose, forget the store",
            ));
        }
        let blind = std::mem::take(&mut self.blind);
        let unseen = |name: &str| blind.iter().any(|dir| name.starts_with(dir.as_str()));
        for (name, named) in std::mem::take(&mut self.named) {
            self.listing.known.extend(named.expected.sum());
            let before = self.before.remove(name.as_str());
            if !unseen(&name) && self.admits(&name) {
                let after = remember(&name, before, State::Missing);
                let bytes = named.bytes.unwrap_or(0);
                let detail = "the store names it, and it is not there";
                self.odd.add(&name, State::Missing, bytes, detail, after);
            }
        }
        for (name, before) in std::mem::take(&mut self.before) {
            if let Place::Shard(expected) = self.place(&name::unescape(name), name) {
                self.listing.known.extend(expected.sum());
            }
            if unseen(name) || !self.admits(name) {
                continue;
            }
            let detail = if before.state == State::Missing {
                "it was missing, and the store no longer names it"
            } else {
                "it was there before; the store may have pruned it"
            };
            self.odd
                .add(name, State::Vanished, before.bytes, detail, After::Forget);
        }
        self.listing.known.sort_unstable();
        self.listing.known.dedup();
        self.listing.shards.sort_unstable_by(|a, b| {
            (a.verified_ms, a.inode, &a.name).cmp(&(b.verified_ms, b.inode, &b.name))
        });
        self.listing.anomalies = self.odd.finish();
        Ok(self.listing)
    }
}
