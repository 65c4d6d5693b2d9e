//! Borg 1 repositories: segments are numbered, and each of their entries has a CRC-32. It finds what a disk
//! does to them, and nothing that somebody means to.

use super::super::layout::{Frame, Layout, LayoutError};
use super::Kind;
use rustix::fs::FileType;

#[derive(Debug)]
pub(super) struct Borg1;

impl Kind for Borg1 {
    fn layout(&self) -> Result<Option<Layout>, LayoutError> {
        let ignore = [
            "README",
            "config",
            "nonce",
            "{hints,index,integrity}.*",
            "lock.*/**",
            "lock.*",
        ];
        let layout = Layout::new(&[], &ignore, &["**/*.tmp"])?;
        let segments = layout.framed(&["data/[0-9]*/[0-9]*"], Frame::BorgSegment)?;
        Ok(Some(segments))
    }

    fn needed(&self) -> Vec<(&str, FileType)> {
        vec![
            ("config", FileType::RegularFile),
            ("data", FileType::Directory),
        ]
    }
}
