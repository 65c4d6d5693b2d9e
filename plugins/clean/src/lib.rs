//! Cleaning: `temp-clean` proposes aged files, or aged whole directories, for quarantine.

mod batch;
mod files;
mod temp_clean;
mod tree;

pub use temp_clean::Clean;

keepwell_sdk::plugin!("clean", "Cleans aged files into quarantine", [Clean]);
