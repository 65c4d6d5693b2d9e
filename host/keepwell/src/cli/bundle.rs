//! `bundle`: make, sign and look into the signed files that plugins travel in.

use super::Global;
use super::keys::{self, KeyArgs, Signs};
use crate::bill;
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::node_dir::write_file;
use crate::plugins;
use crate::show;
use crate::worker;
use keepwell_bundle::{Against, Documents, Draft, PublicKey, SecretKey};
use keepwell_model::manifest::Manifest;
use keepwell_model::state::Exit;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a key: FILE (PKCS#8, private) and FILE.pub.
    #[command(after_help = "Example:\n  keepwell bundle keygen publisher.key --encrypt")]
    Keygen {
        file: PathBuf,
        #[arg(long, value_enum, default_value = "ed25519")]
        kind: Kind,
        /// Encrypt it with a passphrase (asked for, or from KEEPWELL_PASSPHRASE_FILE).
        #[arg(long)]
        encrypt: bool,
    },
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
        #[command(flatten)]
        key: KeyArgs,
        /// A bill of materials. Default: beside the component, ending in `.cdx.json`, if it is there.
        #[arg(long, value_name = "FILE")]
        sbom: Option<PathBuf>,
        /// How it was built. Default: beside the component, ending in `.provenance.json`.
        #[arg(long, value_name = "FILE")]
        provenance: Option<PathBuf>,
        /// Default: NAME-VERSION.kwb.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Add a signature: by a key, or one that another program made over what `pae` prints.
    #[command(
        after_help = "Example:\n  keepwell bundle sign load-0.1.0.kwb --key second.key\n  keepwell bundle sign load-0.1.0.kwb --agent ~/.ssh/id_ed25519.pub\n  keepwell bundle sign load-0.1.0.kwb --signature load.sig --public token.pem"
    )]
    Sign {
        file: PathBuf,
        #[command(flatten)]
        by: ByArgs,
        /// Default: in place.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Endorse a bundle for a site: a signature over its id, in a file of its own.
    #[command(
        after_help = "Example:\n  keepwell bundle endorse load-0.1.0.kwb --key site.key\n  keepwell plugin install load-0.1.0.kwb"
    )]
    Endorse {
        file: PathBuf,
        #[command(flatten)]
        by: ByArgs,
        /// Default: beside the bundle, ending in `.kwe`. One that is there gets one more signature.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Verify against a trust file; exits 4 when it is refused.
    #[command(after_help = "Example:\n  keepwell bundle verify load-0.1.0.kwb --explain")]
    Verify {
        file: PathBuf,
        /// Default: the node's.
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// Default: beside the bundle, ending in `.kwe`, if it is there.
        #[arg(long, value_name = "FILE")]
        endorsement: Option<PathBuf>,
        /// Tell each thing that was looked at.
        #[arg(long)]
        explain: bool,
    },
    /// Show what a bundle says about itself. Nothing is verified.
    #[command(after_help = "Example:\n  keepwell bundle inspect load-0.1.0.kwb --json")]
    Inspect {
        file: PathBuf,
        /// Print its bill of materials instead: CycloneDX.
        #[arg(long, conflicts_with = "provenance")]
        sbom: bool,
        /// Print its provenance instead: SLSA.
        #[arg(long)]
        provenance: bool,
    },
    /// Print the exact bytes that signatures cover, of a bundle or of an endorsement, for other tools.
    #[command(
        after_help = "Example:\n  keepwell bundle pae load-0.1.0.kwb > pae.bin\n  openssl pkeyutl -sign -inkey token.pem -rawin -in pae.bin -out load.sig"
    )]
    Pae { file: PathBuf },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    Ed25519,
    /// ECDSA on P-256, for tokens and tools that have no Ed25519.
    P256,
}

/// A key that signs now, or a signature made elsewhere.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct ByArgs {
    /// A private key: PKCS#8 PEM, Ed25519 or P-256, perhaps encrypted.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agent", "signature"], required_unless_present_any = ["agent", "signature"])]
    key: Option<PathBuf>,
    /// A key in the ssh-agent, by its public half as in `id_ed25519.pub`.
    #[arg(long, value_name = "FILE.pub", conflicts_with = "signature")]
    agent: Option<PathBuf>,
    /// A raw signature that another program made.
    #[arg(long, value_name = "FILE", requires = "public")]
    signature: Option<PathBuf>,
    /// Whose it is: a PEM file, or as trust files have it.
    #[arg(long, value_name = "KEY", requires = "signature")]
    public: Option<String>,
}

impl ByArgs {
    /// Whose signature, and the signature.
    fn sign(&self, message: &[u8]) -> Result<(PublicKey, Vec<u8>)> {
        if let (Some(file), Some(public)) = (&self.signature, &self.public) {
            let wrong = |e| Error::usage(format!("{public}: {}", chain(&e)));
            let key = match public.parse() {
                Ok(key) => key,
                Err(e) if !Path::new(public).exists() => return Err(wrong(e)),
                Err(_) => {
                    let pem = crate::config::read_text(Path::new(public))?;
                    PublicKey::from_pem(&pem).map_err(wrong)?
                }
            };
            return Ok((key, plugins::read_bundle(file)?));
        }
        let key = Signs::open(self.key.as_deref(), self.agent.as_deref())?;
        Ok((key.public(), key.sign(message)?))
    }
}

pub(super) fn bundle(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Keygen {
            file,
            kind,
            encrypt,
        } => keygen(global, file, *kind, *encrypt),
        Verb::Build {
            component,
            publisher,
            release,
            key,
            sbom,
            provenance,
            out,
        } => {
            let sbom = document(component, sbom.as_deref(), bill::SBOM_ENDING)?;
            let ending = bill::PROVENANCE_ENDING;
            let provenance = document(component, provenance.as_deref(), ending)?;
            let documents = Documents {
                sbom: sbom.as_deref(),
                provenance: provenance.as_deref(),
            };
            let named = (publisher.as_str(), *release);
            build(global, component, named, key, documents, out.as_deref())
        }
        Verb::Sign { file, by, out } => sign(global, file, by, out.as_deref().unwrap_or(file)),
        Verb::Endorse { file, by, out } => endorse(global, file, by, out.as_deref()),
        Verb::Verify {
            file,
            trust,
            endorsement,
            explain,
        } => verify(
            global,
            file,
            trust.as_deref(),
            endorsement.as_deref(),
            *explain,
        ),
        Verb::Inspect {
            file,
            sbom: false,
            provenance: false,
        } => inspect(global, file),
        Verb::Inspect { file, sbom, .. } => print_document(file, *sbom),
        Verb::Pae { file } => {
            use std::io::Write as _;
            let bytes = plugins::read_bundle(file)?;
            let pae = match keepwell_bundle::endorsement_pae(&bytes) {
                Ok(pae) => pae,
                Err(_) => keepwell_bundle::pae(&bytes).map_err(|e| plugins::refused(file, &e))?,
            };
            let mut out = std::io::stdout().lock();
            show::delivered(&out.write_all(&pae).and_then(|()| out.flush()));
            Ok(Exit::Done)
        }
    }
}

fn keygen(global: &Global, file: &Path, kind: Kind, encrypt: bool) -> Result<Exit> {
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
    let key = match kind {
        Kind::Ed25519 => SecretKey::generate(clock::random()?),
        Kind::P256 => loop {
            if let Some(key) = SecretKey::generate_p256(clock::random()?) {
                break key;
            }
        },
    };
    let pem = if encrypt {
        key.to_encrypted_pem(&keys::new_passphrase(file)?, clock::random()?)
    } else {
        key.to_pem()
    };
    let pem = pem.map_err(|e| Error::failed(chain(&e)))?;
    keepwell_bundle::write_secret(file, &pem).map_err(|e| Error::failed(chain(&e)))?;
    let public = key.public();
    write_file(&beside, format!("{public}\n").as_bytes(), 0o644)?;
    let value = serde_json::json!({ "public": public.to_string(), "key_id": public.key_id() });
    global.out().document(&value, || public.to_string());
    Ok(Exit::Done)
}

/// The document that is named, or that lies beside the component.
fn document(component: &Path, named: Option<&Path>, ending: &str) -> Result<Option<Vec<u8>>> {
    let beside = component.with_extension(ending);
    match named {
        Some(path) => plugins::read_bundle(path).map(Some),
        None if beside.exists() => plugins::read_bundle(&beside).map(Some),
        None => Ok(None),
    }
}

fn print_document(file: &Path, sbom: bool) -> Result<Exit> {
    let bytes = plugins::read_bundle(file)?;
    let documents = keepwell_bundle::documents(&bytes).map_err(|e| plugins::refused(file, &e))?;
    let (what, found) = match sbom {
        true => ("bill of materials", documents.sbom),
        false => ("provenance", documents.provenance),
    };
    let found = found.ok_or_else(|| Error::usage(format!("{} has no {what}", file.display())))?;
    show::say("what the bundle says about itself; its signatures were not verified");
    show::line(&String::from_utf8_lossy(found));
    Ok(Exit::Done)
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
    (publisher, release): (&str, u64),
    key: &KeyArgs,
    documents: Documents<'_>,
    out: Option<&Path>,
) -> Result<Exit> {
    let key = key.open()?;
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
    let unsigned =
        keepwell_bundle::build_with(&draft, documents).map_err(|e| Error::failed(chain(&e)))?;
    let bytes = unsigned.unsigned().map_err(|e| Error::failed(chain(&e)))?;
    let pae = keepwell_bundle::pae(&bytes).map_err(|e| Error::failed(chain(&e)))?;
    let bytes = keepwell_bundle::attach_signature(&bytes, &key.public(), &key.sign(&pae)?)
        .map_err(|e| Error::failed(chain(&e)))?;
    let out = out.map_or_else(|| PathBuf::from(name), Path::to_owned);
    written(global, &out, &bytes)
}

fn sign(global: &Global, file: &Path, by: &ByArgs, out: &Path) -> Result<Exit> {
    let bytes = plugins::read_bundle(file)?;
    let pae = keepwell_bundle::pae(&bytes).map_err(|e| plugins::refused(file, &e))?;
    let (public, signature) = by.sign(&pae)?;
    let signed = keepwell_bundle::attach_signature(&bytes, &public, &signature)
        .map_err(|e| plugins::refused(file, &e))?;
    written(global, out, &signed)
}

/// What is endorsed must be sound; whether it is trusted is for each node to say.
fn endorse(global: &Global, file: &Path, by: &ByArgs, out: Option<&Path>) -> Result<Exit> {
    let inspection = keepwell_bundle::inspect(&plugins::read_bundle(file)?)
        .map_err(|e| plugins::refused(file, &e))?;
    if let Some(why) = inspection.refused {
        return Err(Error::denied(format!(
            "{} is refused: {why}",
            file.display()
        )));
    }
    let out = out.map_or_else(|| file.with_extension("kwe"), Path::to_owned);
    let failed = |e| plugins::refused(&out, &e);
    let before = match plugins::read_endorsement(&out)? {
        Some(before) => before,
        None => keepwell_bundle::endorsement(inspection.id).map_err(failed)?,
    };
    let pae = keepwell_bundle::endorsement_pae(&before).map_err(failed)?;
    let fresh = keepwell_bundle::endorsement(inspection.id).map_err(failed)?;
    if pae != keepwell_bundle::endorsement_pae(&fresh).map_err(failed)? {
        return Err(Error::usage(format!(
            "{} endorses another bundle; name another file by --out",
            out.display()
        )));
    }
    let (public, signature) = by.sign(&pae)?;
    let signed = keepwell_bundle::endorse(&before, &public, &signature).map_err(failed)?;
    written(global, &out, &signed)
}

fn written(global: &Global, out: &Path, bytes: &[u8]) -> Result<Exit> {
    write_file(out, bytes, 0o644)?;
    let value = serde_json::json!({ "file": out, "bytes": bytes.len() });
    global.out().document(&value, || {
        format!("{} ({} bytes)", out.display(), bytes.len())
    });
    Ok(Exit::Done)
}

fn verify(
    global: &Global,
    file: &Path,
    trust: Option<&Path>,
    endorsement: Option<&Path>,
    explain: bool,
) -> Result<Exit> {
    let (trust, now_ms) = match trust {
        None => {
            let dir = global.dir();
            (plugins::trust(&dir)?, plugins::latest_ms(&dir))
        }
        Some(path) => {
            let text = crate::config::read_text(path)?;
            let trust = keepwell_bundle::Trust::parse(&text)
                .map_err(|e| crate::config::bad_file(path, &text, &e.to_string(), e.span()))?;
            (trust, clock::now_ms())
        }
    };
    let endorsement = plugins::endorsement_of(file, endorsement)?;
    let against = Against {
        trust: &trust,
        now_ms,
        endorsement: endorsement.as_deref(),
    };
    let bytes = plugins::read_bundle(file)?;
    if explain {
        let steps = keepwell_bundle::explain(&bytes, against);
        return Ok(super::trust::print_steps(global, &steps));
    }
    let bundle = keepwell_bundle::open(&bytes, against).map_err(|e| plugins::refused(file, &e))?;
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
