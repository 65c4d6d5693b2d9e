//! `store create|import|export|status|repair PATH`: native stores by hand, as their owner. What a task may
//! do to one goes through the gate and the journal like every other change.

mod export;
mod import;
mod progress;
mod repair;
mod status;

pub(crate) use export::{Export, export};
pub(crate) use import::{Import, import};
pub(crate) use repair::{Repair, repair};
pub(crate) use status::status;

use super::Global;
use super::keys::{KeyArgs, Signs};
use crate::error::{Error, Result, chain};
use keepwell_bundle::PublicKey;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use keepwell_store::{Hash, Scheme, Signer, Store};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// An empty folder, or one that is not there yet.
    path: PathBuf,
    /// Data and parity shards of a group, or `xN` for N copies.
    #[arg(long, value_name = "K+M", default_value_t = Scheme::default())]
    scheme: Scheme,
    /// What names shards: blake3, or sha256 where other tools must verify them.
    #[arg(long, value_name = "DIGEST", default_value = "blake3")]
    digest: Hash,
    /// The most one shard holds.
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(keepwell_store::SHARD_BYTES as u64))]
    shard_bytes: Bytes,
    #[command(flatten)]
    key: KeyArgs,
}

impl Signer for Signs {
    fn public(&self) -> PublicKey {
        Self::public(self)
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        Self::sign(self, message).map_err(|e| e.message)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as the argument of map_err"
)]
fn failed(e: keepwell_store::Error) -> Error {
    use keepwell_store::Error as E;
    let hint = e.hint();
    let message = chain(&e);
    let error = match e {
        E::Scheme(_) | E::Limit(_) | E::NotEmpty { .. } | E::Exists(_) | E::Taken(_) => {
            Error::usage(message)
        }
        E::NoObject(_) | E::NoStore { .. } => Error::config(message),
        E::Unsigned { .. } => Error::denied(message),
        E::Io { .. }
        | E::Damaged { .. }
        | E::Lost { .. }
        | E::Incomplete { .. }
        | E::Changed(_)
        | E::Random
        | E::Signer(_) => Error::failed(message),
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

pub(super) fn create(global: &Global, args: &Create) -> Result<Exit> {
    let signs = args.key.open()?;
    let bytes = usize::try_from(args.shard_bytes.0).unwrap_or(usize::MAX);
    let made = Store::create(
        &args.path,
        args.digest,
        args.scheme,
        bytes,
        &Signs::public(&signs),
    );
    let store = made.map_err(failed)?;
    let value = serde_json::json!({
        "store": store.id(), "path": args.path, "scheme": args.scheme, "digest": args.digest,
        "shard-bytes": args.shard_bytes, "signer": Signs::public(&signs).to_string(),
    });
    global.out().document(&value, || {
        format!(
            "store {} is ready at {}: {}, any {} of {} shards may be lost",
            store.id(),
            args.path.display(),
            args.scheme,
            args.scheme.m(),
            args.scheme.shards()
        )
    });
    Ok(Exit::Done)
}
