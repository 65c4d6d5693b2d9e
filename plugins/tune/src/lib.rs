//! Tuning: `param-tune` tries one value of one parameter in a soak period, and measures.

mod param_tune;
mod soak;

pub use param_tune::ParamTune;

keepwell_sdk::plugin!(
    "tune",
    "Tunes declared parameters, one change at a time",
    [ParamTune]
);
