//! `oci`: bundles in registries and in folders that mirror them.

use super::reading::{Reading, wrote};
use super::run;
use crate::endorsement;
use crate::error::{Error, Result};
use crate::files;
use crate::oci::{self, Credentials, Folder, Mirror, Registry};
use crate::offer::Offer;
use crate::show::{self, Format};
use crate::web::{Rules, Web};
use keepwell_bundle::BUNDLE_MAX_BYTES;
use keepwell_model::manifest::parse_version;
use keepwell_model::state::Exit;
use oci_client::Reference;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Push a bundle, and the endorsement that lies beside it, and print the digest that pins it.
    #[command(
        after_help = "Example:\n  keepwell-pull oci push tally-0.1.0.kwb oci.site.lan/plugins/tally:0.1.0"
    )]
    Push {
        file: PathBuf,
        /// REGISTRY/REPOSITORY:TAG.
        #[arg(value_name = "REF", value_parser = oci::reference)]
        at: Reference,
        #[command(flatten)]
        asking: Asking,
    },
    /// Bring one bundle into a folder. A tag is resolved once; a digest pins what may come.
    #[command(
        after_help = "Example:\n  keepwell-pull oci fetch oci.site.lan/plugins/tally:0.1.0 --out ."
    )]
    Fetch {
        /// REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST.
        #[arg(value_name = "REF", value_parser = oci::reference)]
        at: Reference,
        /// The folder to write into.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        asking: Asking,
    },
    /// The versions that a repository has tags of, newest first.
    #[command(after_help = "Example:\n  keepwell-pull oci versions oci.site.lan/plugins/tally")]
    Versions {
        /// REGISTRY/REPOSITORY.
        #[arg(value_name = "REF", value_parser = oci::reference)]
        at: Reference,
        #[command(flatten)]
        asking: Asking,
    },
    /// Copy a bundle to another registry or into a folder, and compare the copy.
    #[command(
        after_help = "Example:\n  keepwell-pull oci mirror oci.site.lan/plugins/tally:0.1.0 --to dir:/media/plugins"
    )]
    Mirror {
        /// REGISTRY/REPOSITORY:TAG.
        #[arg(value_name = "REF", value_parser = oci::reference)]
        at: Reference,
        /// REGISTRY/REPOSITORY:TAG, or `dir:` and a folder.
        #[arg(long, value_name = "REF|dir:DIR")]
        to: String,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Asking {
    /// Names and passwords of registries, as `docker login` writes them; each goes to its own.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// A host that may be sent a registry's password for a token, beside that registry.
    #[arg(long, value_name = "HOST")]
    auth_host: Vec<String>,
    /// Where to look first: REGISTRY/PATH=REGISTRY/PATH, or =dir:FOLDER. In this order.
    #[arg(long, value_name = "OF=MIRROR")]
    mirror: Vec<Mirror>,
    #[command(flatten)]
    reading: Reading,
}

impl Asking {
    /// Reads what is needed, closes the walls, and is ready to ask.
    fn open(&self, readable: &[&Path], writable: &[&Path]) -> Result<(Registry, Rules)> {
        let credentials = match &self.credentials {
            Some(path) => Credentials::parse(&files::read_told(path, oci::CREDENTIALS_MAX_BYTES)?)?,
            None => Credentials::default(),
        };
        let rules = self.reading.rules()?;
        let folders = self
            .mirror
            .iter()
            .filter_map(Mirror::folder)
            .map(PathBuf::as_path);
        let readable: Vec<&Path> = readable.iter().copied().chain(folders).collect();
        self.reading.enclose(&readable, writable, true)?;
        super::prepare();
        let web = Web::new(&rules)?;
        let realms = self.auth_host.clone();
        Ok((
            Registry::new(web, rules.plain.clone(), credentials, realms),
            rules,
        ))
    }
}

pub(super) fn oci(format: Format, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::Push { file, at, asking } => {
            let kwb = files::read_told(file, BUNDLE_MAX_BYTES as u64)?;
            let endorsement = endorsement::beside(file, Offer::of(&kwb)?.bundle)?;
            let (registry, rules) = asking.open(&[], &[])?;
            let endorsement = endorsement.as_deref();
            let digest = run(oci::push(&registry, &rules, at, &kwb, endorsement))?;
            let pinned = at.clone_with_digest(digest.to_string());
            let value = serde_json::json!({ "reference": at.to_string(), "digest": digest });
            Ok(wrote(format, &value, format!("{pinned}")))
        }
        Verb::Fetch { at, out, asking } => {
            let (registry, _) = asking.open(&[], &[out])?;
            let came = run(oci::fetch(&registry, at, &asking.mirror))?;
            let offer = Offer::of(&came.kwb)?;
            let file = out.join(format!("{}-{}.kwb", offer.plugin, offer.version));
            let endorsement = came.endorsement.as_deref();
            endorsement.map_or(Ok(()), |it| endorsement::check(it, offer.bundle))?;
            endorsement::write(&file, &came.kwb, endorsement)?;
            let value = serde_json::json!({
                "file": file, "plugin": offer.plugin, "version": offer.version,
                "release": offer.release, "bundle": offer.bundle, "bytes": came.kwb.len(),
                "digest": came.digest, "from": came.from, "endorsed": came.endorsement.is_some(),
            });
            let text = format!("{} is {}, {}", file.display(), came.from, came.digest);
            Ok(wrote(format, &value, text))
        }
        Verb::Versions { at, asking } => {
            let (registry, _) = asking.open(&[], &[])?;
            let mut versions = run(registry.tags(at))?;
            // Other tags are of other uses.
            versions.retain(|tag| parse_version(tag).is_some());
            versions.sort_by_key(|tag| std::cmp::Reverse(parse_version(tag)));
            Ok(show::rows(format, &versions, String::clone))
        }
        Verb::Mirror { at, to, asking } => mirror(format, at, to, asking),
    }
}

/// The copy is read back and compared before anything is said.
fn mirror(format: Format, at: &Reference, to: &str, asking: &Asking) -> Result<Exit> {
    let folder = to.strip_prefix("dir:").map(Path::new);
    let writable: Vec<&Path> = folder.into_iter().collect();
    let (registry, rules) = asking.open(&[], &writable)?;
    let came = run(async {
        let came = oci::fetch(&registry, at, &asking.mirror).await?;
        let bundle = Offer::of(&came.kwb)?.bundle;
        let endorsement = came.endorsement.as_deref();
        endorsement.map_or(Ok(()), |it| endorsement::check(it, bundle))?;
        let pinned = |of: &Reference| of.clone_with_digest(came.digest.to_string());
        let copy = match folder {
            Some(folder) => {
                Folder::new(folder).put(at, &came.kwb, endorsement)?;
                oci::fetch_from_folder(folder, &pinned(at))?
            }
            None => {
                let to = oci::reference(to).map_err(Error::usage)?;
                oci::push(&registry, &rules, &to, &came.kwb, endorsement).await?;
                oci::fetch(&registry, &pinned(&to), &[]).await?
            }
        };
        match copy.kwb == came.kwb && copy.endorsement == came.endorsement {
            true => Ok(came),
            false => Err(Error::denied(format!(
                "the copy in {to} is not what was copied"
            ))),
        }
    })?;
    let value = serde_json::json!({ "reference": at.to_string(), "to": to, "digest": came.digest });
    Ok(wrote(
        format,
        &value,
        format!("{at} is in {to} too, as {}", came.digest),
    ))
}
