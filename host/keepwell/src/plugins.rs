//! Installed plugins: from a bundle somebody hands over to code a worker may run.

mod failpoint;
mod grants;
mod shelf;
mod steps;
mod usage;

pub use grants::{note_grant, note_grants};
pub use shelf::{Add, Change, Shelf};
pub use steps::What;
pub use usage::{used, users};

use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, make_private_dir, write_file};
use crate::worker;
use keepwell_bundle::{Against, Bundle, Lock, LockEntry, Standing, Step, Trust};
use keepwell_journal::NodeKey;
use keepwell_model::id::{Digest, PluginName};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Why a version is not the active one any more, if it failed too often.
pub fn went_back(entry: &LockEntry) -> Option<String> {
    let back = entry.rolled_back.as_ref()?;
    Some(format!(
        "{}@{} was rolled back to {} after {} faults in {} runs",
        entry.name, entry.version, back.to, back.faults, back.runs
    ))
}

/// What the node's key seals as.
const SEALED: &str = "plugins.lock";

/// A bundle that verified just now against the node's trust file.
#[derive(Debug)]
pub struct Installed {
    pub bundle: Bundle,
    pub entry: LockEntry,
}

/// What the node trusts; a node without the file trusts nobody.
pub fn trust(dir: &NodeDir) -> Result<Trust> {
    dir.must_exist()?;
    let path = dir.trust_file();
    if !path.exists() {
        return Ok(Trust::default());
    }
    let text = crate::config::read_text(&path)?;
    Trust::parse(&text).map_err(|e| crate::config::bad_file(&path, &text, &e.to_string(), e.span()))
}

/// The time by which keys end: this machine's clock, and never earlier than what the journal has seen,
/// so that a clock that was set back lets nothing in that has ended.
pub fn latest_ms(dir: &NodeDir) -> u64 {
    let newest = crate::node::reader(dir).and_then(|reader| Ok(reader.newest_ms()?));
    // What cannot be read holds nothing back: the clock is what is left.
    crate::clock::now_ms().max(newest.ok().flatten().unwrap_or_default())
}

/// Which plugins are installed. What another program wrote is not believed: it could make a held
/// version the active one.
pub fn lock(dir: &NodeDir) -> Result<Lock> {
    dir.must_exist()?;
    let path = dir.lock_file();
    if !path.exists() {
        return Ok(Lock::default());
    }
    let text = crate::config::read_text(&path)?;
    let (seal, body) = keepwell_bundle::split(&text);
    let lock = Lock::parse(body)
        .map_err(|e| crate::config::bad_file(&path, &text, &e.to_string(), None))?;
    let ours = match seal {
        Some(seal) => crate::node::read_key(&dir.node_key())?.has_sealed(SEALED, body, seal),
        None => !keepwell_bundle::needs_seal(body).unwrap_or(true),
    };
    if ours {
        return Ok(lock);
    }
    let message = format!("{} was changed by another program", path.display());
    Err(Error::denied(message).hint(
        "restore it from a copy, or move it away and install the plugins again: keepwell sealed what it wrote",
    ))
}

/// The text of the lock file, sealed.
fn lock_text(key: &NodeKey, lock: &Lock) -> Result<String> {
    let body = lock
        .to_toml()
        .map_err(|e| Error::failed(format!("cannot write plugins.lock: {e}")))?;
    let seal = key.seal(SEALED, &body);
    Ok(keepwell_bundle::joined(&seal, &body))
}

/// Where an installed bundle lies.
pub fn bundle_path(dir: &NodeDir, entry: &LockEntry) -> PathBuf {
    dir.plugins()
        .join(format!("{}-{}.kwb", entry.name, entry.version))
}

/// Where the site's endorsement of an installed bundle lies, if there is one.
pub fn endorsement_path(dir: &NodeDir, entry: &LockEntry) -> PathBuf {
    dir.plugins()
        .join(format!("{}-{}.kwe", entry.name, entry.version))
}

/// The endorsement in this file; none where there is no file.
pub fn read_endorsement(path: &Path) -> Result<Option<Vec<u8>>> {
    if !path.exists() {
        return Ok(None);
    }
    read_at_most(path, keepwell_bundle::ENDORSEMENT_MAX_BYTES).map(Some)
}

/// The endorsement that is named, or that lies beside the bundle.
pub fn endorsement_of(bundle: &Path, named: Option<&Path>) -> Result<Option<Vec<u8>>> {
    match named {
        Some(path) => read_at_most(path, keepwell_bundle::ENDORSEMENT_MAX_BYTES).map(Some),
        None => read_endorsement(&bundle.with_extension("kwe")),
    }
}

/// Opens an installed plugin by `name` (its active version), `name@version` or digest. Signature and
/// trust are checked again each time: what was revoked since does not run.
pub fn open(dir: &NodeDir, trust: &Trust, now_ms: u64, wanted: &str) -> Result<Installed> {
    let entry = find(&lock(dir)?, wanted)?.clone();
    let opened = open_entry(dir, trust, now_ms, &entry);
    if opened.is_err() && !bundle_path(dir, &entry).exists() {
        // A version that is not needed any more may go between the look and the opening.
        let now = find(&lock(dir)?, wanted)?.clone();
        if now != entry {
            return open_entry(dir, trust, now_ms, &now);
        }
    }
    opened
}

/// The installed version that `wanted` means, if it may run.
fn find<'a>(lock: &'a Lock, wanted: &str) -> Result<&'a LockEntry> {
    match lock.find(wanted) {
        Some(entry) if entry.standing != Standing::Held => not_aside(entry),
        Some(held) => Err(Error::denied(format!(
            "plugin `{}` {} is held: it asks for more than the active version",
            held.name, held.version
        ))
        .hint(format!(
            "`keepwell plugin accept {}@{}` shows what, and lets it run",
            held.name, held.version
        ))),
        None => Err(unknown(lock, wanted)),
    }
}

fn not_aside(entry: &LockEntry) -> Result<&LockEntry> {
    let Some(why) = &entry.quarantined else {
        return Ok(entry);
    };
    Err(Error::denied(format!(
        "plugin `{}` {} is in quarantine: {why}",
        entry.name, entry.version
    ))
    .hint(
        "`keepwell plugin upgrade FILE` installs another one; `keepwell trust explain` says more",
    ))
}

/// Why `wanted` names nothing that is installed.
pub fn unknown(lock: &Lock, wanted: &str) -> Error {
    let name = wanted.split('@').next().unwrap_or(wanted);
    if !wanted.contains(':')
        && let Err(e) = PluginName::new(name)
    {
        return Error::config(e.to_string());
    }
    let error = Error::config(format!("plugin `{wanted}` is not installed"));
    let versions: Vec<&str> = lock.versions(name).map(|e| e.version.as_str()).collect();
    if !versions.is_empty() {
        return error.hint(format!("`{name}` is installed as {}", versions.join(", ")));
    }
    let known: Vec<&str> = lock.entries().iter().map(|e| e.name.as_str()).collect();
    match keepwell_model::grant::nearest(wanted, &known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`keepwell plugin install FILE.kwb` installs one"),
    }
}

/// What an installed bundle says of itself, be it trusted any more or not: the one that the lock names.
pub fn look_into(
    dir: &NodeDir,
    entry: &LockEntry,
) -> Result<keepwell_bundle::UnverifiedInspection> {
    let path = match entry.quarantined {
        Some(_) => quarantined_path(dir, entry),
        None => bundle_path(dir, entry),
    };
    let said = keepwell_bundle::inspect(&read_bundle(&path)?).map_err(|e| refused(&path, &e))?;
    if said.id == entry.bundle {
        return Ok(said);
    }
    Err(Error::denied(format!(
        "{} is another bundle",
        path.display()
    )))
}

/// Opens exactly this version, whatever its standing.
pub fn open_entry(
    dir: &NodeDir,
    trust: &Trust,
    now_ms: u64,
    entry: &LockEntry,
) -> Result<Installed> {
    not_aside(entry)?;
    let path = bundle_path(dir, entry);
    let bytes = read_bundle(&path)?;
    let endorsement = read_endorsement(&endorsement_path(dir, entry))?;
    let against = Against {
        trust,
        now_ms,
        endorsement: endorsement.as_deref(),
    };
    let bundle = keepwell_bundle::open(&bytes, against).map_err(|e| {
        let hint = match e.code() {
            "unknown-signer" => {
                "its key is not trusted (any more); `keepwell trust show` lists those that are"
            }
            _ => "install it again from a bundle you trust",
        };
        refused(&path, &e).hint(hint)
    })?;
    if bundle.id != entry.bundle {
        return Err(Error::denied(format!(
            "the installed bundle of `{}` is {}, but plugins.lock says {}",
            entry.name, bundle.id, entry.bundle
        ))
        .hint("somebody replaced the file; install the plugin again"));
    }
    Ok(Installed {
        bundle,
        entry: entry.clone(),
    })
}

/// Why the trust file admits an installed plugin or not, step by step.
pub fn explain(dir: &NodeDir, trust: &Trust, wanted: &str) -> Result<Vec<Step>> {
    let lock = lock(dir)?;
    let entry = lock
        .find(wanted)
        .ok_or_else(|| Error::usage(format!("plugin `{wanted}` is not installed")))?;
    let path = match entry.quarantined {
        Some(_) => quarantined_path(dir, entry),
        None => bundle_path(dir, entry),
    };
    let endorsement = read_endorsement(&endorsement_path(dir, entry))?;
    let against = Against {
        trust,
        now_ms: latest_ms(dir),
        endorsement: endorsement.as_deref(),
    };
    let mut steps = keepwell_bundle::explain(&read_bundle(&path)?, against);
    if let Some(why) = &entry.quarantined {
        let says = format!("it is in quarantine, which only installing it again ends: {why}");
        steps.push(Step {
            step: "verdict",
            holds: false,
            says,
        });
    }
    Ok(steps)
}

fn quarantined_path(dir: &NodeDir, entry: &LockEntry) -> PathBuf {
    dir.plugins()
        .join("quarantine")
        .join(format!("{}-{}.kwb", entry.name, entry.version))
}

/// Of a bundle that is too large, one byte more than it may have: enough to refuse it.
pub fn read_bundle(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, keepwell_bundle::BUNDLE_MAX_BYTES)
}

fn read_at_most(path: &Path, most: usize) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let most = most as u64;
    let mut bytes = vec![];
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|e| Error::io("read", path, &e))?;
    Ok(bytes)
}

pub fn refused(path: &Path, e: &keepwell_bundle::BundleError) -> Error {
    Error::denied(format!(
        "{} is refused: {}",
        path.display(),
        crate::error::chain(e)
    ))
}

/// The machine code of a component: from the cache when it is there and was sealed by this node,
/// else compiled in a limited child and sealed.
pub fn code(dir: &NodeDir, key: &NodeKey, bundle: &Bundle) -> Result<File> {
    let path = cache_path(dir, bundle.component_digest);
    if let Ok(file) = File::open(&path) {
        match keepwell_sandbox::unseal(&file, &key.mac_key(), bundle.component_digest) {
            Ok(()) => return Ok(file),
            Err(e) => {
                let name = &bundle.manifest.name;
                crate::talk::say(&format!(
                    "compiled code of `{name}` is not ours ({e}): compiling it again"
                ));
            }
        }
    }
    compiled(dir, key, bundle)?;
    let file = File::open(&path).map_err(|e| Error::io("open", &path, &e))?;
    keepwell_sandbox::unseal(&file, &key.mac_key(), bundle.component_digest)
        .map_err(|e| Error::failed(format!("{}: {e}", path.display())))?;
    Ok(file)
}

fn cache_path(dir: &NodeDir, component: Digest) -> PathBuf {
    let key = keepwell_sandbox::cache_key(component);
    dir.cache().join(format!("{key}.cwasm"))
}

/// Whether the cache holds machine code of it that this node made.
fn is_compiled(dir: &NodeDir, key: &NodeKey, bundle: &Bundle) -> bool {
    File::open(cache_path(dir, bundle.component_digest)).is_ok_and(|file| {
        keepwell_sandbox::unseal(&file, &key.mac_key(), bundle.component_digest).is_ok()
    })
}

fn compiled(dir: &NodeDir, key: &NodeKey, bundle: &Bundle) -> Result<()> {
    let code = worker::compile(&bundle.component)?;
    let sealed = keepwell_sandbox::seal(&code, &key.mac_key(), bundle.component_digest);
    make_private_dir(&dir.cache())?;
    write_file(&cache_path(dir, bundle.component_digest), &sealed, 0o600)
}

/// Puts a bundle aside for good: it stays as evidence where nothing opens it, its machine code goes,
/// and the lock file says why. In this order, so that a crash leaves what is refused anyway.
pub fn quarantine(dir: &NodeDir, key: &NodeKey, entry: &LockEntry, why: &str) -> Result<()> {
    make_private_dir(&dir.plugins().join("quarantine"))?;
    let from = bundle_path(dir, entry);
    match std::fs::rename(&from, quarantined_path(dir, entry)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("move", &from, &e)),
    }
    steps::gone(&cache_path(dir, entry.component))?;
    let mut lock = lock(dir)?;
    lock.insert(LockEntry {
        quarantined: Some(why.to_owned()),
        ..entry.clone()
    });
    write_file(&dir.lock_file(), lock_text(key, &lock)?.as_bytes(), 0o644)
}
