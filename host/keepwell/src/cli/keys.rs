//! Keys that sign: in a file, perhaps encrypted, or in an ssh-agent.

use crate::agent;
use crate::error::{Error, Result, chain};
use keepwell_bundle::{BadKey, PublicKey, SecretKey};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

/// Names a file whose first line is the passphrase, for where nobody can be asked.
const PASSPHRASE_FILE: &str = "KEEPWELL_PASSPHRASE_FILE";
/// Shorter ones keep nobody out who has the file.
const PASSPHRASE_MIN: usize = 8;

/// Which key signs.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeyArgs {
    /// A private key: PKCS#8 PEM, Ed25519 or P-256, perhaps encrypted.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A key in the ssh-agent, by its public half as in `id_ed25519.pub`.
    #[arg(long, value_name = "FILE.pub")]
    agent: Option<PathBuf>,
}

/// A key, wherever it is.
pub(super) enum Signs {
    Here(SecretKey),
    Agent(PublicKey),
}

impl KeyArgs {
    pub(super) fn open(&self) -> Result<Signs> {
        Signs::open(self.key.as_deref(), self.agent.as_deref())
    }
}

impl Signs {
    pub(super) fn open(key: Option<&Path>, agent: Option<&Path>) -> Result<Self> {
        match (key, agent) {
            (Some(file), _) => Ok(Self::Here(read(file)?)),
            (None, Some(file)) => {
                let line = crate::config::read_text(file)?;
                let key = keepwell_bundle::agent_key(&line);
                let wrong = |e| Error::config(format!("{}: {}", file.display(), chain(&e)));
                key.map(Self::Agent).map_err(wrong)
            }
            (None, None) => Err(Error::usage("no key is named").hint("--key FILE or --agent FILE")),
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        match self {
            Self::Here(key) => key.public(),
            Self::Agent(key) => *key,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Here(key) => Ok(key.sign(message)),
            Self::Agent(key) => agent::sign(key, message),
        }
    }
}

/// A private key in a file; its passphrase is asked for when it has one.
pub(super) fn read(path: &Path) -> Result<SecretKey> {
    let mut failed = None;
    let mut ask = || {
        passphrase(&format!("passphrase of {}", path.display())).map_err(|e| {
            failed = Some(e);
            BadKey::Encrypted
        })
    };
    let key = keepwell_bundle::read_secret(path, &mut ask);
    key.map_err(|e| {
        failed.unwrap_or_else(|| {
            Error::config(chain(&e)).hint("`keepwell bundle keygen FILE` makes a key")
        })
    })
}

/// A passphrase for a new key: asked for twice.
pub(super) fn new_passphrase(path: &Path) -> Result<String> {
    let first = passphrase(&format!("new passphrase for {}", path.display()))?;
    if first.chars().count() < PASSPHRASE_MIN {
        return Err(Error::usage(format!(
            "a passphrase has at least {PASSPHRASE_MIN} characters"
        )));
    }
    if std::env::var_os(PASSPHRASE_FILE).is_none() && passphrase("once more")? != first {
        return Err(Error::usage("the two are not the same"));
    }
    Ok(first)
}

/// The first line of the file that is named for it, or what is typed, which nobody sees.
fn passphrase(what: &str) -> Result<String> {
    if let Some(file) = std::env::var_os(PASSPHRASE_FILE) {
        let text = crate::config::read_text(Path::new(&file))?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Error::usage(format!(
            "{what} is needed, and nobody at a terminal can be asked"
        ))
        .hint("name a file with it in KEEPWELL_PASSPHRASE_FILE, or use --agent"));
    }
    crate::show::say(&format!("{what}:"));
    let failed = |e: rustix::io::Errno| Error::failed(format!("the terminal does not obey: {e}"));
    let seen = tcgetattr(&input).map_err(failed)?;
    let mut unseen = seen.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &unseen).map_err(failed)?;
    let mut typed = String::new();
    let read = input.lock().read_line(&mut typed);
    // Whatever became of it, the terminal is as it was.
    tcsetattr(&input, OptionalActions::Flush, &seen).map_err(failed)?;
    read.map_err(|e| Error::usage(format!("nothing was typed: {e}")))?;
    Ok(typed.trim_end_matches(['\r', '\n']).to_owned())
}
