//! Installed plugins: from a bundle somebody hands over to code a worker may run.

use crate::error::{Error, Result};
use crate::node_dir::{NodeDir, make_private_dir, write_file};
use crate::worker;
use keepwell_bundle::{Against, Bundle, Lock, LockEntry, Step, Trust};
use keepwell_journal::NodeKey;
use keepwell_model::id::Digest;
use std::fs::File;
use std::path::{Path, PathBuf};

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

pub fn lock(dir: &NodeDir) -> Result<Lock> {
    dir.must_exist()?;
    let path = dir.lock_file();
    if !path.exists() {
        return Ok(Lock::default());
    }
    let text = crate::config::read_text(&path)?;
    Lock::parse(&text).map_err(|e| crate::config::bad_file(&path, &text, &e.to_string(), None))
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

/// Opens an installed plugin by `name`, `name@version` or digest. Signature and trust are checked
/// again each time: what was revoked since does not run.
pub fn open(dir: &NodeDir, trust: &Trust, now_ms: u64, wanted: &str) -> Result<Installed> {
    let lock = lock(dir)?;
    let entry = lock.find(wanted).ok_or_else(|| {
        let known: Vec<&str> = lock.entries().iter().map(|e| e.name.as_str()).collect();
        let error = Error::config(format!("plugin `{wanted}` is not installed"));
        match keepwell_model::grant::nearest(wanted, &known) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`keepwell plugin install FILE.kwb` installs one"),
        }
    })?;
    if let Some(why) = &entry.quarantined {
        return Err(Error::denied(format!(
            "plugin `{}` {} is in quarantine: {why}",
            entry.name, entry.version
        ))
        .hint("`keepwell plugin upgrade FILE` installs another one; `keepwell trust explain` says more"));
    }
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

/// Verified, compiled, stored, locked; in this order, so that a crash leaves the old state.
pub fn install(
    dir: &NodeDir,
    key: &NodeKey,
    (bytes, endorsement): (&[u8], Option<&[u8]>),
    bundle: &Bundle,
    now_ms: u64,
) -> Result<LockEntry> {
    compiled(dir, key, bundle)?;
    let entry = LockEntry::of(bundle, now_ms);
    make_private_dir(&dir.plugins())?;
    if let Some(endorsement) = endorsement {
        write_file(&endorsement_path(dir, &entry), endorsement, 0o600)?;
    }
    write_file(&bundle_path(dir, &entry), bytes, 0o600)?;
    let mut lock = lock(dir)?;
    lock.insert(entry.clone());
    write_lock(dir, &lock)?;
    Ok(entry)
}

fn write_lock(dir: &NodeDir, lock: &Lock) -> Result<()> {
    let path = dir.lock_file();
    let text = lock
        .to_toml()
        .map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
    write_file(&path, text.as_bytes(), 0o644)
}

/// The machine code of a component: from the cache when it is there and was sealed by this node,
/// else compiled in a limited child and sealed.
pub fn code(dir: &NodeDir, key: &NodeKey, bundle: &Bundle) -> Result<File> {
    let path = code_path(dir, bundle.component_digest);
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

fn code_path(dir: &NodeDir, component: Digest) -> PathBuf {
    let key = keepwell_sandbox::cache_key(component);
    dir.cache().join(format!("{key}.cwasm"))
}

fn compiled(dir: &NodeDir, key: &NodeKey, bundle: &Bundle) -> Result<()> {
    let code = worker::compile(&bundle.component)?;
    let sealed = keepwell_sandbox::seal(&code, &key.mac_key(), bundle.component_digest);
    make_private_dir(&dir.cache())?;
    write_file(&code_path(dir, bundle.component_digest), &sealed, 0o600)
}

pub fn remove(dir: &NodeDir, entry: &LockEntry) -> Result<()> {
    let mut lock = lock(dir)?;
    lock.remove(&entry.name, &entry.version);
    write_lock(dir, &lock)?;
    for path in [bundle_path(dir, entry), endorsement_path(dir, entry)] {
        gone(&path)?;
    }
    Ok(())
}

/// Puts a bundle aside for good: it stays as evidence where nothing opens it, its machine code goes,
/// and the lock file says why. In this order, so that a crash leaves what is refused anyway.
pub fn quarantine(dir: &NodeDir, entry: &LockEntry, why: &str) -> Result<()> {
    make_private_dir(&dir.plugins().join("quarantine"))?;
    let from = bundle_path(dir, entry);
    match std::fs::rename(&from, quarantined_path(dir, entry)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("move", &from, &e)),
    }
    gone(&code_path(dir, entry.component))?;
    let mut lock = lock(dir)?;
    lock.insert(LockEntry {
        quarantined: Some(why.to_owned()),
        ..entry.clone()
    });
    write_lock(dir, &lock)
}

fn gone(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("remove", path, &e)),
    }
}
