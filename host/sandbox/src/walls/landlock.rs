//! Landlock: reading beneath what was granted, and nothing else. The kernel checks it whatever
//! this process does later.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::os::fd::BorrowedFd;

/// The newest rights asked for. Kernels that know fewer enforce those.
const NEWEST: ABI = ABI::V10;
/// The oldest ABI that counts as a wall: files, truncation and TCP (Linux 6.7).
pub(crate) const LEAST_ABI: i32 = 4;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All that this kernel knows is enforced.
    Enforced {
        abi: i32,
    },
    /// The kernel is older than [`LEAST_ABI`].
    Partial {
        abi: i32,
    },
    Absent,
}

impl Standing {
    /// As journal and report spell it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Enforced { abi } => format!("enforced (ABI {abi})"),
            Self::Partial { abi } => format!("partial (ABI {abi})"),
            Self::Absent => "absent".to_owned(),
        }
    }
}

/// Restricts this thread, and all it starts from now on, to reading beneath `readable`.
pub(crate) fn restrict(readable: &[BorrowedFd<'_>]) -> Result<Standing, RulesetError> {
    let rights: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for beneath in readable {
        rules = rules.add_rule(PathBeneath::new(beneath, rights))?;
    }
    Ok(standing(&rules.restrict_self()?))
}

fn standing(status: &RestrictionStatus) -> Standing {
    let abi = abi_of(&status.landlock).unwrap_or(0);
    match status.ruleset {
        RulesetStatus::NotEnforced => Standing::Absent,
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced if abi >= LEAST_ABI => {
            Standing::Enforced { abi }
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            Standing::Partial { abi }
        }
    }
}

/// The ABI in force, from a status.
pub(crate) fn abi_of(status: &LandlockStatus) -> Option<i32> {
    match status {
        LandlockStatus::Available { effective_abi, .. } => Some(*effective_abi as i32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    }
}

/// The ABI of this kernel. Restricts a thread that ends at once, as there is no other safe way
/// to ask.
pub(crate) fn kernel_abi() -> Option<i32> {
    let asked = std::thread::spawn(|| {
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(Ruleset::create)
            .and_then(RulesetCreated::restrict_self);
        rules.ok().and_then(|status| abi_of(&status.landlock))
    });
    asked.join().ok().flatten()
}
