//! The simple globs of the trust file and the policy: `*` stands for any run of characters.

/// Longest glob: the name of a plugin or task has at most 64 characters.
const GLOB_MAX_BYTES: usize = 64;

/// Whether a glob could match a name at all.
pub fn is_valid(glob: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'*';
    !glob.is_empty() && glob.len() <= GLOB_MAX_BYTES && glob.bytes().all(plain)
}

/// Takes each part between stars at its first place; with stars alone that loses no match.
pub fn matches(glob: &str, name: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, in exponential time.
    fn oracle(glob: &[u8], name: &[u8]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| oracle(rest, &name[at..])),
            Some((b, rest)) => name
                .split_first()
                .is_some_and(|(n, left)| n == b && oracle(rest, left)),
        }
    }

    #[test]
    fn stars() {
        assert!(matches("*", "clean"));
        assert!(matches("acme-*", "acme-clean"));
        assert!(!matches("acme-*", "clean-acme-"));
        assert!(!matches("clean", "cleaner"));
        assert!(!matches("a*a", "a"));
        assert!(!is_valid("") && !is_valid("A") && !is_valid("a?") && !is_valid("a/b"));
    }

    proptest! {
        #[test]
        fn as_defined(glob in "[ab*]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(matches(&glob, &name), oracle(glob.as_bytes(), name.as_bytes()));
        }
    }
}
