//! From the component's three exports to the author's tasks. Exists only in Wasm.
#![cfg(target_arch = "wasm32")]
#![expect(unsafe_code, reason = "the plugin's table is found by its link name")]

use crate::task::{Applied, Failure, Request, Reviewed, Summary};
use crate::{Plugin, log};

unsafe extern "Rust" {
    /// Defined by [`crate::plugin!`] in the plugin's own crate.
    safe fn keepwell_plugin_0_1() -> &'static Plugin;
}

/// A trap says only "unreachable"; this says what and where, before it.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("panic without a message");
        match panic.location() {
            Some(place) => log::error!("panicked at {place}: {what}"),
            None => log::error!("panicked: {what}"),
        }
    }));
}

fn task(name: &str) -> Result<&'static crate::TaskEntry, Failure> {
    let plugin = keepwell_plugin_0_1();
    plugin.task(name).ok_or_else(|| {
        Failure::Permanent(format!(
            "plugin `{}` has no task `{name}`; it has {}",
            plugin.name,
            plugin.task_names()
        ))
    })
}

pub(crate) fn run(request: &Request) -> Result<Summary, Failure> {
    report_panics();
    (task(&request.task)?.run)(request)
}

pub(crate) fn review(
    request: &Request,
    before: Summary,
    done: u64,
    not_done: u64,
    actions: Vec<Applied>,
) -> Result<Summary, Failure> {
    report_panics();
    let reviewed = Reviewed {
        done,
        not_done,
        actions,
    };
    (task(&request.task)?.review)(request, before, &reviewed)
}

pub(crate) fn describe() -> String {
    report_panics();
    keepwell_plugin_0_1().manifest()
}
