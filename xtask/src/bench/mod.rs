//! `cargo xtask bench`: each line of the targets as a measurement in one run, with the command of
//! the other side where there is one, and a table at the end.

mod clean;
mod daemon;
mod examples;
mod install;
mod machine;
mod run;
mod scrub;
mod setting;
mod table;
mod watch;

use crate::dist;
use crate::error::{Error, Result};
use crate::places::Places;
use crate::step::Steps;
use setting::Setting;
use table::Row;

type Measure = fn(&Setting) -> Result<Vec<Row>>;

/// What can be measured, in this order.
const BENCHES: [(&str, Measure); 7] = [
    ("sandbox", examples::sandbox),
    ("journal", examples::journal),
    ("run", run::measure),
    ("scrub", scrub::measure),
    ("clean", clean::measure),
    ("daemon", daemon::measure),
    ("install", install::measure),
];

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let chosen = Chosen::parse(words)?;
    let places = Places::find()?;
    let mut steps = Steps::default();
    println!("Build");
    dist::make(&places, &mut steps)?;
    crate::places::make_dir(&places.bench())?;
    let setting = Setting::new(places, chosen.quick);
    let mut rows = Vec::new();
    for (name, measure) in BENCHES {
        if chosen.only.as_deref().is_none_or(|only| only == name) {
            println!("\n== {name}");
            rows.extend(measure(&setting)?);
        }
    }
    println!();
    machine::print(&setting.places.bench());
    if chosen.quick {
        println!("--quick: small sizes; not to be compared with the targets");
    }
    println!();
    table::print(&rows);
    Ok(())
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    quick: bool,
    only: Option<String>,
}

impl Chosen {
    fn parse(words: &[&str]) -> Result<Self> {
        let mut chosen = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match *word {
                "--quick" => chosen.quick = true,
                "--only" => {
                    let name = rest.next().copied().unwrap_or_default();
                    if BENCHES.iter().all(|(known, _)| *known != name) {
                        return Err(Error::Usage(format!(
                            "--only takes one of: {}",
                            BENCHES.map(|(known, _)| known).join(", ")
                        )));
                    }
                    chosen.only = Some(name.to_owned());
                }
                other => {
                    return Err(Error::Usage(format!(
                        "unknown option `{other}`; bench takes --quick and --only NAME"
                    )));
                }
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        assert_eq!(Chosen::parse(&[]).unwrap(), Chosen::default());
        let both = Chosen::parse(&["--quick", "--only", "scrub"]).unwrap();
        assert!(both.quick && both.only.as_deref() == Some("scrub"));
        for bad in [&["--only"][..], &["--only", "x"], &["--fast"]] {
            assert!(Chosen::parse(bad).is_err(), "{bad:?}");
        }
    }
}
