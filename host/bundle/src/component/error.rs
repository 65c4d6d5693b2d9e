//! Why a component is refused.

use super::{COMPONENT_MAX_BYTES, DEPTH_MAX, NAME_MAX_BYTES, NESTED_MAX};
use keepwell_model::capability::Capability;
use keepwell_model::words::printable;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    #[error(
        "the component has {found} bytes, more than {COMPONENT_MAX_BYTES}; build it with `opt-level = \"s\"` and `strip = true`"
    )]
    TooLarge { found: usize },
    #[error(
        "the core module cannot become a component: {why}; build it with keepwell-sdk for `wasm32-unknown-unknown`"
    )]
    Encode { why: String },
    #[error("it is not a component; `keepwell plugin build` makes one from a core module")]
    NotComponent,
    #[error("it is not valid WebAssembly: {why}; build it again")]
    Invalid { why: String },
    #[error(
        "it nests more than {NESTED_MAX} modules and components or deeper than {DEPTH_MAX}; link fewer adapters into it"
    )]
    Nested,
    #[error(
        "it is composed of several components with code of their own; hint: build it as one component, with the interfaces of `keepwell:task` as its only imports beside WASI"
    )]
    Composed,
    #[error("it imports `{name}`, which no plugin may have; build it with keepwell-sdk")]
    UndeclaredImport { name: String },
    #[error(
        "it imports `{name}`, which is outside the inert part of WASI; hint: leave out what uses files, sockets or http, or have your tools make stubs of it"
    )]
    NotInert { name: String },
    #[error(
        "it imports `{name}`, but its manifest does not say `wasi`; hint: add `\"wasi\": true` to the manifest, or build it with keepwell-sdk for `wasm32-unknown-unknown`"
    )]
    WasiNotDeclared { name: String },
    #[error(
        "it imports `{name}` as a {kind}; only the interfaces of `keepwell:task` can be imported"
    )]
    OddImport { name: String, kind: &'static str },
    #[error("it does not export `{name}`; register the plugin with the macro of keepwell-sdk")]
    MissingExport { name: String },
    #[error(
        "it imports `{interface}`, but no task of the manifest needs `{capability}`; hint: declare `{capability}` among the needs of the task that uses it"
    )]
    NotDeclared {
        interface: String,
        capability: Capability,
    },
}

impl ComponentError {
    /// Stable, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Encode { .. }
            | Self::NotComponent
            | Self::Invalid { .. }
            | Self::Nested
            | Self::Composed
            | Self::MissingExport { .. } => "bad-component",
            Self::UndeclaredImport { .. }
            | Self::NotInert { .. }
            | Self::WasiNotDeclared { .. }
            | Self::OddImport { .. }
            | Self::NotDeclared { .. } => "undeclared-import",
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "its shape is that of `map_err`"
    )]
    pub(super) fn invalid(why: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid {
            why: printable(&why.to_string(), 2 * NAME_MAX_BYTES),
        }
    }
}
