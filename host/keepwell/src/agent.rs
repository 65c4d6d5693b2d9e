//! Has a key in an ssh-agent sign: the one other socket that this program speaks to.

use crate::error::{Error, Result, chain};
use keepwell_bundle::{AGENT_REPLY_MAX_BYTES, PublicKey, agent_request, agent_signature};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// An agent may ask its user to touch a token or to confirm.
const PATIENCE: Duration = Duration::from_secs(60);

/// The raw signature of exactly this message.
pub(crate) fn sign(key: &PublicKey, message: &[u8]) -> Result<Vec<u8>> {
    let path = std::env::var_os("SSH_AUTH_SOCK").ok_or_else(|| {
        Error::config("no ssh-agent is known: SSH_AUTH_SOCK is not set")
            .hint("start one with `eval $(ssh-agent)` and add the key with `ssh-add FILE`")
    })?;
    let failed = |e: std::io::Error| Error::failed(format!("the ssh-agent does not answer: {e}"));
    let mut agent = UnixStream::connect(&path).map_err(failed)?;
    agent.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    agent.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    agent
        .write_all(&agent_request(key, message))
        .map_err(failed)?;
    let mut len = [0; 4];
    agent.read_exact(&mut len).map_err(failed)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > AGENT_REPLY_MAX_BYTES {
        return Err(Error::failed(format!(
            "the ssh-agent answers with {len} bytes, which is no signature"
        )));
    }
    let mut reply = vec![0; len];
    agent.read_exact(&mut reply).map_err(failed)?;
    let signature = agent_signature(key, &reply).map_err(|e| Error::failed(chain(&e)))?;
    signature.ok_or_else(|| {
        Error::denied("the ssh-agent did not sign: it does not hold the key, or its user said no")
            .hint("`ssh-add -L` lists the keys that it holds")
    })
}
