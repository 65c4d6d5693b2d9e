//! Where the daemon listens: in the node directory, which its owner alone can enter, and where
//! `[daemon] socket` says, for everybody. The roles are the same at both.

use crate::error::{Error, Result};
use crate::node::Node;
use crate::node_dir::Socket;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Everybody may connect; who may ask what is decided by the peer's credentials.
const FOR_ALL: u32 = 0o666;

/// Dropping it takes the names away: what a killed daemon leaves behind is taken over, what one
/// that ended in order left would only confuse.
#[derive(Debug)]
pub(super) struct Sockets {
    own: UnixListener,
    /// The one for everybody.
    other: Option<UnixListener>,
    names: Vec<PathBuf>,
}

impl Sockets {
    pub(super) fn listen(node: &Node) -> Result<Self> {
        let file = node.dir.socket_file();
        let mut it = Self {
            own: bind(&file)?,
            other: None,
            names: vec![file],
        };
        if let Some(file) = &node.config.node.daemon.socket {
            if !file.is_absolute() {
                let problem = format!("`daemon.socket` is not absolute: {}", file.display());
                return Err(Error::config(problem).hint("for example `/run/keepwell.sock`"));
            }
            it.other = Some(bind(file)?);
            it.names.push(file.clone());
            std::fs::set_permissions(file, Permissions::from_mode(FOR_ALL))
                .map_err(|e| Error::io("open to all", file, &e))?;
        }
        Ok(it)
    }

    pub(super) async fn accept(&self) -> std::io::Result<UnixStream> {
        let (stream, _) = match &self.other {
            None => self.own.accept().await?,
            Some(other) => tokio::select! {
                one = self.own.accept() => one?,
                one = other.accept() => one?,
            },
        };
        Ok(stream)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for name in &self.names {
            // Whoever removed it before us has done what we would.
            let _ = std::fs::remove_file(name);
        }
    }
}

/// Takes over a socket's name: whoever had it is gone, for we hold the node's lock. Anything else
/// of that name is somebody's file and stays.
fn bind(file: &Path) -> Result<UnixListener> {
    match std::fs::symlink_metadata(file) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(file).map_err(|e| Error::io("remove", file, &e))?;
        }
        Ok(_) => {
            let what = format!("{} is there and is no socket", file.display());
            return Err(
                Error::config(what).hint("move it away, or let the daemon listen elsewhere")
            );
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("look at", file, &e)),
    }
    let socket = Socket::beside(file)?;
    UnixListener::bind(socket.path()).map_err(|e| Error::io("listen on", file, &e))
}
