//! What goes over the socket: JSON lines. The client sends one request and may send `stop`; the
//! daemon sends records and progress while it works, and one answer or error at the end.

use super::{Answer, Request};
use crate::config::Problem;
use crate::error::Error;
use keepwell_model::event::Record;
use keepwell_model::state::Exit;
use keepwell_model::words::Progress;
use serde::{Deserialize, Serialize};
use std::io::BufRead;

/// A bundle in base64 and its frame: nothing else comes near.
pub const LINE_MAX_BYTES: u64 = (keepwell_bundle::BUNDLE_MAX_BYTES as u64) / 3 * 4 + (1 << 16);

/// One line in either direction.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Client: do this. First line of a connection.
    Request(Request),
    /// Client: stop at the next safe point.
    Stop,
    Record(Box<Record>),
    Progress(Progress),
    Answer(Box<Answer>),
    Error(WireError),
}

/// An error with everything needed to show it as if it had happened here.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireError {
    exit: u8,
    message: String,
    hint: Option<String>,
    places: Vec<Problem>,
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        Self {
            exit: error.exit.code(),
            message: error.message,
            hint: error.hint,
            places: error.places,
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        Self {
            exit: Exit::from_code(wire.exit),
            message: wire.message,
            hint: wire.hint,
            taken: false,
            places: wire.places,
        }
    }
}

impl Frame {
    /// With its newline.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(line)
            .map_err(|e| Error::failed(format!("the other side of the socket said nonsense: {e}")))
    }
}

/// The next line; `None` at the end. A line over the bound is an error, not memory.
pub fn read_line(from: &mut impl BufRead) -> Result<Option<Vec<u8>>, Error> {
    use std::io::Read as _;
    let mut line = vec![];
    from.take(LINE_MAX_BYTES)
        .read_until(b'\n', &mut line)
        .map_err(|e| Error::failed(format!("the connection to the daemon broke: {e}")))?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() as u64 == LINE_MAX_BYTES => Err(Error::failed(format!(
            "a line on the socket is longer than {LINE_MAX_BYTES} bytes"
        ))),
        Some(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_as_they_left() {
        let error = Error::denied("no").hint("ask");
        let line = Frame::Error(error.into()).line();
        let Frame::Error(wire) = Frame::parse(line.trim_ascii_end()).unwrap() else {
            panic!("not an error");
        };
        let error = Error::from(wire);
        assert_eq!((error.exit, error.message.as_str()), (Exit::Denied, "no"));
        assert_eq!(error.hint.as_deref(), Some("ask"));
    }

    #[test]
    fn a_line_without_end_is_the_end() {
        let mut text: &[u8] = b"{\"stop\":null}\nhalf";
        assert!(read_line(&mut text).unwrap().is_some());
        assert!(read_line(&mut text).unwrap().is_none());
    }
}
