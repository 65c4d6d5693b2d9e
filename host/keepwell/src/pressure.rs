//! Whether the machine is too busy for more work, and how a run that goes on makes room.

use crate::pipeline::Brake;
use keepwell_model::schedule::pressure::rest;
use keepwell_model::schedule::{Pressed, PressureReading, PressureTable};
use keepwell_node::pressure::{Contended, pressure_in};
use std::time::{Duration, Instant};

/// The kernel's own averages move every two seconds.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Resting, it looks this often whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the machine says of itself. What it cannot tell holds nothing up.
pub fn reading(table: &PressureTable) -> PressureReading {
    let share = |of, full: bool| {
        let reading = pressure_in(&table.proc, of).ok().flatten()?;
        let stall = if full { reading.full? } else { reading.some };
        Some(stall.avg_10 * 100.0)
    };
    let load = std::fs::read_to_string(table.proc.join("loadavg")).ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse().ok());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    PressureReading {
        cpu_some: share(Contended::Cpu, false),
        io_some: share(Contended::Io, false),
        memory_full: share(Contended::Memory, true),
        load_1m: load,
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
    }
}

/// Slows one run while the machine is pressed. It never stops it: what ends the run is its window, a
/// person, or its own limit of time, and all of them are looked at while it rests.
#[derive(Debug)]
pub struct Ease {
    /// `None`: for work that goes first whatever the machine does.
    table: Option<PressureTable>,
    read: Option<Instant>,
    pressed: Option<Pressed>,
    worked_from: Instant,
}

impl Ease {
    pub fn new(table: Option<PressureTable>) -> Self {
        Self {
            table,
            read: None,
            pressed: None,
            worked_from: Instant::now(),
        }
    }

    /// What slows it, as the last look found it.
    pub fn pressed(&self) -> Option<&Pressed> {
        self.pressed.as_ref()
    }

    /// How long to rest after what was worked since the last rest; it begins now.
    pub fn due(&mut self) -> Duration {
        self.look();
        let now = Instant::now();
        let worked = now.saturating_duration_since(self.worked_from);
        let due = self
            .pressed
            .as_ref()
            .map_or(Duration::ZERO, |_| rest(worked));
        self.worked_from = now + due;
        due
    }

    /// Rests for as long as the machine needs.
    pub fn rest(&mut self, brake: &Brake) {
        let until = Instant::now() + self.due();
        while !brake.is_pulled()
            && let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn look(&mut self) {
        let Some(table) = &self.table else { return };
        if self.read.is_some_and(|at| at.elapsed() < READ_EVERY) {
            return;
        }
        self.read = Some(Instant::now());
        let now = reading(table);
        self.pressed = match &self.pressed {
            None => table.pressed(&now),
            Some(_) => table.still_pressed(&now),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(io: &str) -> (tempfile::TempDir, PressureTable) {
        let scratch = tempfile::tempdir().unwrap();
        let proc = scratch.path().to_owned();
        std::fs::create_dir(proc.join("pressure")).unwrap();
        let line = format!("avg10={io} avg60=0.00 avg300=0.00 total=1");
        let text = format!("some {line}\nfull {line}\n");
        std::fs::write(proc.join("pressure/io"), text).unwrap();
        std::fs::write(proc.join("loadavg"), "0.10 0.1 0.1 1/9 9").unwrap();
        let table = PressureTable {
            proc,
            ..PressureTable::default()
        };
        (scratch, table)
    }

    #[test]
    fn a_calm_machine_costs_nothing_and_a_busy_one_a_rest() {
        let (_calm, table) = machine("1.00");
        let mut ease = Ease::new(Some(table));
        ease.rest(&Brake::default());
        assert!(ease.pressed().is_none());
        let (_busy, table) = machine("99.00");
        let mut ease = Ease::new(Some(table.clone()));
        let began = Instant::now();
        ease.rest(&Brake::default());
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert!(ease.pressed().unwrap().to_string().contains("99%"));
        let mut first = Ease::new(None);
        first.rest(&Brake::default());
        assert!(first.pressed().is_none());
    }

    #[test]
    fn who_rests_is_woken_by_the_brake() {
        let (_busy, table) = machine("99.00");
        let mut ease = Ease::new(Some(table));
        let brake = Brake::default();
        brake.pull(keepwell_model::state::RunState::Cancelled, "enough", None);
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        ease.rest(&brake);
        assert!(began.elapsed() < Duration::from_millis(200));
    }
}
