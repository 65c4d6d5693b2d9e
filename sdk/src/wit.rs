//! The bindings, made from `wit/` and named nowhere else. On a machine that is not Wasm the same
//! types serve, and `testing` answers in place of the host.
#![cfg_attr(
    target_arch = "wasm32",
    expect(
        unsafe_code,
        reason = "exports of the canonical ABI are raw; wit-bindgen writes them"
    )
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    pub_export_macro: false,
});

/// Where the calls go.
#[cfg(target_arch = "wasm32")]
pub(crate) mod sys {
    pub(crate) use super::keepwell::task::{
        config_read, config_write, core, metrics, shards, state, storage, storage_clean,
    };
}
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod sys {
    pub(crate) use crate::testing::sys::{
        config_read, config_write, core, metrics, shards, state, storage, storage_clean,
    };
}

#[cfg(target_arch = "wasm32")]
mod exported {
    use super::exports::keepwell::task::task::{Applied, Failure, Guest, Request, Summary};

    struct Component;
    impl Guest for Component {
        fn run(request: Request) -> Result<Summary, Failure> {
            crate::guest::run(&request)
        }
        fn review(
            request: Request,
            before: Summary,
            done: u64,
            not_done: u64,
            applied: Vec<Applied>,
        ) -> Result<Summary, Failure> {
            crate::guest::review(&request, before, done, not_done, applied)
        }
        fn describe() -> String {
            crate::guest::describe()
        }
    }
    super::export!(Component with_types_in super);
}
