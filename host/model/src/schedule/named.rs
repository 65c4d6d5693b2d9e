//! Named slots: `daily` at two is easier to read than `0 2 * * *`, and is the same.

use super::pattern::BadPattern;
use super::shape::NamedSlot;

/// Days of the month that every month has; above, a slot would be left out in some months.
const SAFE_DAYS: std::ops::RangeInclusive<u8> = 1..=28;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The cron pattern that a named slot stands for. Hours of the defaults differ, so that slots of
/// one day do not all begin at the same time.
pub(super) fn cron_of(
    slot: NamedSlot,
    at: Option<&str>,
    on: Option<&str>,
) -> Result<String, BadPattern> {
    let default = match slot {
        NamedSlot::Hourly => (0, 0),
        NamedSlot::Daily => (2, 0),
        NamedSlot::Weekly => (3, 0),
        NamedSlot::Monthly => (4, 0),
        NamedSlot::Quarterly => (5, 0),
        NamedSlot::Annual => (6, 0),
    };
    let (hour, minute) = at.map_or(Ok(default), parse_time)?;
    match slot {
        NamedSlot::Hourly => {
            if hour != 0 {
                return Err(
                    BadPattern::new("at", format!("hourly at `{hour:02}:{minute:02}`"))
                        .hint("only the minute counts, for example `at = \"00:15\"`"),
                );
            }
            no_day(slot, on)?;
            Ok(format!("{minute} * * * *"))
        }
        NamedSlot::Daily => {
            no_day(slot, on)?;
            Ok(format!("{minute} {hour} * * *"))
        }
        NamedSlot::Weekly => Ok(format!("{minute} {hour} * * {}", weekday(on)?)),
        NamedSlot::Monthly => Ok(format!("{minute} {hour} {} * *", day(on)?)),
        NamedSlot::Quarterly => Ok(format!("{minute} {hour} {} 1,4,7,10 *", day(on)?)),
        NamedSlot::Annual => {
            let (month, day) = date(on)?;
            Ok(format!("{minute} {hour} {day} {month} *"))
        }
    }
}

/// `02:00`, in 24 hours.
fn parse_time(text: &str) -> Result<(u8, u8), BadPattern> {
    let two = |part: &str| -> Option<u8> {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    };
    text.split_once(':')
        .and_then(|(h, m)| Some((two(h)?, two(m)?)))
        .filter(|(h, m)| *h < 24 && *m < 60)
        .ok_or_else(|| {
            BadPattern::new("at", format!("`{}` is no time of day", shown(text)))
                .hint("write hours and minutes, for example `02:00`")
        })
}

fn weekday(on: Option<&str>) -> Result<&'static str, BadPattern> {
    let Some(on) = on else { return Ok("mon") };
    let known = WEEKDAYS.into_iter().find(|day| *day == on);
    known.ok_or_else(|| {
        BadPattern::new("on", format!("`{}` is no weekday", shown(on)))
            .hint("write mon, tue, wed, thu, fri, sat or sun")
    })
}

fn day(on: Option<&str>) -> Result<String, BadPattern> {
    let Some(on) = on else { return Ok("1".into()) };
    if on == "last" {
        return Ok("L".into());
    }
    let day = on.parse::<u8>().ok().filter(|d| SAFE_DAYS.contains(d));
    day.map(|d| d.to_string()).ok_or_else(|| {
        BadPattern::new(
            "on",
            format!("`{}` is no day that every month has", shown(on)),
        )
        .hint("write 1 to 28, or `last`")
    })
}

fn date(on: Option<&str>) -> Result<(u8, u8), BadPattern> {
    let Some(on) = on else { return Ok((1, 1)) };
    on.split_once('-')
        .and_then(|(m, d)| Some((m.parse().ok()?, d.parse().ok()?)))
        .filter(|(m, d)| (1..=12).contains(m) && SAFE_DAYS.contains(d))
        .ok_or_else(|| {
            BadPattern::new("on", format!("`{}` is no day of the year", shown(on)))
                .hint("write month and day (1 to 28), for example `01-15`")
        })
}

fn no_day(slot: NamedSlot, on: Option<&str>) -> Result<(), BadPattern> {
    match on {
        None => Ok(()),
        Some(_) => Err(
            BadPattern::new("on", format!("a slot that is {slot} has no day"))
                .hint("leave `on` out, or choose weekly, monthly, quarterly or annual"),
        ),
    }
}

fn shown(text: &str) -> String {
    crate::words::printable(text, 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_s_lines_are_the_defaults() {
        let cron = |slot| cron_of(slot, None, None).unwrap();
        assert_eq!(cron(NamedSlot::Hourly), "0 * * * *");
        assert_eq!(cron(NamedSlot::Daily), "0 2 * * *");
        assert_eq!(cron(NamedSlot::Weekly), "0 3 * * mon");
        assert_eq!(cron(NamedSlot::Monthly), "0 4 1 * *");
        assert_eq!(cron(NamedSlot::Quarterly), "0 5 1 1,4,7,10 *");
        assert_eq!(cron(NamedSlot::Annual), "0 6 1 1 *");
        let annual = cron_of(NamedSlot::Annual, Some("23:05"), Some("02-28"));
        assert_eq!(annual.unwrap(), "5 23 28 2 *");
    }

    #[test]
    fn what_would_be_left_out_in_some_months_is_refused() {
        for (slot, at, on) in [
            (NamedSlot::Monthly, None, Some("31")),
            (NamedSlot::Monthly, None, Some("0")),
            (NamedSlot::Annual, None, Some("02-29")),
            (NamedSlot::Annual, None, Some("13-01")),
            (NamedSlot::Weekly, None, Some("monday")),
            (NamedSlot::Daily, None, Some("mon")),
            (NamedSlot::Daily, Some("24:00"), None),
            (NamedSlot::Daily, Some("+2:00"), None),
            (NamedSlot::Daily, Some("2:00"), None),
            (NamedSlot::Hourly, Some("01:15"), None),
        ] {
            let bad = cron_of(slot, at, on).unwrap_err();
            assert!(bad.hint.is_some(), "{bad}");
        }
    }
}
