//! The table at the end: what was measured, the target, and whether it is met.

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) target: String,
    /// `None`: shown for information.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A measurement that must be below a target; both in `unit`.
    pub(crate) fn below(what: &str, measured: f64, target: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{} {unit}", digits(measured)),
            target: format!("< {} {unit}", digits(target)),
            met: Some(measured < target),
        }
    }

    /// A measurement that must reach a target.
    pub(crate) fn at_least(what: &str, measured: f64, target: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{} {unit}", digits(measured)),
            target: format!(">= {} {unit}", digits(target)),
            met: Some(measured >= target),
        }
    }

    /// Something to know, without a target.
    pub(crate) fn note(what: &str, measured: String) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            target: String::new(),
            met: None,
        }
    }
}

/// Three digits that matter: `0.92`, `3.41`, `28.7`, `5231`.
fn digits(value: f64) -> String {
    if value >= 100.0 || value.fract().abs() < f64::EPSILON {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// As a Markdown table, so that it can be pasted into docs/PERFORMANCE.md.
pub(crate) fn print(rows: &[Row]) {
    for line in lines(rows) {
        println!("{line}");
    }
}

fn lines(rows: &[Row]) -> Vec<String> {
    let mut cells = vec![["what", "measured", "target", "met"].map(ToOwned::to_owned)];
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        cells.push([
            row.what.clone(),
            row.measured.clone(),
            row.target.clone(),
            met.to_owned(),
        ]);
    }
    let width = |column: usize| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |row: &[String; 4]| {
        let [a, b, c, d] = row;
        let [wa, wb, wc, wd] = widths;
        format!("| {a:<wa$} | {b:>wb$} | {c:>wc$} | {d:<wd$} |")
    };
    let rule = widths.map(|width| "-".repeat(width + 2)).join("|");
    let mut out = vec![line(&cells[0]), format!("|{rule}|")];
    out.extend(cells[1..].iter().map(line));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_judge_themselves() {
        assert_eq!(Row::below("a", 29.9, 30.0, "µs").met, Some(true));
        assert_eq!(Row::below("a", 30.0, 30.0, "µs").met, Some(false));
        assert_eq!(Row::at_least("a", 0.9, 0.9, "x").met, Some(true));
        assert_eq!(Row::at_least("a", 0.89, 0.9, "x").met, Some(false));
    }

    #[test]
    fn the_table_is_aligned() {
        let rows = [
            Row::below("instantiate", 12.345, 30.0, "µs"),
            Row::note("machine", "two cores".into()),
        ];
        let lines = lines(&rows);
        assert_eq!(lines.len(), 4);
        let widths: Vec<usize> = lines.iter().map(|l| l.chars().count()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{lines:#?}");
        assert!(lines[2].contains("12.3 µs") && lines[2].contains("< 30 µs"));
    }
}
