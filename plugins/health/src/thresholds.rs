//! The settings of all three tasks: a range to warn at and a critical one for every resource.

use crate::memory::Runs;
use keepwell_sdk::levels::Range;
use keepwell_sdk::prelude::*;

/// Ranges as monitoring plugins write them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Thresholds {
    pub(crate) cpu_warn: Range,
    pub(crate) cpu_crit: Range,
    pub(crate) load_warn: Range,
    pub(crate) load_crit: Range,
    pub(crate) memory_warn: Range,
    pub(crate) memory_crit: Range,
    pub(crate) swap_warn: Range,
    pub(crate) swap_crit: Range,
    pub(crate) disk_warn: Range,
    pub(crate) disk_crit: Range,
    pub(crate) inodes_warn: Range,
    pub(crate) inodes_crit: Range,
    pub(crate) pressure_warn: Range,
    pub(crate) pressure_crit: Range,
    pub(crate) open_files_warn: Range,
    pub(crate) open_files_crit: Range,
    pub(crate) clear: f64,
    pub(crate) fire_after: Runs,
    pub(crate) clear_after: Runs,
}

pub(crate) const SETTINGS: &[SettingHelp] = &[
    text("cpu-warn", "90", "Percent of time all cores were busy"),
    text("cpu-crit", "98", "The same, critical"),
    text("load-warn", "2", "Load per core, over 1, 5 and 15 minutes"),
    text("load-crit", "5", "The same, critical"),
    text(
        "memory-warn",
        "10:",
        "Percent of memory available to new programs",
    ),
    text("memory-crit", "4:", "The same, critical"),
    text("swap-warn", "60", "Percent of swap used"),
    text("swap-crit", "90", "The same, critical"),
    text("disk-warn", "85", "Percent of bytes used, of each mount"),
    text("disk-crit", "95", "The same, critical"),
    text("inodes-warn", "85", "Percent of inodes used, of each mount"),
    text("inodes-crit", "95", "The same, critical"),
    text(
        "pressure-warn",
        "10",
        "Percent of time some task waited, over 10, 60 and 300 seconds",
    ),
    text("pressure-crit", "40", "The same, critical"),
    text("open-files-warn", "50000", "Open files of one process"),
    text("open-files-crit", "200000", "The same, critical"),
    number(
        "clear",
        5.0,
        "Percent of its bound an average must come back by before it is well",
    ),
    number(
        "fire-after",
        2.0,
        "Runs in a row before a reading without averages is told, with `state`",
    ),
    number(
        "clear-after",
        2.0,
        "Runs in a row before it is well again, with `state`",
    ),
];
