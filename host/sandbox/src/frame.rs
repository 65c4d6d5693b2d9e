//! Frames: a length of four bytes, little-endian, then that many bytes of postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame. The largest honest ones are lists of proposals and of remembered shards, which
/// both sides cut into pieces far below this.
pub const FRAME_MAX_BYTES: usize = 8 << 20;
/// Bytes of a list in one frame, roughly: well below [`FRAME_MAX_BYTES`] whatever its items add.
pub(crate) const PIECE_BYTES: usize = 1 << 20;
pub(crate) const HEADER_BYTES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes is longer than {FRAME_MAX_BYTES}")]
    TooLong(usize),
    #[error("a frame does not say what it should")]
    Garbled(#[source] postcard::Error),
    #[error("{0} bytes follow the end of a frame's content")]
    Trailing(usize),
    #[error("cannot write a frame")]
    Encode(#[source] postcard::Error),
    #[error("the other side is gone")]
    Closed,
    #[error("the channel failed")]
    Io(#[source] rustix::io::Errno),
}

/// Header and body.
pub(crate) fn encode<T: Serialize>(content: &T) -> Result<Vec<u8>, FrameError> {
    let frame = vec![0; HEADER_BYTES];
    let mut frame = postcard::to_extend(content, frame).map_err(FrameError::Encode)?;
    let length = frame.len() - HEADER_BYTES;
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::TooLong(length));
    }
    let header = u32::try_from(length).map_err(|_| FrameError::TooLong(length))?;
    frame[..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
    Ok(frame)
}

/// The length of the body a header announces.
pub(crate) fn body_length(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if length > FRAME_MAX_BYTES {
        return Err(FrameError::TooLong(length));
    }
    Ok(length)
}

/// The content of a whole body; what is left over is refused.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (content, rest) = postcard::take_from_bytes(body).map_err(FrameError::Garbled)?;
    if rest.is_empty() {
        Ok(content)
    } else {
        Err(FrameError::Trailing(rest.len()))
    }
}

/// Cuts a list into pieces of about [`PIECE_BYTES`], by what `weigh` says of each item. An empty
/// list is one empty piece.
pub(crate) fn pieces<T>(items: Vec<T>, weigh: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    let mut bytes = 0;
    for item in items {
        let weight = weigh(&item);
        if bytes + weight > PIECE_BYTES && bytes > 0 {
            all.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(piece) = all.last_mut() {
            piece.push(item);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Answer, Finished, FromWorker, ToWorker};
    use keepwell_model::words::{Failure, Refusal};
    use proptest::prelude::*;

    fn body(frame: &[u8]) -> &[u8] {
        let header = frame[..HEADER_BYTES].try_into().unwrap();
        assert_eq!(body_length(header).unwrap(), frame.len() - HEADER_BYTES);
        &frame[HEADER_BYTES..]
    }

    /// The model leaves absent hints out of JSON; in a frame they must not shift what follows.
    #[test]
    fn refusals_survive_with_and_without_a_hint() {
        let both = vec![
            Err(Refusal::denied("a")),
            Ok(7),
            Err(Refusal::gone("b").hint("c")),
        ];
        let frame = encode(&ToWorker {
            answer: Answer::Proposed(Ok(both.clone())),
            more: true,
        })
        .unwrap();
        let back: ToWorker = decode(body(&frame)).unwrap();
        assert!(back.more);
        assert!(matches!(back.answer, Answer::Proposed(Ok(list)) if list == both));
    }

    #[test]
    fn failures_survive() {
        for failure in [
            Failure::Transient("t".into()),
            Failure::Permanent("p".into()),
            Failure::Refused(Refusal::busy("b")),
        ] {
            let finished = Finished::Failed(failure.clone().into());
            let frame = encode(&FromWorker::Finished {
                finished,
                usage: Default::default(),
            })
            .unwrap();
            let back: FromWorker = decode(body(&frame)).unwrap();
            let FromWorker::Finished {
                finished: Finished::Failed(back),
                ..
            } = back
            else {
                panic!("{back:?}")
            };
            assert_eq!(Failure::from(back), failure);
        }
    }

    #[test]
    fn a_frame_over_the_cap_is_refused_by_both_sides() {
        let long = "x".repeat(FRAME_MAX_BYTES + 1);
        assert!(matches!(encode(&long), Err(FrameError::TooLong(_))));
        let header = u32::try_from(FRAME_MAX_BYTES + 1).unwrap().to_le_bytes();
        assert!(matches!(body_length(header), Err(FrameError::TooLong(_))));
        assert!(body_length(u32::MAX.to_le_bytes()).is_err());
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused() {
        let told = crate::protocol::Told::Refused {
            function: "storage.walk".into(),
            subject: "tmp".into(),
            refusal: Refusal::denied("no").hint("add"),
        };
        let frame = encode(&FromWorker::Told(told)).unwrap();
        let whole = body(&frame);
        for cut in 0..whole.len() {
            assert!(decode::<FromWorker>(&whole[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [whole, &[0]].concat();
        assert!(matches!(
            decode::<FromWorker>(&longer),
            Err(FrameError::Trailing(1))
        ));
    }

    #[test]
    fn pieces_stay_small_and_lose_nothing() {
        let cut = pieces(vec![PIECE_BYTES / 2; 5], |n| *n);
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(pieces(Vec::<usize>::new(), |n| *n).len(), 1);
        assert_eq!(pieces(vec![PIECE_BYTES * 3; 2], |n| *n).len(), 2);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<FromWorker>(&bytes);
            let _ = decode::<ToWorker>(&bytes);
            let _ = decode::<crate::protocol::Assignment>(&bytes);
        }
    }
}
