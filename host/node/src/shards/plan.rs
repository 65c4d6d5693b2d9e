//! Which shards a scrub reads: the oldest, as far as its budget reaches. Pure.

use super::listing::Listed;
use std::time::Duration;

/// How much a scrub reads at most. `None`: no bound of this kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Of shards, each counted once even if it is read again because it was wrong.
    pub max_bytes: Option<u64>,
    /// `None`: no bound.
    pub max_shards: Option<u64>,
    /// From the start; reading stops within a shard, and that shard counts as left out.
    pub max_time: Option<Duration>,
}

/// What the budget left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) shards: u64,
    /// Of these, ones that alone exceed the budget of bytes and would be left out for ever: the
    /// first, its bytes, and how many there are.
    pub(super) never: Option<(String, u64, u64)>,
}

/// Keeps of `shards` (oldest first) what the budget reaches. It does not skip ahead to smaller
/// shards: that would starve large ones.
pub(super) fn choose(shards: &mut Vec<Listed>, budget: &Budget) -> LeftOut {
    let all = shards.len() as u64;
    let mut left = LeftOut::default();
    if let Some(most) = budget.max_bytes {
        shards.retain(|shard| {
            let fits = shard.bytes <= most;
            if !fits {
                let never = || (shard.name.clone(), shard.bytes, 0);
                left.never.get_or_insert_with(never).2 += 1;
            }
            fits
        });
        let mut spent: u64 = 0;
        let reach = shards.iter().take_while(|shard| {
            spent = spent.saturating_add(shard.bytes);
            spent <= most
        });
        let reach = reach.count();
        shards.truncate(reach);
    }
    if let Some(most) = budget.max_shards {
        shards.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    left.shards = all - shards.len() as u64;
    left
}

#[cfg(test)]
mod tests {
    use super::super::layout::Expected;
    use super::super::listing::Size;
    use super::*;
    use keepwell_model::store::DigestKind;
    use proptest::prelude::*;

    fn listed(sizes: &[u64]) -> Vec<Listed> {
        let one = |(inode, &bytes): (u64, &u64)| Listed {
            name: format!("s{inode}"),
            bytes,
            verified_ms: None,
            inode,
            expected: Expected::plain([0; 32], DigestKind::Sha256),
            size: Size::Unknown,
            named: false,
        };
        (0..).zip(sizes).map(one).collect()
    }

    #[test]
    fn what_never_fits_is_named_and_does_not_block_the_rest() {
        let mut shards = listed(&[5, 100, 5, 200, 5]);
        let budget = Budget {
            max_bytes: Some(10),
            ..Budget::default()
        };
        let left = choose(&mut shards, &budget);
        assert_eq!(shards.iter().map(|s| s.inode).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(left.shards, 3);
        assert_eq!(left.never, Some(("s1".to_owned(), 100, 2)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_budget_and_nothing_is_lost(
            sizes in proptest::collection::vec(0u64..100, 0..50),
            max_bytes in proptest::option::of(0u64..1000),
            max_shards in proptest::option::of(0u64..60),
        ) {
            let mut shards = listed(&sizes);
            let left = choose(&mut shards, &Budget { max_bytes, max_shards, max_time: None });
            prop_assert_eq!(shards.len() as u64 + left.shards, sizes.len() as u64);
            prop_assert!(shards.len() as u64 <= max_shards.unwrap_or(u64::MAX));
            prop_assert!(shards.iter().map(|s| s.bytes).sum::<u64>() <= max_bytes.unwrap_or(u64::MAX));
        }
    }
}
