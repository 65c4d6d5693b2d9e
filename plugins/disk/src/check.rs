//! `disk-check`: bytes, inodes and the read-only flag of every mount, one finding per problem.
//!
//! A percentage alone is wrong at both ends: 10 % of 20 TiB is room for months, 10 % of 2 GiB is
//! not. So very little free counts at any percentage, and an operator of huge disks can say how
//! much free space is ample.

use keepwell_sdk::metrics::Mount;
use keepwell_sdk::prelude::*;
use serde_json::Value;
use std::cmp::Reverse;

/// Judges every mount.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskCheck {
    threshold: u32,
    critical: u32,
    ample: Size,
    scarce: Size,
    read_only: Vec<String>,
}

impl Task for DiskCheck {
    const NAME: &str = "disk-check";
    const ABOUT: &str = "Checks how full every disk is, in bytes and inodes";
    const NEEDS: &[Need] = &[need(METRICS, "to see how full each mount is")];
    const SETTINGS: &[SettingHelp] = &[
        number(
            "threshold",
            85.0,
            "Warn above this percent of bytes or inodes",
        ),
        number("critical", 95.0, "Critical above this percent"),
        text(
            "ample",
            "0B",
            "With this much free, a percent of bytes is no problem (for huge disks); 0B: it always is",
        ),
        text(
            "scarce",
            "64MiB",
            "With less free than this, a disk of over 1 GiB is critical",
        ),
        list("read-only", &[], "Mounts that are meant to be read-only"),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        if self.threshold > self.critical {
            return Err(Failure::Permanent(format!(
                "setting `threshold` is {}, above `critical`, which is {}",
                self.threshold, self.critical
            )));
        }
        let mut mounts = metrics::mounts()?;
        // The fullest first, so that it is not one of them that is left out.
        mounts.sort_unstable_by_key(|m| Reverse((m.used_percent(), m.inodes_percent())));
        let mut problems = 0;
        let mut rows: Vec<Value> = Vec::new();
        let mut worst: Option<(u32, &str)> = None;
        for (nth, mount) in mounts.iter().enumerate() {
            for problem in self.problems(mount) {
                problems += 1;
                if nth < TOLD_MAX {
                    problem.report();
                }
            }
            let percent = mount.used_percent();
            if !is_image(mount) {
                worst = worst.max(percent.map(|p| (p, mount.path.as_str())));
            }
            if nth < TOLD_MAX {
                report_metrics(mount);
            }
            rows.push(json!({
                "mount": mount.path, "device": mount.device, "percent": percent,
                "inodes-percent": mount.inodes_percent(),
                "available-bytes": mount.available_bytes, "read-only": mount.read_only,
            }));
        }
        let Some((percent, path)) = worst else {
            return Ok(Summary::warned("unknown: no mount says how full it is"));
        };
        let line = format!("{} mounts, fullest {path} at {percent}%", mounts.len());
        let line = match problems {
            0 => line,
            1 => format!("{line}; 1 problem"),
            n => format!("{line}; {n} problems"),
        };
        Ok(Summary::judged(problems == 0, line)
            .with(&json!({ "mounts": rows, "problems": problems })))
    }
}

/// Mounts told one by one, of which each has two metrics and at most three findings: a run reports
/// 1,000 of either. The summary counts all of them.
const TOLD_MAX: usize = 300;

fn report_metrics(mount: &Mount) {
    // Ratios for machines keep their fraction; only people are shown whole percents.
    let whole = mount.used_bytes.saturating_add(mount.available_bytes);
    if whole > 0 {
        let used = mount.used_bytes as f64 / whole as f64;
        labelled_metric("disk_used", "ratio", used, "mount", &mount.path);
    }
    labelled_metric(
        "disk_available",
        "bytes",
        mount.available_bytes as f64,
        "mount",
        &mount.path,
    );
}

/// Below this size a disk is small on purpose and `scarce` says nothing about it.
const SMALL_DISK_BYTES: u64 = 1 << 30;

impl DiskCheck {
    fn problems(&self, mount: &Mount) -> Vec<Finding> {
        let mut found = Vec::new();
        let free = Size(mount.available_bytes);
        if let Some(percent) = mount.used_percent() {
            let by_share = if self.ample.0 > 0 && free >= self.ample {
                None
            } else {
                self.severity(percent)
            };
            let scarce = free < self.scarce && mount.total_bytes > SMALL_DISK_BYTES;
            // A read-only file system is as full as it was made: an image is always at 100 %.
            let severity = if scarce {
                Some(Severity::Critical)
            } else {
                by_share
            };
            if let Some(severity) = severity.filter(|_| !mount.read_only) {
                found.push(
                    finding(
                        severity,
                        "mount-full",
                        &mount.path,
                        format!("{} is {percent}% full, {free} free", mount.path),
                    )
                    .fact("percent", percent)
                    .fact("available-bytes", free.0)
                    .fact("device", &mount.device),
                );
            }
        }
        if let Some(percent) = mount.inodes_percent()
            && let Some(severity) = self.severity(percent).filter(|_| !mount.read_only)
        {
            found.push(
                finding(
                    severity,
                    "inodes-full",
                    &mount.path,
                    format!("{} has used {percent}% of its inodes", mount.path),
                )
                .fact("percent", percent)
                .fact("free-inodes", mount.free_inodes),
            );
        }
        let meant = self.read_only.contains(&mount.path) || is_image(mount);
        if mount.read_only && !meant {
            let title = format!("{} is read-only", mount.path);
            found.push(
                finding(Severity::Warning, "mount-read-only", &mount.path, title).detail(
                    "The kernel remounts a file system read-only after errors; see its log.",
                ),
            );
        }
        found
    }

    fn severity(&self, percent: u32) -> Option<Severity> {
        if percent > self.critical {
            Some(Severity::Critical)
        } else if percent > self.threshold {
            Some(Severity::Warning)
        } else {
            None
        }
    }
}

/// File systems that cannot be written in the first place.
const IMAGES: [&str; 5] = ["squashfs", "iso9660", "udf", "erofs", "cramfs"];

/// Whether it is as full as it was made, which is no news.
pub(crate) fn is_image(mount: &Mount) -> bool {
    mount.read_only && IMAGES.contains(&mount.file_system.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use keepwell_sdk::testing::{Node, Outcome};

    /// A mount with so many bytes used of a whole, none reserved, and plenty of inodes.
    pub(crate) fn mount(path: &str, used: u64, whole: u64) -> Mount {
        Mount {
            path: path.into(),
            device: "/dev/sda1".into(),
            file_system: "ext4".into(),
            read_only: false,
            total_bytes: whole,
            used_bytes: used,
            available_bytes: whole - used,
            total_inodes: 1_000,
            free_inodes: 900,
        }
    }

    fn check(mount: Mount, settings: Value) -> Outcome {
        Node::new().mount(mount).run::<DiskCheck>(settings)
    }

    #[test]
    fn the_threshold_itself_is_still_good() {
        assert!(check(mount("/", 85, 100), json!({})).found().is_empty());
        let above = check(mount("/", 86, 100), json!({ "threshold": "85" }));
        assert_eq!(above.found(), [("mount-full", "/")]);
        assert_eq!(above.findings[0].severity, Severity::Warning);
        let critical = check(mount("/", 96, 100), json!({}));
        assert_eq!(critical.findings[0].severity, Severity::Critical);
        assert_eq!(critical.summary().status, Status::Warned);
    }

    #[test]
    fn huge_disks_by_bytes_and_nearly_full_ones_at_any_percent() {
        let huge = mount("/srv", 90 << 40, 100 << 40);
        assert!(
            check(huge.clone(), json!({ "ample": "5TiB" }))
                .found()
                .is_empty(),
            "10 TiB are free"
        );
        assert_eq!(
            check(huge, json!({})).found().len(),
            1,
            "85 means 85 unless told otherwise"
        );
        let scarce = mount("/", (2 << 30) - (32 << 20), 2 << 30);
        let outcome = check(scarce, json!({ "threshold": 99, "critical": 99 }));
        assert_eq!(outcome.findings[0].severity, Severity::Critical);
    }

    #[test]
    fn reserved_blocks_belong_to_neither() {
        let reserved = Mount {
            used_bytes: 90,
            available_bytes: 5,
            ..mount("/", 90, 100)
        };
        assert_eq!(
            check(reserved, json!({})).json()["mounts"][0]["percent"],
            95
        );
    }

    #[test]
    fn inodes_and_read_only_are_problems_of_their_own() {
        let bad = Mount {
            free_inodes: 10,
            ..mount("/", 1, 100)
        };
        assert_eq!(check(bad, json!({})).found(), [("inodes-full", "/")]);
        let locked = Mount {
            read_only: true,
            ..mount("/boot", 100, 100)
        };
        assert_eq!(
            check(locked.clone(), json!({})).found(),
            [("mount-read-only", "/boot")]
        );
        assert!(
            check(locked.clone(), json!({ "read-only": ["/boot"] }))
                .found()
                .is_empty()
        );
        let image = Mount {
            file_system: "squashfs".into(),
            ..locked
        };
        assert!(check(image.clone(), json!({})).found().is_empty());
        let both = Node::new().mount(image).mount(mount("/", 3, 10));
        let outcome = both.run::<DiskCheck>(json!({}));
        assert_eq!(outcome.summary().line, "2 mounts, fullest / at 30%");
    }

    #[test]
    fn a_thousand_full_mounts_stay_within_what_a_run_may_report() {
        let full = |n: u64| Mount {
            total_inodes: 100,
            free_inodes: 0,
            ..mount(&format!("/m{n:04}"), 90 + n / 200, 100)
        };
        let node = (0..1_000).fold(Node::new(), |node, n| node.mount(full(n)));
        let outcome = node.run::<DiskCheck>(json!({}));
        assert!(outcome.metrics.len() <= 1_000 && outcome.findings.len() <= 1_000);
        assert_eq!(outcome.json()["problems"], 2_000);
        assert_eq!(
            outcome.json()["mounts"].as_array().map(Vec::len),
            Some(1_000)
        );
    }

    #[test]
    fn odd_nodes_and_settings() {
        assert_eq!(
            Node::new().run::<DiskCheck>(json!({})).summary().status,
            Status::Warned
        );
        let turned = check(mount("/", 1, 2), json!({ "threshold": 99 }));
        assert!(matches!(turned.failure(), Failure::Permanent(m) if m.contains("threshold")));
        let empty = Mount {
            total_inodes: 0,
            free_inodes: 0,
            ..mount("/", 0, 0)
        };
        assert!(check(empty, json!({})).summary().line.contains("unknown"));
    }
}
