//! Checking a whole journal from the bytes of its entries, trusting nothing that is stored.

mod entry;
mod error;
mod kept;
mod runs;
mod state;

pub use error::VerifyError;

use crate::error::JournalError;
use crate::files::read_checkpoint;
use crate::key::VerifierKey;
use crate::merkle::{Frontier, Hash, Node};
use crate::note::Checkpoint;
use crate::schema::{Version, number, open_reader, origin, version};
use crate::tree::STORED_EVERY;
use entry::{COLUMNS, entry};
use error::EXPECTED;
use keepwell_model::id::Digest;
use kept::Kept;
use runs::Runs;
use rusqlite::{Connection, OptionalExtension as _, Statement};
use state::{Covered, Made};
use std::path::Path;

/// Progress is told once for this many entries.
const PROGRESS_EVERY: u64 = 4_096;

/// A journal that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub size: u64,
    /// The Merkle root over all entries.
    pub root: Digest,
    /// Signed checkpoints whose signature and root hold.
    pub checkpoints: u64,
    /// Entries without contents, each covered by a record that says it was pruned.
    pub pruned: u64,
}

type Result<T> = std::result::Result<T, VerifyError>;

/// Recomputes everything: each leaf from its entry's bytes, each stored subtree, each signed
/// checkpoint's root, the columns entries are found by, and the tables of runs, slots and controls
/// that are made from them. `expected` is a checkpoint kept
/// elsewhere, which finds a journal that was cut off or replaced as a whole. Reads only; works
/// beside a living writer and on a copy.
pub fn verify(
    dir: &Path,
    verifier: &VerifierKey,
    expected: Option<&str>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified> {
    // The file is replaced after the database has the checkpoint: read first, it is never ahead.
    let file = read_checkpoint(dir)?;
    let open = |which, note: &str| {
        Checkpoint::open(note, verifier).map_err(|why| VerifyError::Note { which, why })
    };
    let mut heads = vec![];
    if let Some(note) = &file {
        heads.push(open("the file `checkpoint`", note)?);
    }
    if let Some(note) = expected {
        heads.push(open(EXPECTED, note)?);
    }
    let db = open_reader(dir)?;
    let version = version(&db, dir)?;
    let _view = db
        .unchecked_transaction()
        .map_err(JournalError::sqlite("begin reading"))?;
    let found = origin(&db)?;
    if found != verifier.name() {
        let expected = verifier.name().to_owned();
        return Err(VerifyError::Origin { found, expected });
    }
    let head: String = db
        .query_row("SELECT note FROM head", [], |row| row.get(0))
        .map_err(JournalError::sqlite("read the head"))?;
    let head = open("the signed head", &head)?;
    let signed = head.size;
    heads.push(head);

    // Pages and indexes take about as long as the entries, and are read beside them.
    let beside = open_reader(dir)?;
    let stop = beside.get_interrupt_handle();
    std::thread::scope(|scope| {
        let pages = std::thread::Builder::new()
            .name("pages".into())
            .spawn_scoped(scope, move || pages(&beside))
            .map_err(|e| JournalError::io("check the pages of", dir, e))?;
        let verified = entries(&db, version, verifier, &heads, signed, progress)
            .and_then(|verified| nodes_are_all(&db, verified.size).map(|()| verified));
        if verified.is_err() {
            stop.interrupt();
        }
        let pages = pages.join().unwrap_or_else(|_| {
            let why = "its pages could not be checked".into();
            Err(VerifyError::Damaged { why })
        });
        // What is wrong with an entry says more than what is wrong with its page.
        verified.and_then(|verified| pages.map(|()| verified))
    })
}

/// Every page is sound and every index has exactly its rows.
fn pages(db: &Connection) -> Result<()> {
    let found: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(JournalError::sqlite("check the pages"))?;
    if found == "ok" {
        return Ok(());
    }
    Err(VerifyError::Damaged { why: found })
}

/// One pass over entries, stored subtrees and checkpoints.
fn entries(
    db: &Connection,
    version: Version,
    verifier: &VerifierKey,
    heads: &[Checkpoint],
    signed: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified> {
    let wrap = || JournalError::sqlite("read the entries");
    let mut kept = db
        .prepare("SELECT size, note FROM checkpoints ORDER BY size")
        .map_err(wrap())?;
    let mut kept = Kept::new(&mut kept, verifier)?;
    let mut nodes = db
        .prepare("SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2")
        .map_err(wrap())?;
    let mut rows = db
        .prepare(&format!("SELECT {COLUMNS} FROM entries ORDER BY idx"))
        .map_err(wrap())?;
    let mut rows = rows.query([]).map_err(wrap())?;
    let mut made = match version {
        Version::Current => Some((Made::new(db)?, Runs::new(db)?)),
        // Made from nothing but themselves; opening for writing reconciles them.
        Version::Old => None,
    };
    let covered = Covered::new(db)?;
    let mut pruned = 0;
    let mut frontier = Frontier::default();
    let mut good = 0;
    loop {
        let size = frontier.size();
        let here = heads.iter().filter(|head| head.size == size);
        let mut root: Option<Hash> = None;
        for signed in here.map(|head| head.root).chain(kept.at(size)?) {
            if *root.get_or_insert_with(|| frontier.root()) != signed {
                let (after, upto) = (good, size);
                return Err(VerifyError::Range { after, upto });
            }
        }
        if root.is_some() {
            good = size;
        }
        if size.is_multiple_of(PROGRESS_EVERY) {
            progress(size, signed.max(size));
        }
        let Some(row) = rows.next().map_err(wrap())? else {
            break;
        };
        let found = entry(row, size)?;
        match (&found.bytes, &mut made) {
            (None, _) if !covered.has(size) => {
                let why = "its contents are gone, and no record says that they were pruned";
                let why = why.into();
                return Err(VerifyError::Entry { index: size, why });
            }
            (None, _) => pruned += 1,
            (Some(bytes), Some((made, runs))) => {
                if state::is_made_from(found.kind) {
                    made.compare(size, bytes)?;
                }
                runs.add(size, found.kind, found.run, bytes)?;
            }
            (Some(_), None) => {}
        }
        let leaf = found.leaf;
        let mut stored = Ok(());
        frontier.push(leaf, |node| {
            if node.level % STORED_EVERY == 0 && stored.is_ok() {
                stored = stored_node(&mut nodes, node);
            }
        });
        stored?;
    }
    let has = frontier.size();
    let most = heads.iter().map(|head| head.size).chain(kept.rest()?).max();
    if let Some(signed) = most.filter(|signed| *signed > has) {
        return Err(VerifyError::Truncated { has, signed });
    }
    if signed < has {
        return Err(VerifyError::Unsigned { from: signed });
    }
    if let Some((made, runs)) = made {
        made.finish()?;
        runs.finish(&|first, last| covered.any(first, last))?;
    }
    progress(has, has);
    Ok(Verified {
        size: has,
        root: Digest::from_bytes(frontier.root()),
        checkpoints: kept.passed,
        pruned,
    })
}

fn stored_node(nodes: &mut Statement<'_>, node: Node) -> Result<()> {
    let hash: Option<Hash> = nodes
        .query_row((node.level, crate::schema::column(node.index)), |row| {
            row.get(0)
        })
        .optional()
        .map_err(JournalError::sqlite("read a hash"))?;
    if hash == Some(node.hash) {
        return Ok(());
    }
    Err(VerifyError::Node {
        level: node.level,
        index: node.index,
    })
}

/// No subtree is stored beyond those that were compared.
fn nodes_are_all(db: &Connection, size: u64) -> Result<()> {
    let stored: u64 = db
        .query_row("SELECT count(*) FROM nodes", [], |row| {
            row.get(0).map(number)
        })
        .map_err(JournalError::sqlite("count the hashes"))?;
    let levels = (STORED_EVERY..u64::BITS).step_by(STORED_EVERY as usize);
    let expected: u64 = levels.map(|level| size >> level).sum();
    if stored != expected {
        let why = format!("{stored} hashes are stored for {expected} subtrees");
        return Err(VerifyError::Damaged { why });
    }
    Ok(())
}
