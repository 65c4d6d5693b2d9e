//! `bundle`: make, sign and look into the signed files that plugins travel in.

use super::Global;
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::node_dir::write_file;
use crate::plugins;
use crate::show;
use crate::worker;
use keepwell_bundle::{Draft, SecretKey};
use keepwell_model::manifest::Manifest;
use keepwell_model::state::Exit;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make an Ed25519 key: FILE (PKCS#8, private) and FILE.pub.
    #[command(after_help = "Example:\n  keepwell bundle keygen publisher.key")]
    Keygen { file: PathBuf },
    /// Make a signed bundle of a component; its manifest is read from it inside the sandbox.
    #[command(
        after_help = "Example:\n  keepwell bundle build load.wasm --publisher Example --release 3 --key publisher.key"
    )]
    Build {
        /// What `keepwell plugin build` made.
        component: PathBuf,
        #[arg(long)]
        publisher: String,
        /// Counts up with each release of the plugin.
        #[arg(long, default_value_t = 1)]
        release: u64,
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Default: NAME-VERSION.kwb.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Add a signature.
    #[command(after_help = "Example:\n  keepwell bundle sign load-0.1.0.kwb --key second.key")]
    Sign {
        file: PathBuf,
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Default: in place.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify against a trust file; exits 4 when it is refused.
    #[command(after_help = "Example:\n  keepwell bundle verify load-0.1.0.kwb")]
    Verify {
        file: PathBuf,
        /// Default: the node's.
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
    },
    /// Show what a bundle says about itself. Nothing is verified.
    #[command(after_help = "Example:\n  keepwell bundle inspect load-0.1.0.kwb --json")]
    Inspect { file: PathBuf },
    /// Print the exact bytes that its signatures cover, for other tools.
    #[command(after_help = "Example:\n  keepwell bundle pae load-0.1.0.kwb | sha256sum")]
    Pae { file: PathBuf },
}

pub(super) fn bundle(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Keygen { file } => keygen(global, file),
        Verb::Build {
            component,
            publisher,
            release,
            key,
            out,
        } => build(global, component, publisher, *release, key, out.as_deref()),
        Verb::Sign { file, key, out } => sign(global, file, key, out.as_deref().unwrap_or(file)),
        Verb::Verify { file, trust } => verify(global, file, trust.as_deref()),
        Verb::Inspect { file } => inspect(global, file),
        Verb::Pae { file } => {
            use std::io::Write as _;
            let pae = keepwell_bundle::pae(&plugins::read_bundle(file)?)
                .map_err(|e| plugins::refused(file, &e))?;
            let mut out = std::io::stdout().lock();
            show::delivered(&out.write_all(&pae).and_then(|()| out.flush()));
            Ok(Exit::Done)
        }
    }
}

fn keygen(global: &Global, file: &Path) -> Result<Exit> {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let beside = PathBuf::from(name);
    if let Some(there) = [file, &beside]
        .into_iter()
        .find(|f| f.symlink_metadata().is_ok())
    {
        return Err(Error::usage(format!(
            "{} exists; a key is never overwritten",
            there.display()
        )));
    }
    let key = SecretKey::generate(clock::random()?);
    keepwell_bundle::write_secret(file, &key).map_err(|e| Error::failed(chain(&e)))?;
    let public = key.public();
    write_file(&beside, format!("{public}\n").as_bytes(), 0o644)?;
    let value = serde_json::json!({ "public": public.to_string(), "key_id": public.key_id() });
    global.out().document(&value, || public.to_string());
    Ok(Exit::Done)
}

fn read_key(path: &Path) -> Result<SecretKey> {
    keepwell_bundle::read_secret(path)
        .map_err(|e| Error::config(chain(&e)).hint("`keepwell bundle keygen FILE` makes a key"))
}

/// The manifest a component carries, asked for in a worker that holds nothing.
pub(super) fn describe(component: &[u8]) -> Result<Manifest> {
    let code = worker::compile(component)?;
    let json = worker::describe(&code)?;
    Manifest::parse(&json)
        .map_err(|e| Error::failed(format!("the component's manifest is refused: {e}")))
}

fn build(
    global: &Global,
    path: &Path,
    publisher: &str,
    release: u64,
    key: &Path,
    out: Option<&Path>,
) -> Result<Exit> {
    let component = plugins::read_bundle(path)?;
    let scan = keepwell_bundle::scan(&component)
        .map_err(|e| Error::denied(format!("{} is refused: {}", path.display(), chain(&e))))?;
    let manifest = describe(&component)?;
    keepwell_bundle::check_against(&scan, &manifest).map_err(|e| Error::denied(chain(&e)))?;
    let name = format!("{}-{}.kwb", manifest.name, manifest.version);
    let draft = Draft {
        manifest,
        component,
        publisher: publisher.to_owned(),
        release,
        issued_ms: None,
    };
    let unsigned = keepwell_bundle::build(&draft).map_err(|e| Error::failed(chain(&e)))?;
    let bytes = unsigned
        .sign(&read_key(key)?)
        .map_err(|e| Error::failed(chain(&e)))?;
    let out = out.map_or_else(|| PathBuf::from(name), Path::to_owned);
    write_file(&out, &bytes, 0o644)?;
    let value = serde_json::json!({ "file": out, "bytes": bytes.len() });
    global.out().document(&value, || {
        format!("{} ({} bytes)", out.display(), bytes.len())
    });
    Ok(Exit::Done)
}

fn sign(global: &Global, file: &Path, key: &Path, out: &Path) -> Result<Exit> {
    let signed = keepwell_bundle::add_signature(&plugins::read_bundle(file)?, &read_key(key)?)
        .map_err(|e| plugins::refused(file, &e))?;
    write_file(out, &signed, 0o644)?;
    let value = serde_json::json!({ "file": out, "bytes": signed.len() });
    global.out().document(&value, || {
        format!("{} ({} bytes)", out.display(), signed.len())
    });
    Ok(Exit::Done)
}

fn verify(global: &Global, file: &Path, trust: Option<&Path>) -> Result<Exit> {
    let trust = match trust {
        None => plugins::trust(&global.dir())?,
        Some(path) => {
            let text = crate::config::read_text(path)?;
            keepwell_bundle::Trust::parse(&text)
                .map_err(|e| crate::config::bad_file(path, &text, &e.to_string(), e.span()))?
        }
    };
    let bundle = keepwell_bundle::open(&plugins::read_bundle(file)?, &trust)
        .map_err(|e| plugins::refused(file, &e))?;
    let value = serde_json::json!({
        "verified": true, "bundle": bundle.id, "component": bundle.component_digest,
        "name": bundle.manifest.name, "version": bundle.manifest.version, "signer": bundle.signer,
    });
    global.out().document(&value, || {
        format!(
            "{}@{} is signed by `{}`\nbundle    {}\ncomponent {}",
            bundle.manifest.name,
            bundle.manifest.version,
            bundle.signer.name,
            bundle.id,
            bundle.component_digest
        )
    });
    Ok(Exit::Done)
}

fn inspect(global: &Global, file: &Path) -> Result<Exit> {
    let inspection = keepwell_bundle::inspect(&plugins::read_bundle(file)?)
        .map_err(|e| plugins::refused(file, &e))?;
    let value = serde_json::to_value(&inspection).unwrap_or_default();
    let text = serde_json::to_string_pretty(&inspection).unwrap_or_default();
    show::say("what the bundle says about itself; its signatures were not verified");
    global.out().document(&value, || text);
    Ok(Exit::Done)
}
