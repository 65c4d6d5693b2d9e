//! The machine a table was measured on.

use std::path::Path;

/// One line: processor, cores, kernel, file system under `dir`.
pub(crate) fn print(dir: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "machine: {}, {cores} cores, Linux {}, {}",
        processor(&read("/proc/cpuinfo")),
        read("/proc/sys/kernel/osrelease").trim(),
        file_system(&read("/proc/self/mountinfo"), dir),
    );
}

fn processor(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim())
}

/// Type of the file system that `dir` lies on: the mount with the longest matching path, the last
/// of equal ones. Format: `man 5 proc_pid_mountinfo`.
fn file_system(mountinfo: &str, dir: &Path) -> String {
    let mut best: Option<(usize, &str)> = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let longest = best.is_none_or(|(length, _)| point.len() >= length);
        if longest && dir.starts_with(point) {
            best = Some((point.len(), kind));
        }
    }
    best.map_or("unknown file system", |(_, kind)| kind)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_wins() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      22 21 8:2 / /srv rw shared:1 - xfs /dev/sdb rw\n\
                      23 21 0:5 / /srv-old rw - tmpfs none rw\n";
        assert_eq!(file_system(mounts, Path::new("/srv/a")), "xfs");
        assert_eq!(file_system(mounts, Path::new("/home")), "ext4");
        assert_eq!(file_system("", Path::new("/home")), "unknown file system");
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(processor("x: y\nmodel name\t: A Fast One\n"), "A Fast One");
        assert_eq!(processor(""), "unknown processor");
    }
}
