//! What `repo` can be asked, and with which files.

use super::super::reading::Reading;
use crate::error::Result;
use crate::files;
use crate::offer::Wanted;
use crate::tuf::{self, Keys, Known, Lifetimes, Place, Publisher, Reader, Roles};
use crate::web::Web;
use keepwell_bundle::PublicKey;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a repository in DIR: its first root, with nothing on offer.
    #[command(
        after_help = "Example:\n  keepwell-pull repo init plugins --key root.key --online-key online.key"
    )]
    Init {
        dir: PathBuf,
        #[command(flatten)]
        roles: RoleKeys,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// Add bundles of the owner's own, each with the endorsement that lies beside it.
    #[command(
        after_help = "Example:\n  keepwell-pull repo add plugins tally-0.1.0.kwb --key root.key --key online.key"
    )]
    Add(Files),
    /// Add endorsements (`FILE.kwe`) of bundles that are offered, whoever offers them.
    #[command(
        after_help = "Example:\n  keepwell-pull repo endorse plugins acme-tally-0.1.0.kwe --key root.key --key online.key"
    )]
    Endorse(Files),
    /// Sign a list of bundles in DIR, as a publisher, for a repository's owner to take over.
    #[command(
        after_help = "Example:\n  keepwell-pull repo offer outgoing acme-tally-0.1.0.kwb --publisher acme --key acme.key"
    )]
    Offer {
        dir: PathBuf,
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The publisher's name, as the delegation has it.
        #[arg(long, value_name = "NAME")]
        publisher: Publisher,
        #[command(flatten)]
        keys: KeyFiles,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// Give a publisher the names that match, and take over what it offers.
    #[command(
        after_help = "Example:\n  keepwell-pull repo delegate plugins --publisher acme --names 'acme-*' --public \"$(cat acme.key.pub)\" --from outgoing --key root.key --key online.key"
    )]
    Delegate {
        dir: PathBuf,
        #[arg(long, value_name = "NAME")]
        publisher: Publisher,
        /// Globs on plugin names; `*` stands for any run of characters.
        #[arg(long, required = true, value_name = "GLOB")]
        names: Vec<String>,
        /// The publisher's public key, `ed25519:…`.
        #[arg(long, value_name = "KEY")]
        public: PublicKey,
        /// What `repo offer` made.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        #[command(flatten)]
        keys: KeyFiles,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// Take over what a publisher offers now.
    #[command(
        after_help = "Example:\n  keepwell-pull repo accept plugins --publisher acme --from outgoing --key online.key"
    )]
    Accept {
        dir: PathBuf,
        #[arg(long, value_name = "NAME")]
        publisher: Publisher,
        /// What `repo offer` made.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        #[command(flatten)]
        keys: KeyFiles,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// Sign snapshot and timestamp anew, so that readers know they see the newest state.
    #[command(after_help = "Example:\n  keepwell-pull repo refresh plugins --key online.key")]
    Refresh {
        dir: PathBuf,
        #[command(flatten)]
        keys: KeyFiles,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// Give the repository a new root with other keys, signed by the old ones too.
    #[command(
        after_help = "Example:\n  keepwell-pull repo rotate plugins --old-key root.key --key root-2.key --online-key online-2.key"
    )]
    Rotate {
        dir: PathBuf,
        /// A root key of now.
        #[arg(long, required = true, value_name = "FILE")]
        old_key: Vec<PathBuf>,
        #[command(flatten)]
        roles: RoleKeys,
        #[command(flatten)]
        lifetimes: Lifetimes,
    },
    /// What a repository offers: plugins whose names contain every WORD, newest first.
    #[command(
        after_help = "Example:\n  keepwell-pull repo search tally --repo /media/plugins --root root.json"
    )]
    Search {
        words: Vec<String>,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        reading: Reading,
    },
    /// Bring one bundle into a folder: the newest version, or the one named.
    #[command(
        after_help = "Example:\n  keepwell-pull repo fetch tally@0.1.0 --repo https://plugins.example/ --root root.json --out ."
    )]
    Fetch {
        /// NAME or NAME@VERSION.
        #[arg(value_name = "PLUGIN")]
        wanted: Wanted,
        #[command(flatten)]
        at: At,
        /// The folder to write into.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        reading: Reading,
    },
}

/// Files for the owner's own list.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    pub(super) dir: PathBuf,
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) keys: KeyFiles,
    #[command(flatten)]
    pub(super) lifetimes: Lifetimes,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyFiles {
    /// A key that signs: of each role that changes, one.
    #[arg(long, required = true, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RoleKeys {
    /// A root key. It signs the rest too, where no other key is named.
    #[arg(long, required = true, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
    /// How many root keys must sign the next root.
    #[arg(long, default_value = "1", value_name = "N")]
    threshold: NonZeroU64,
    /// Signs what is on offer.
    #[arg(long, value_name = "FILE")]
    targets_key: Vec<PathBuf>,
    /// Signs snapshot and timestamp; may lie on the machine that refreshes them.
    #[arg(long, value_name = "FILE")]
    online_key: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// The repository: https://…, file:/… or a folder.
    #[arg(long, value_name = "PLACE")]
    repo: Place,
    /// The root it is trusted from, which came another way than the repository.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Where is remembered what was seen of it. Default: FILE.known beside the root.
    #[arg(long, value_name = "DIR")]
    known: Option<PathBuf>,
}

impl RoleKeys {
    /// The public keys by role, and all private ones.
    pub(super) fn read(&self) -> Result<(Roles, Keys)> {
        let of = |paths: &[PathBuf]| Keys::read(if paths.is_empty() { &self.key } else { paths });
        let (root, targets, online) = (
            Keys::read(&self.key)?,
            of(&self.targets_key)?,
            of(&self.online_key)?,
        );
        let roles = Roles {
            root: root.public()?,
            threshold: self.threshold,
            targets: targets.public()?,
            online: online.public()?,
        };
        Ok((roles, Keys([root.0, targets.0, online.0].concat())))
    }
}

impl At {
    fn known(&self) -> PathBuf {
        let beside = || {
            let mut name = self.root.as_os_str().to_owned();
            name.push(".known");
            PathBuf::from(name)
        };
        self.known.clone().unwrap_or_else(beside)
    }

    /// Reads the root, then closes the walls, then is ready to look.
    pub(super) fn open(&self, reading: &Reading, out: Option<&Path>) -> Result<(Reader, Known)> {
        let root = files::read_told(&self.root, tuf::ROOT_MAX_BYTES)?;
        let rules = reading.rules()?;
        let known = self.known();
        let folder: Vec<&Path> = match &self.repo {
            Place::Folder(path) => vec![path],
            Place::Web(_) => vec![],
        };
        let network = folder.is_empty();
        let writable: Vec<&Path> = out.into_iter().chain([known.as_path()]).collect();
        reading.enclose(&folder, &writable, network)?;
        let reader = Reader {
            place: self.repo.clone(),
            root,
            web: None,
        };
        crate::cli::prepare();
        let web = network.then(|| Web::new(&rules)).transpose()?;
        Ok((Reader { web, ..reader }, Known::open(&known)?))
    }
}
