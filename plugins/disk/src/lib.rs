//! How full the disks are: `disk-check` judges every mount, `disk-usage` prints one number.

mod check;
mod usage;

pub use check::DiskCheck;
pub use usage::DiskUsage;

keepwell_sdk::plugin!(
    "disk",
    "Watches how full the disks are",
    [DiskCheck, DiskUsage]
);
