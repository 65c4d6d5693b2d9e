//! One shard: opened, compared, read, and read again before anyone is told that it is corrupt.

use super::digest::Sum;
use super::expand::{self, Broken, Buffers, Content};
use super::files::{self, OpenError, Seen};
use super::listing::{Listed, Listing, Size};
use super::name;
use super::store::Store;
use keepwell_model::store::{DigestKind, Encoding, State, Verdict};
use keepwell_model::words::{Code, Refusal};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// How an examination ended.
#[derive(Debug)]
pub(super) enum Examined {
    Done(Verdict),
    /// Not finished, because `go_on` said no.
    Stopped,
    /// The whole store went away.
    Gone(Refusal),
}

/// Why there is no content to judge.
enum No {
    Stopped,
    Verdict(State, String),
    Suspicious(State, String),
}

pub(super) struct Examiner<'a> {
    pub(super) store: &'a Store,
    pub(super) listing: &'a Listing,
    pub(super) go_on: &'a dyn Fn() -> bool,
    pub(super) buffers: Buffers,
}

impl Examiner<'_> {
    pub(super) fn examine(&mut self, shard: &Listed) -> Examined {
        let mut bytes = shard.bytes;
        let (state, detail) = match self.judge(shard, &mut bytes) {
            Ok(found) => found,
            Err(No::Stopped) => return Examined::Stopped,
            Err(No::Verdict(state, detail)) => (state, detail),
            // One shard gone, or the disk beneath it.
            Err(No::Suspicious(state, detail)) => match self.store.check_present() {
                Err(refusal) if refusal.code == Code::Gone => return Examined::Gone(refusal),
                Ok(()) | Err(_) => (state, detail),
            },
        };
        Examined::Done(Verdict {
            shard: shard.name.clone(),
            state,
            bytes,
            detail: (!detail.is_empty()).then_some(detail),
        })
    }

    fn judge(&mut self, shard: &Listed, bytes: &mut u64) -> Result<(State, String), No> {
        let opened = files::open_file(self.store.root(), &name::unescape(&shard.name));
        let (file, seen) = opened.map_err(|why| match why {
            OpenError::Gone if shard.named => No::Suspicious(
                State::Missing,
                "the store names it, and it went away after it was listed".to_owned(),
            ),
            OpenError::Gone => No::Suspicious(
                State::Vanished,
                "it went away after it was listed".to_owned(),
            ),
            OpenError::NotAFile(what) => {
                No::Verdict(State::Unreadable, format!("{what}, in a shard's place"))
            }
            OpenError::Errno(errno) => unreadable(errno),
        })?;
        *bytes = seen.bytes;
        if let Size::Exactly(right) = shard.size {
            if let Some(state) = wrong_size(seen.bytes, right) {
                return Ok((state, format!("{} bytes instead of {right}", seen.bytes)));
            }
        } else if seen.bytes != shard.bytes {
            let detail = format!("{} bytes when listed, now {}", shard.bytes, seen.bytes);
            return Ok((State::Changed, detail));
        }
        files::will_stream(&file);
        let first = self.read(&file, seen, shard)?;
        if first.meets(&shard.expected) {
            return Ok((State::Ok, String::new()));
        }
        // Once more, from the disk: a bad cable, bridge or memory is not a bad shard.
        files::forget_cached(&file);
        let second = self.read(&file, seen, shard)?;
        if second.meets(&shard.expected) {
            let detail = "read wrong once, then right: suspect memory, cable or controller";
            return Ok((State::Ok, detail.to_owned()));
        }
        let (state, mut detail) = self.classify(shard, seen, &second);
        if first != second {
            detail.push_str("; two readings differed: suspect memory, cable or controller");
        }
        Ok((state, detail))
    }

    /// One reading, of a file that is the same before and after.
    fn read(&mut self, file: &OwnedFd, seen: Seen, shard: &Listed) -> Result<Content, No> {
        let (buffers, go_on) = (&mut self.buffers, self.go_on);
        let read = expand::content(file, seen, &shard.expected, buffers, go_on);
        let changed = || {
            No::Verdict(
                State::Changed,
                "it was written while it was read".to_owned(),
            )
        };
        match read {
            Err(Broken::Stopped) => Err(No::Stopped),
            Err(Broken::Changed) => Err(changed()),
            Err(Broken::Io(errno)) => Err(unreadable(errno)),
            Ok(_) if Seen::now(file).map_err(unreadable)? != seen => Err(changed()),
            Ok(content) => Ok(content),
        }
    }

    fn classify(&self, shard: &Listed, seen: Seen, content: &Content) -> (State, String) {
        match content {
            Content::Short => (
                State::Truncated,
                "the compressed stream ends before its end".to_owned(),
            ),
            Content::Long => (
                State::Oversize,
                "bytes follow after the end of the compressed stream".to_owned(),
            ),
            Content::Damaged(why) => (State::Corrupt, why.clone()),
            Content::Beyond(why) => (State::Unverifiable, why.clone()),
            Content::Whole => (
                State::Unverifiable,
                "its own checksums are right, and it should have a digest".to_owned(),
            ),
            Content::Sum(sum, digest) => self.classify_sum(seen, shard, sum, *digest),
        }
    }

    fn classify_sum(
        &self,
        seen: Seen,
        shard: &Listed,
        sum: &Sum,
        digest: DigestKind,
    ) -> (State, String) {
        if self.listing.known.binary_search(sum).is_ok() {
            let whose = self
                .listing
                .shards
                .iter()
                .find(|s| s.expected.sum() == Some(*sum))
                .map_or_else(|| self.written(sum, digest), |s| s.name.clone());
            return (
                State::Misplaced,
                format!("its bytes are those of `{whose}`"),
            );
        }
        if seen.bytes == 0 {
            return (State::Truncated, "it is empty".to_owned());
        }
        if let Size::Once(right) = shard.size
            && let Some(state) = wrong_size(seen.bytes, right)
        {
            let detail = format!("{} bytes, and {right} when it was last good", seen.bytes);
            return (state, detail);
        }
        let found = self.written(sum, digest);
        (State::Corrupt, format!("its bytes hash to {found}"))
    }

    fn written(&self, sum: &Sum, digest: DigestKind) -> String {
        self.store.layout.as_ref().map_or_else(
            || super::digest::text(sum, digest, Encoding::Hex),
            |layout| layout.written(sum, digest),
        )
    }
}

fn wrong_size(is: u64, right: u64) -> Option<State> {
    match is.cmp(&right) {
        std::cmp::Ordering::Less => Some(State::Truncated),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(State::Oversize),
    }
}

fn unreadable(errno: Errno) -> No {
    let detail = files::in_words(errno);
    match errno {
        // What a disk that was pulled answers.
        Errno::IO | Errno::STALE | Errno::NODEV | Errno::NXIO | Errno::NOTCONN => {
            No::Suspicious(State::Unreadable, detail)
        }
        _ => No::Verdict(State::Unreadable, detail),
    }
}
