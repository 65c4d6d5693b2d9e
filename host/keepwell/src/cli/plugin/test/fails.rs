//! `--fail` and `--fail-each`: which calls end how.

use keepwell_sandbox::{CALLS_KEPT, Fail, FailEnd};
use std::str::FromStr;

/// `storage.walk:2=gone`.
#[derive(Debug, Clone)]
pub(super) struct FailArg(pub(super) Fail);

impl FromStr for FailArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, end) = match text.split_once('=') {
            Some((call, end)) => (call, end),
            None => (text, "io"),
        };
        let (function, at) = match call.split_once(':') {
            Some((function, at)) => {
                let at: Option<u64> = at.parse().ok().filter(|at| *at > 0);
                let at = at.ok_or("calls are counted from 1, as in storage.walk:2")?;
                (function, at)
            }
            None => (call, 1),
        };
        if at > CALLS_KEPT {
            return Err(format!(
                "only the first {CALLS_KEPT} calls are kept one by one"
            ));
        }
        Ok(Self(Fail {
            function: Some(function.to_owned()),
            at,
            end: end.parse::<EndArg>()?.0,
        }))
    }
}

/// `gone`.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndArg(pub(super) FailEnd);

impl FromStr for EndArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FailEnd::ALL.into_iter().find(|end| end.as_str() == text);
        found.map(Self).ok_or_else(|| {
            let all = FailEnd::ALL.map(FailEnd::as_str).join(", ");
            format!("`{text}` is no code of a refusal and no end of a run; those are {all}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::words::Code;

    #[test]
    fn which_call_fails_and_how() {
        let FailArg(fail) = "storage.walk:2=gone".parse().unwrap();
        assert_eq!(fail.function.as_deref(), Some("storage.walk"));
        assert_eq!((fail.at, fail.end), (2, FailEnd::Refused(Code::Gone)));
        let FailArg(fail) = "storage.walker.next".parse().unwrap();
        assert_eq!((fail.at, fail.end), (1, FailEnd::Refused(Code::Io)));
        let FailArg(fail) = "state.get=out-of-fuel".parse().unwrap();
        assert_eq!(fail.end, FailEnd::OutOfFuel);
        for bad in ["a:0", "a:x", "a=bad", "a:", "a:10001"] {
            assert!(bad.parse::<FailArg>().is_err(), "{bad}");
        }
    }
}
