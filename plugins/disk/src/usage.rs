//! `disk-usage`: the worst mount's percent as a bare integer, so that a shell can compare it.
//! Images, which are always full, are left out.

use crate::check::is_image;
use keepwell_sdk::prelude::*;

/// Prints the fullest mount in whole percent, rounded up as `df` does.
#[derive(Debug, Deserialize)]
pub struct DiskUsage {}

impl Task for DiskUsage {
    const NAME: &str = "disk-usage";
    const ABOUT: &str = "Prints how full the fullest disk is, in whole percent";
    const NEEDS: &[Need] = &[need(METRICS, "to see how full each mount is")];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let mounts = metrics::mounts()?;
        let worst = mounts
            .iter()
            .filter(|mount| !is_image(mount))
            .filter_map(|mount| Some((mount.used_percent()?, mount.path.as_str())))
            .max_by_key(|(percent, _)| *percent);
        // A number that stands for "I could not look" would be compared like any other.
        let Some((percent, path)) = worst else {
            return Err(Failure::Transient("no mount says how full it is".into()));
        };
        Ok(Summary::done(percent.to_string()).with(&json!({ "mount": path, "percent": percent })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::mount;
    use keepwell_sdk::testing::Node;

    #[test]
    fn prints_a_bare_integer_of_the_worst_mount() {
        let image = metrics::Mount {
            read_only: true,
            file_system: "iso9660".into(),
            ..mount("/media/cdrom", 7, 7)
        };
        let node = Node::new()
            .mount(image)
            .mount(mount("/", 84_001, 100_000))
            .mount(mount("/var", 10, 1_000));
        let outcome = node.run::<DiskUsage>(json!({}));
        assert_eq!(outcome.summary().line, "85");
        assert_eq!(outcome.json()["mount"], "/");
    }

    #[test]
    fn never_makes_a_number_up() {
        assert!(matches!(
            Node::new().run::<DiskUsage>(json!({})).failure(),
            Failure::Transient(_)
        ));
        let failed = Node::new()
            .mount(mount("/", 1, 2))
            .fail_call(1, "io")
            .run::<DiskUsage>(json!({}));
        assert!(failed.refused().unwrap().is("io"));
    }
}
