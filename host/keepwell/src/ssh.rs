//! Signs with an SSH key by the system's own ssh-keygen, which asks an agent or for a passphrase as
//! its user is used to: the third door to child processes.
#![expect(
    clippy::disallowed_methods,
    reason = "only ssh-keygen and its agent can use an SSH key"
)]

use crate::error::{Error, Result};
use keepwell_bundle::SSH_NAMESPACE;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The armored signature of `message` by the key in (or named by) the file `key`.
pub fn sign(key: &Path, message: &[u8]) -> Result<String> {
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-q", "-n", SSH_NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| {
            Error::failed(format!("cannot run ssh-keygen: {e}")).hint("install OpenSSH's client")
        })?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(message)
            .map_err(|e| Error::failed(format!("ssh-keygen does not listen: {e}")))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|e| Error::failed(format!("ssh-keygen was lost: {e}")))?;
    if !output.status.success() {
        return Err(
            Error::failed(format!("ssh-keygen did not sign with {}", key.display()))
                .hint("what it said is above"),
        );
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::failed("ssh-keygen printed something else than a signature"))
}
