//! The gate: whether a plan may be applied, by the worst class in it and who consents.

use crate::capability::Class;
use crate::grant::Denial;

/// Who stands behind a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// A person at a terminal said `--yes`.
    pub person: bool,
    /// The node's policy lets destructive plans run without asking.
    pub policy: bool,
}

/// How the plan was let through, as the journal records it.
pub fn decide(worst: Class, consent: Consent) -> Result<&'static str, Denial> {
    match worst {
        Class::Read => Ok("it changes nothing"),
        Class::Reversible => Ok("everything in it can be undone"),
        Class::Destructive if consent.person => Ok("a person said yes"),
        Class::Destructive if consent.policy => Ok("the node's policy allows it"),
        Class::Destructive => Err(Denial::new(
            "",
            "the plan holds an action that cannot be undone, and nobody consented",
        )
        .hint("look at it with `keepwell plan`, then run it at a terminal with --yes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_destructive_asks() {
        let nobody = Consent {
            person: false,
            policy: false,
        };
        assert!(decide(Class::Read, nobody).is_ok());
        assert!(decide(Class::Reversible, nobody).is_ok());
        assert!(decide(Class::Destructive, nobody).is_err());
        assert!(
            decide(
                Class::Destructive,
                Consent {
                    person: true,
                    policy: false
                }
            )
            .is_ok()
        );
        assert!(
            decide(
                Class::Destructive,
                Consent {
                    person: false,
                    policy: true
                }
            )
            .is_ok()
        );
    }
}
