//! `keepwell daemon` with 1,000 schedules and nothing due: what watching the clock costs.

use super::setting::Setting;
use super::table::Row;
use crate::demo::stage::Stage;
use crate::error::{Error, Result};
use crate::places::write;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const SCHEDULES: usize = 1_000;
const WATCHED: Duration = Duration::from_secs(60);
const WATCHED_QUICK: Duration = Duration::from_secs(10);
/// After it said that it is ready, the first look at all schedules is still to come.
const SETTLED: Duration = Duration::from_secs(5);
/// Of `/proc/PID/stat`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// One task without a schedule; the others are its copies with one.
const TASK: &str = "plugin = \"health\"\ntask = \"quick-check\"\n\n[grant]\nmetrics = {}\n";

/// A task of that plugin, due on a day that is hardly ever today; minutes and hours differ.
pub(super) fn scheduled(plugin: &str, number: usize) -> String {
    let (minute, hour) = (number % 60, number / 60 % 24);
    format!(
        "plugin = \"{plugin}\"\ntask = \"quick-check\"\n\
         schedule = {{ cron = \"{minute} {hour} 29 2 *\" }}\n\n[grant]\nmetrics = {{}}\n"
    )
}

pub(crate) fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("daemon")?;
    let stage = setting.node(&dir.join("node"), &[], ("quick-check", TASK))?;
    for number in 0..SCHEDULES {
        let name = format!("check-{number}.toml");
        let text = scheduled("health", number);
        write(&stage.node().join("tasks").join(name), &text)?;
    }
    let watched = if setting.quick {
        WATCHED_QUICK
    } else {
        WATCHED
    };
    let mut daemon = Daemon::start(&stage)?;
    daemon.is_ready()?;
    std::thread::sleep(SETTLED);
    let (began, before) = (Instant::now(), daemon.ticks());
    std::thread::sleep(watched);
    let ticks = daemon.ticks().zip(before).map(|(now, then)| now - then);
    let seconds = began.elapsed().as_secs_f64();
    let resident = daemon.resident_bytes();
    drop(daemon);
    setting.discard(&dir)?;
    let (Some(ticks), Some(resident)) = (ticks, resident) else {
        return Err(Error::Missing {
            what: "the daemon ended while it was watched".into(),
            hint: "start it by hand on such a node and read what it says".into(),
        });
    };
    let share = ticks as f64 / TICKS_PER_SECOND / seconds * 100.0;
    let mebibytes = resident as f64 / f64::from(1 << 20);
    Ok(vec![
        Row::below("daemon, 1,000 schedules, resident", mebibytes, 40.0, "MiB"),
        Row::below("its CPU while nothing is due", share, 0.2, "% of a core"),
    ])
}

/// Ended with the measurement.
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        let mut command = stage.command(&["daemon"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let started = command.spawn().map_err(|source| Error::Start {
            program: "keepwell daemon".into(),
            source,
        });
        started.map(Self)
    }

    /// Waits until it says so; what it says later is read and dropped, so that it is never held up.
    pub(super) fn is_ready(&mut self) -> Result<()> {
        let Some(err) = self.0.stderr.take() else {
            return Ok(());
        };
        let mut lines = BufReader::new(err).lines().map_while(std::io::Result::ok);
        let mut said = vec![];
        for line in lines.by_ref() {
            if line.contains("ready") {
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said.push(line);
        }
        let said = said.join("\n");
        Err(Error::Unexpected(format!(
            "the daemon ended before it was ready:\n{said}"
        )))
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).ok()
    }

    fn ticks(&self) -> Option<u64> {
        ticks(&self.read("stat")?)
    }

    fn resident_bytes(&self) -> Option<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of a `/proc/PID/stat`, all threads together. The name in it may hold
/// anything, so fields are counted from behind it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_whatever_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 12 30 0 0 20 0 4 0 99\n";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (x"), None);
    }
}
