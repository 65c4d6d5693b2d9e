//! `measure trend`: where numbers go, and when one reaches a level.

use super::Global;
use super::measure::{Which, find, label, labels, needed, time};
use crate::clock;
use crate::error::Result;
use crate::show;
use keepwell_journal::measurements::MeasurementReader;
use keepwell_model::measure::{DAY_MS, SeriesKey};
use keepwell_model::state::Exit;
use keepwell_model::trend::{Forecast, Line, Trend, forecast, trend};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Without one: every series that moves, and not those that may as well stand still.
    series: Option<String>,
    #[arg(long, requires = "series")]
    task: Option<String>,
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, requires = "series")]
    labels: Vec<(String, String)>,
    /// RFC 3339, a date, or a span ago.
    #[arg(long, default_value = "90d")]
    since: String,
    /// When it reaches this value.
    #[arg(
        long,
        value_name = "LEVEL",
        requires = "series",
        allow_negative_numbers = true
    )]
    reaches: Option<f64>,
    /// It is reached from above: free space, not used.
    #[arg(long, requires = "reaches")]
    falling: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: String,
    labels: serde_json::Value,
    #[serde(flatten)]
    line: Line,
}

/// Exits 3 when the level is reached within the horizon, or already.
pub(super) fn shown(global: &Global, args: &Args) -> Result<Exit> {
    let reader = needed(global)?;
    let (from, to) = (time(&args.since)?, clock::now_ms());
    let Some(series) = args.series.clone() else {
        return movers(global, &reader, from, to);
    };
    let which = Which {
        series,
        task: args.task.clone(),
        labels: args.labels.clone(),
    };
    let key = find(&reader, &which)?;
    let points = reader.daily_maxima(&key, from, to)?;
    let trend = trend(&points);
    let reached = args
        .reaches
        .map(|level| (level, forecast(&trend, level, !args.falling)));
    let value = serde_json::json!({
        "name": key.name(), "unit": key.unit(), "labels": key.labels(), "trend": trend,
        "level": args.reaches, "forecast": reached.map(|r| r.1),
    });
    global.out().document(&value, || {
        let mut text = said(&key, &trend);
        if let Some((level, forecast)) = &reached {
            text.push('\n');
            text.push_str(&when(*level, forecast, &trend));
        }
        text
    });
    let near = matches!(
        reached,
        Some((_, Forecast::Reached | Forecast::Reaches { .. }))
    );
    Ok(if near { Exit::Warned } else { Exit::Done })
}

/// Every series whose slope is surely not zero.
fn movers(global: &Global, reader: &MeasurementReader, from: u64, to: u64) -> Result<Exit> {
    let mut rows = vec![];
    for series in reader.series(None)? {
        let key = series.key;
        let points = reader.daily_maxima(&key, from, to)?;
        if let Trend::Line(line) = trend(&points)
            && moves(&line)
        {
            rows.push(Row {
                name: key.name().to_owned(),
                unit: key.unit().to_owned(),
                labels: serde_json::json!(key.labels()),
                line,
            });
        }
    }
    let columns = ["name", "unit", "per week", "now", "days", "labels"];
    global.out().rows(&rows, &columns, |row| {
        vec![
            row.name.clone(),
            row.unit.clone(),
            number(row.line.per_day * 7.0),
            number(row.line.value),
            format!("{:.0}", row.line.days),
            labels(&row.labels),
        ]
    });
    if rows.is_empty() {
        show::say("nothing moves, or not for long enough to tell: it takes 14 days");
    }
    Ok(Exit::Done)
}

/// Zero is not within the slope's interval.
fn moves(line: &Line) -> bool {
    line.per_day_low > 0.0 || line.per_day_high < 0.0
}

fn number(value: f64) -> String {
    // Three digits that matter, whatever the unit.
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 1.0 => 2,
        _ => 5,
    };
    format!("{value:.digits$}")
}

fn said(key: &SeriesKey, trend: &Trend) -> String {
    let (name, unit) = (key.name(), key.unit());
    match trend {
        Trend::NotEnough(why) => format!("{name}: no trend yet: {why}"),
        Trend::Line(line) if !moves(line) => {
            format!(
                "{name}: {} {unit}, no trend in {:.0} days",
                number(line.value),
                line.days
            )
        }
        Trend::Line(line) => format!(
            "{name}: {} {unit}, {} a day ({} to {}) over {:.0} days",
            number(line.value),
            number(line.per_day),
            number(line.per_day_low),
            number(line.per_day_high),
            line.days
        ),
    }
}

fn when(level: f64, forecast: &Forecast, trend: &Trend) -> String {
    let day = |days: f64| {
        let newest = match trend {
            Trend::Line(line) => line.at_ms,
            Trend::NotEnough(_) => 0,
        };
        let date = clock::readable(newest.saturating_add((days * DAY_MS as f64) as u64));
        date.split(' ').next().unwrap_or_default().to_owned()
    };
    match forecast {
        Forecast::NotEnough(why) => format!("{level}: cannot be told: {why}"),
        Forecast::Reached => format!("{level}: reached"),
        Forecast::NotWithin { horizon_days } => {
            format!("{level}: not within {horizon_days:.0} days, further is a guess")
        }
        Forecast::Reaches {
            days,
            earliest_days,
            latest_days,
        } => {
            let latest = latest_days.map_or_else(|| "later".to_owned(), day);
            format!(
                "{level}: about {}, between {} and {latest}",
                day(*days),
                day(*earliest_days)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::measure::Point;

    fn rising(days: u64) -> Trend {
        let at = |day: u64| Point {
            at_ms: day * DAY_MS,
            value: 0.5 + day as f64 / 100.0,
        };
        trend(&(0..days).map(at).collect::<Vec<_>>())
    }

    #[test]
    fn a_level_is_told_as_dates() {
        let line = rising(21);
        let Trend::Line(inner) = line else {
            panic!("{line:?}")
        };
        assert!(moves(&inner));
        let told = when(0.9, &forecast(&line, 0.9, true), &line);
        assert!(
            told.starts_with("0.9: about 1970-02-10, between 1970-02-"),
            "{told}"
        );
        assert_eq!(
            when(0.6, &forecast(&line, 0.6, true), &line),
            "0.6: reached"
        );
        let far = when(5.0, &forecast(&line, 5.0, true), &line);
        assert!(far.contains("not within 40 days"), "{far}");
        let few = rising(3);
        assert!(when(0.9, &forecast(&few, 0.9, true), &few).contains("cannot be told"));
    }

    #[test]
    fn what_stands_still_does_not_move() {
        let flat: Vec<Point> = (0..30)
            .map(|day| Point {
                at_ms: day * DAY_MS,
                value: f64::from(u32::try_from(day % 3).unwrap()),
            })
            .collect();
        let Trend::Line(line) = trend(&flat) else {
            panic!("no line")
        };
        assert!(!moves(&line), "{line:?}");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(0.012_345_6), "0.01235");
    }
}
