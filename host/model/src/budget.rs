//! Budgets: how much a run may change, charged action by action.

use crate::action::Price;
use crate::units::{Bytes, Share, Span};
use crate::words::Refusal;
use serde::{Deserialize, Serialize};

/// What cleaning may do in one run, all roots of the task together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CleanBudget {
    pub max_files: u64,
    pub max_bytes: Bytes,
    /// Of the entries in one root.
    pub max_share: Share,
    /// Nothing younger is touched, whatever the task proposes.
    pub min_age: Span,
    /// By which of a file's times its age is told.
    pub age_by: AgeBy,
    /// Applying stops after this long and says so.
    pub max_time: Span,
    /// Actions a second; 0 means no bound.
    pub max_rate: u32,
}

/// By which of a file's times its age is told. The newest of mtime, atime and ctime is the safe
/// default; `modified` is for trees whose readers or copies keep the other two young.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AgeBy {
    #[default]
    Newest,
    Modified,
}

/// Nobody may grant the cleaning of younger files than this: programs create and fill.
pub const MIN_AGE_FLOOR: Span = Span::secs(60);

impl Default for CleanBudget {
    fn default() -> Self {
        Self {
            max_files: 10_000,
            max_bytes: Bytes(10 << 30),
            max_share: "20%".parse().unwrap_or(Share::ALL),
            min_age: Span::secs(3_600),
            age_by: AgeBy::Newest,
            max_time: Span::secs(600),
            max_rate: 0,
        }
    }
}

/// What shard verification may read in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScrubBudget {
    /// `None`: no bound of this kind.
    pub max_bytes: Option<Bytes>,
    pub max_shards: Option<u64>,
    pub max_time: Option<Span>,
}

/// What has been charged so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub files: u64,
    pub bytes: u64,
}

impl CleanBudget {
    /// Adds `price` to `spent`, or refuses and charges nothing.
    pub fn charge(&self, spent: &mut Spent, price: Price) -> Result<(), Refusal> {
        let files = spent.files.saturating_add(price.files);
        let bytes = spent.bytes.saturating_add(price.bytes);
        if files > self.max_files {
            return Err(Refusal::limit(format!(
                "the budget of {} files is used up",
                self.max_files
            ))
            .hint(format!(
                "raise `storage-clean.max-files` above {}",
                self.max_files
            )));
        }
        if bytes > self.max_bytes.0 {
            return Err(
                Refusal::limit(format!("the budget of {} is used up", self.max_bytes))
                    .hint("raise `storage-clean.max-bytes`"),
            );
        }
        *spent = Spent { files, bytes };
        Ok(())
    }

    /// Whether taking `part` of a root's `whole` entries stays within the share.
    pub fn check_share(&self, root: &str, part: u64, whole: u64) -> Result<(), Refusal> {
        let most = self.max_share.of(whole);
        if part <= most {
            return Ok(());
        }
        Err(Refusal::limit(format!(
            "the plan takes {part} of {whole} entries of root `{root}`, more than {}",
            self.max_share
        ))
        .hint("if that is meant, raise `storage-clean.max-share` of this task"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_budget(prices in proptest::collection::vec((0u64.., 0u64..), 0..50)) {
            let budget = CleanBudget { max_files: 1 << 62, max_bytes: Bytes(1 << 60), ..CleanBudget::default() };
            let mut spent = Spent::default();
            for (files, bytes) in prices {
                let before = spent;
                if budget.charge(&mut spent, Price { files, bytes, params: 0 }).is_err() {
                    prop_assert_eq!(before, spent);
                }
                prop_assert!(spent.files <= budget.max_files && spent.bytes <= budget.max_bytes.0);
            }
        }
    }

    #[test]
    fn share_counts_entries() {
        let budget = CleanBudget::default();
        assert!(budget.check_share("tmp", 20, 100).is_ok());
        assert!(budget.check_share("tmp", 21, 100).is_err());
        assert!(budget.check_share("tmp", 1, 0).is_err());
    }
}
