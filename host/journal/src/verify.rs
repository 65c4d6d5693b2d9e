//! Checking a whole journal from the bytes of its entries, trusting nothing that is stored.

use crate::error::{ErrorKind, JournalError};
use crate::files::read_checkpoint;
use crate::key::VerifierKey;
use crate::merkle::{Frontier, Hash, Node, leaf_hash};
use crate::note::{BadNote, Checkpoint};
use crate::schema::{check, number, open_reader, origin};
use crate::tree::STORED_EVERY;
use keepwell_model::event::Record;
use keepwell_model::id::Digest;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement};
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
}

/// The first thing found wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    #[error("entry {index} is bad: {why}")]
    Entry { index: u64, why: String },
    #[error(
        "an entry was changed between {after} and {upto}: what was signed over the first {upto} entries is not what is stored"
    )]
    Range { after: u64, upto: u64 },
    #[error("{has} entries are stored, but {signed} were signed: entries are missing at the end")]
    Truncated { has: u64, signed: u64 },
    #[error("entries from {from} on were never signed")]
    Unsigned { from: u64 },
    #[error("the checkpoint over {size} entries does not hold")]
    Checkpoint {
        size: u64,
        #[source]
        why: BadNote,
    },
    #[error("{which} does not hold")]
    Note {
        which: &'static str,
        #[source]
        why: BadNote,
    },
    #[error("the journal's origin is `{found}`, and the key is that of `{expected}`")]
    Origin { found: String, expected: String },
    #[error("the stored hash of the subtree {index} at level {level} is not that of its entries")]
    Node { level: u32, index: u64 },
    #[error("the database is damaged: {why}")]
    Damaged { why: String },
    #[error("the journal cannot be read")]
    Journal(#[source] JournalError),
}

impl VerifyError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Journal(e) => e.kind(),
            Self::Note {
                which: EXPECTED, ..
            } => ErrorKind::Usage,
            Self::Entry { .. }
            | Self::Range { .. }
            | Self::Truncated { .. }
            | Self::Unsigned { .. }
            | Self::Checkpoint { .. }
            | Self::Note { .. }
            | Self::Origin { .. }
            | Self::Node { .. }
            | Self::Damaged { .. } => ErrorKind::Broken,
        }
    }
}

impl From<JournalError> for VerifyError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

type Result<T> = std::result::Result<T, VerifyError>;

const EXPECTED: &str = "the expected checkpoint";

/// Recomputes everything: each leaf from its entry's bytes, each stored subtree, each signed
/// checkpoint's root, and the columns entries are found by. `expected` is a checkpoint kept
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
    check(&db, dir)?;
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

    let verified = entries(&db, verifier, &heads, signed, progress)?;
    nodes_are_all(&db, verified.size)?;
    let integrity: String = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(JournalError::sqlite("check the pages"))?;
    if integrity != "ok" {
        return Err(VerifyError::Damaged { why: integrity });
    }
    Ok(verified)
}

/// One pass over entries, stored subtrees and checkpoints.
fn entries(
    db: &Connection,
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
        .prepare("SELECT idx, bytes, leaf, at, kind, run, task FROM entries ORDER BY idx")
        .map_err(wrap())?;
    let mut rows = rows.query([]).map_err(wrap())?;
    let mut frontier = Frontier::default();
    let mut good = 0;
    loop {
        let size = frontier.size();
        let here = heads.iter().filter(|head| head.size == size);
        let roots: Vec<Hash> = here.map(|head| head.root).chain(kept.at(size)?).collect();
        if !roots.is_empty() {
            let root = frontier.root();
            if roots.iter().any(|signed| *signed != root) {
                let (after, upto) = (good, size);
                return Err(VerifyError::Range { after, upto });
            }
            good = size;
        }
        if size.is_multiple_of(PROGRESS_EVERY) {
            progress(size, signed.max(size));
        }
        let Some(row) = rows.next().map_err(wrap())? else {
            break;
        };
        let leaf = entry(row, size)?;
        let mut closed: Vec<Node> = vec![];
        frontier.push(leaf, |node| closed.push(node));
        closed.retain(|node| node.level % STORED_EVERY == 0);
        for node in closed {
            stored_node(&mut nodes, node)?;
        }
    }
    let has = frontier.size();
    let most = heads.iter().map(|head| head.size).chain(kept.rest()?).max();
    if let Some(signed) = most.filter(|signed| *signed > has) {
        return Err(VerifyError::Truncated { has, signed });
    }
    if signed < has {
        return Err(VerifyError::Unsigned { from: signed });
    }
    progress(has, has);
    Ok(Verified {
        size: has,
        root: Digest::from_bytes(frontier.root()),
        checkpoints: kept.passed,
    })
}

/// The kept checkpoints, read along with the entries.
struct Kept<'a> {
    rows: rusqlite::Rows<'a>,
    verifier: &'a VerifierKey,
    next: Option<Checkpoint>,
    passed: u64,
}

impl<'a> Kept<'a> {
    fn new(statement: &'a mut Statement<'_>, verifier: &'a VerifierKey) -> Result<Self> {
        let rows = statement
            .query([])
            .map_err(JournalError::sqlite("read the checkpoints"))?;
        let mut this = Self {
            rows,
            verifier,
            next: None,
            passed: 0,
        };
        this.advance()?;
        Ok(this)
    }

    fn advance(&mut self) -> Result<()> {
        let wrap = || JournalError::sqlite("read the checkpoints");
        self.next = None;
        if let Some(row) = self.rows.next().map_err(wrap())? {
            let size = number(row.get(0).map_err(wrap())?);
            let note: String = row.get(1).map_err(wrap())?;
            let bad = |why| VerifyError::Checkpoint { size, why };
            let head = Checkpoint::open(&note, self.verifier).map_err(bad)?;
            if head.size != size {
                return Err(bad(BadNote::Form("it stands at another size")));
            }
            self.next = Some(head);
        }
        Ok(())
    }

    /// The root signed at this size, if one was.
    fn at(&mut self, size: u64) -> Result<Option<Hash>> {
        let Some(head) = self.next.take_if(|head| head.size == size) else {
            return Ok(None);
        };
        self.passed += 1;
        self.advance()?;
        Ok(Some(head.root))
    }

    /// The largest size beyond the entries.
    fn rest(&mut self) -> Result<Option<u64>> {
        let mut most = None;
        while let Some(head) = self.next.take() {
            most = Some(head.size);
            self.advance()?;
        }
        Ok(most)
    }
}

/// The leaf of the entry that should be number `expected`, recomputed.
fn entry(row: &Row<'_>, expected: u64) -> Result<Hash> {
    let bad = |why: String| VerifyError::Entry {
        index: expected,
        why,
    };
    let read = |e: rusqlite::Error| bad(format!("its row cannot be read: {e}"));
    let index = row.get::<_, i64>(0).map_err(read)?;
    if index < 0 || number(index) != expected {
        return Err(bad(format!("it is missing, the next is {index}")));
    }
    let bytes = row.get_ref(1).map_err(read)?;
    let bytes = bytes
        .as_blob()
        .map_err(|_| bad("its bytes are missing".into()))?;
    let leaf = leaf_hash(bytes);
    if row.get::<_, Hash>(2).map_err(read)? != leaf {
        return Err(bad("its bytes are not those its hash was made from".into()));
    }
    let record: Record =
        serde_json::from_slice(bytes).map_err(|e| bad(format!("it is not a record: {e}")))?;
    let found_by = (
        number(row.get(3).map_err(read)?),
        row.get::<_, String>(4).map_err(read)?,
        row.get::<_, Option<crate::entry::RunKey>>(5)
            .map_err(read)?,
        row.get::<_, Option<String>>(6).map_err(read)?,
    );
    let is = (
        record.at,
        record.event.kind().to_owned(),
        record.run.map(crate::entry::run_key),
        record.task,
    );
    if found_by != is {
        return Err(bad("the columns it is found by are not its own".into()));
    }
    Ok(leaf)
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
