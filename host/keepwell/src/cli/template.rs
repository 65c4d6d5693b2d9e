//! What `init` writes into `tasks/`.

/// A task file for a bundled plugin. `{roots}` and `{stores}` become lists of names.
pub(super) struct TaskTemplate {
    pub name: &'static str,
    pub plugin: &'static str,
    pub text: &'static str,
}

pub(super) const TASKS: &[TaskTemplate] = &[
    TaskTemplate {
        name: "resource-check",
        plugin: "health",
        text: "# CPU, memory, swap, disks and pressure against thresholds.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "health-score",
        plugin: "health",
        text: "# One number from 0 to 1; what cannot be measured is unknown, never healthy.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "quick-check",
        plugin: "health",
        text: "# Prints one word: healthy, degraded, critical or unknown.\nplugin = \"health\"\n\n[grant]\nmetrics = {}\nstate = {}\n",
    },
    TaskTemplate {
        name: "disk-check",
        plugin: "disk",
        text: "# Bytes, inodes and read-only state of each mount.\nplugin = \"disk\"\n\n[settings]\nthreshold = 85\n\n[grant]\nmetrics = {}\n",
    },
    TaskTemplate {
        name: "disk-usage",
        plugin: "disk",
        text: "# Prints the used percent of the fullest mount, a bare integer.\nplugin = \"disk\"\n\n[grant]\nmetrics = {}\n",
    },
    TaskTemplate {
        name: "temp-clean",
        plugin: "clean",
        text: "# Moves what nobody touched for a day into quarantine. `keepwell undo` puts it back.\nplugin = \"clean\"\n\n[settings]\nolder-than = \"24h\"\n\n[grant]\nstorage = { roots = {roots} }\nstorage-clean = { roots = {roots}, max-files = 10000, max-bytes = \"10GiB\", max-share = \"20%\", min-age = \"1h\" }\n",
    },
    TaskTemplate {
        name: "shard-verify",
        plugin: "scrub",
        text: "# Reads shards, least recently verified first, and compares them with their names.\nplugin = \"scrub\"\n\n[grant]\nshards = { stores = {stores} }\n",
    },
];
