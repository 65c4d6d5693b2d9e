//! Publisher keys on disk: one PEM file, readable by its owner alone. The crate's door to files.

use crate::key::{BadKey, PEM_MAX_BYTES, SecretKey};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Why a key file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot write key file `{path}`; a key is never written over")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read key file `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("key file `{path}` can be read by others (mode {mode:04o}); run `chmod 600` on it")]
    Open { path: PathBuf, mode: u32 },
    #[error("key file `{path}` holds no key that can be used")]
    Key { path: PathBuf, source: BadKey },
}

/// Writes a new file with mode 0600 and waits until it is on disk. An existing file stays.
pub fn write_secret(path: &Path, pem: &str) -> Result<(), KeyFileError> {
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| KeyFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Reads a key; refuses a file that its group or others may read. The passphrase is asked for only if
/// the key is encrypted.
pub fn read_secret(
    path: &Path,
    passphrase: &mut dyn FnMut() -> Result<String, BadKey>,
) -> Result<SecretKey, KeyFileError> {
    let failed = |source| KeyFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        let found = file.metadata().map_err(failed)?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open {
                path: path.to_owned(),
                mode,
            });
        }
    }
    let mut text = String::new();
    file.take(PEM_MAX_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(failed)?;
    SecretKey::from_pem_with(&text, passphrase).map_err(|source| KeyFileError::Key {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Result<SecretKey, KeyFileError> {
        read_secret(path, &mut || Err(BadKey::Encrypted))
    }

    #[test]
    fn written_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("publisher.pem");
        let key = SecretKey::generate([1; 32]);
        write_secret(&path, &key.to_pem().unwrap()).unwrap();
        assert_eq!(read(&path).unwrap().public(), key.public());
        let again = write_secret(&path, &SecretKey::generate([2; 32]).to_pem().unwrap());
        assert!(matches!(again, Err(KeyFileError::Write { .. })));
        assert_eq!(read(&path).unwrap().public(), key.public());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("publisher.pem");
        write_secret(&path, &SecretKey::generate([1; 32]).to_pem().unwrap()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read(&path);
        assert!(matches!(
            refused,
            Err(KeyFileError::Open { mode: 0o640, .. })
        ));
    }
}
