//! Reports metrics for ever, with values and names no exporter wants.

use keepwell_sdk::prelude::*;

behaviour!(
    MetricsFlood,
    "metrics-flood",
    "Measures without end",
    [],
    run
);

fn run() -> Result<Summary, Failure> {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
        metric("odd", "count", value);
    }
    metric("a name\n# HELP forged", "no unit", 1.0);
    let mut n: u64 = 0;
    loop {
        labelled_metric("flood", "count", 1.0, "n\"}", &n.to_string());
        n += 1;
    }
}
