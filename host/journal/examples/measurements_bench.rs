//! Measures the measurements: points taken in a second, what retention removes in a second, and
//! how long it keeps others from writing. Arguments: a folder to work in (default: the system's
//! temporary folder) and the number of points (default: 1,000,000).

use keepwell_journal::measurements::{Measurements, Retention, Sample};
use keepwell_model::measure::{DAY_MS, Point, SeriesKey, Tier};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const POINTS: u64 = 1_000_000;
/// Series the points belong to, a point of each every ten seconds.
const SERIES: u64 = 100;
const EVERY_MS: u64 = 10_000;
const BATCH: u64 = 1_000;
const NOW: u64 = 400 * DAY_MS;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let points: u64 = match arguments.next() {
        Some(text) => text.to_string_lossy().parse()?,
        None => POINTS,
    };
    let dir = tempfile::tempdir_in(parent)?;
    let measurements = Measurements::open(dir.path())?;
    let series = (0..SERIES)
        .map(|n| SeriesKey::of_task("bench", &format!("series-{n}"), "count", &[]))
        .collect::<Result<Vec<_>, _>>()?;
    // All of it is older than what is kept, so that the sweep removes each point.
    let begin = NOW - 60 * DAY_MS;
    let sample = |n: u64| Sample {
        series: series[(n % SERIES) as usize].clone(),
        point: Point {
            at_ms: begin + n / SERIES * EVERY_MS,
            value: (n % 97) as f64,
        },
    };

    let since = Instant::now();
    for from in (0..points).step_by(BATCH as usize) {
        let batch: Vec<Sample> = (from..points.min(from + BATCH)).map(sample).collect();
        measurements.add(&batch, NOW)?;
    }
    let seconds = since.elapsed().as_secs_f64();
    println!("inserts_per_second {:.0}", points as f64 / seconds);

    let reader = measurements.reader()?;
    let since = Instant::now();
    let hours = reader.rollups(&series[0], Tier::Hour, 0, NOW, u64::MAX)?;
    let took = since.elapsed().as_secs_f64() * 1e3;
    println!("hours_of_a_series {} in_ms {took:.2}", hours.len());

    let done = AtomicBool::new(false);
    let (swept, seconds, mut waits) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut waits: Vec<Duration> = vec![];
            let mut at_ms = NOW - DAY_MS;
            while !done.load(Ordering::Acquire) {
                let mut one = sample(0);
                one.point.at_ms = at_ms;
                at_ms += 1;
                let since = Instant::now();
                if let Err(e) = measurements.add(&[one], NOW) {
                    eprintln!("{e}");
                    break;
                }
                waits.push(since.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            waits
        });
        let since = Instant::now();
        let swept = measurements.sweep(&Retention::default(), NOW, &|| false);
        done.store(true, Ordering::Release);
        let waits = writing.join().unwrap_or_default();
        swept.map(|swept| (swept, since.elapsed().as_secs_f64(), waits))
    })?;
    waits.sort_unstable();
    let wait = |part: usize| {
        let at = (waits.len() * part / 100).min(waits.len().saturating_sub(1));
        waits.get(at).map_or(0.0, |w| w.as_secs_f64() * 1e3)
    };
    println!("removed_per_second {:.0}", swept.points as f64 / seconds);
    println!("retention_batches {}", swept.batches);
    let longest = swept.longest_lock.as_secs_f64() * 1e3;
    println!("retention_longest_lock_ms {longest:.1}");
    println!("writer_wait_p50_ms {:.1}", wait(50));
    println!("writer_wait_p99_ms {:.1}", wait(99));
    println!("writer_wait_max_ms {:.1}", wait(100));
    Ok(())
}
