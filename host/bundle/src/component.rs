//! Components: made from a core module, and read down to the names of the functions they import.

mod error;
mod size;

pub use error::ComponentError;
pub use size::{Sizes, sizes};

use keepwell_model::capability::{Capability, PACKAGE, PACKAGE_VERSION};
use keepwell_model::manifest::{Manifest, parse_version};
use keepwell_model::wasi::{self, is_wasi};
use keepwell_model::words::printable;
use serde::{Deserialize, Serialize};
use wasmparser::component_types::ComponentEntityType as Entity;
use wasmparser::types::Types;
use wasmparser::{
    ComponentExternalKind, ComponentImport, FuncValidatorAllocations, Parser, Payload,
    ValidPayload, Validator, WasmFeatures,
};

/// Largest component: compiling one costs time and memory in proportion. Of the languages that are
/// tried, Python's is the largest: its interpreter and the image of its memory are 18 MiB.
pub const COMPONENT_MAX_BYTES: usize = 24 << 20;
/// Most core modules and components inside one component. The encoder makes four modules (the
/// guest, a shim, its fixups) and one component for each export; Python's, which links libraries
/// when it starts, has forty.
const NESTED_MAX: usize = 64;
/// Components inside components: the encoder nests once.
const DEPTH_MAX: usize = 4;
/// How a resource type stands among the names of functions, none of which has a space.
const RESOURCE: &str = "resource ";
/// Longest name repeated in an error.
const NAME_MAX_BYTES: usize = 120;
/// What the only export must hold.
const TASK_FUNCTIONS: [&str; 3] = ["run", "review", "describe"];

/// One imported interface and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Import {
    /// For example `keepwell:task/storage@0.1.0`.
    pub interface: String,
    /// Function names as WIT components have them (`walk`, `[method]walker.next`), and resource
    /// types as `resource walker`. Sorted. Empty when only types are used.
    pub functions: Vec<String>,
}

impl Import {
    /// One line for each function: `keepwell:task/storage@0.1.0#walk`.
    pub fn lines(&self) -> Vec<String> {
        if self.functions.is_empty() {
            return vec![self.interface.clone()];
        }
        let line = |function| format!("{}#{function}", self.interface);
        self.functions.iter().map(line).collect()
    }

    /// The capability this import needs. Types alone need none, and neither does `core`.
    pub fn capability(&self) -> Option<Capability> {
        let name = interface_name(&self.interface)?;
        Capability::from_name(name).filter(|_| !self.functions.is_empty())
    }
}

/// What a component can do, by its own words, which are the only ones it is linked by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scan {
    pub imports: Vec<Import>,
    /// Sorted, each once.
    pub capabilities: Vec<Capability>,
    pub exports: Vec<String>,
    /// It imports something of WASI, all of it inert.
    pub wasi: bool,
}

/// Wraps a core module that carries its WIT into a component. Same module, same bytes.
pub fn encode(core_module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    check_size(core_module)?;
    let failed = |e: &dyn std::fmt::Display| ComponentError::Encode {
        why: printable(&format!("{e:#}"), 4 * NAME_MAX_BYTES),
    };
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(core_module).map_err(|e| failed(&e))?;
    let component = encoder.encode().map_err(|e| failed(&e))?;
    check_size(&component)?;
    Ok(component)
}

/// Validates a component and lists what it imports. Anything but interfaces of this contract
/// is refused here, before a line of it is compiled.
pub fn scan(component: &[u8]) -> Result<Scan, ComponentError> {
    check_size(component)?;
    if !Parser::is_component(component) {
        return Err(ComponentError::NotComponent);
    }
    let Surface {
        types,
        imports,
        mut exports,
    } = validate(component)?;
    let mut found = vec![];
    for name in imports {
        let import = Import {
            functions: functions(&types, &name)?,
            interface: name,
        };
        check_import(&import)?;
        found.push(import);
    }
    check_exports(&types, &exports)?;
    found.sort();
    exports.sort();
    let mut capabilities: Vec<Capability> = found.iter().filter_map(Import::capability).collect();
    capabilities.sort();
    capabilities.dedup();
    Ok(Scan {
        wasi: found.iter().any(|import| is_wasi(&import.interface)),
        imports: found,
        capabilities,
        exports,
    })
}

/// Whether all a component imports is asked for by some task of the manifest.
pub fn check_against(scan: &Scan, manifest: &Manifest) -> Result<(), ComponentError> {
    let asked = manifest.capabilities();
    let wasi = scan.imports.iter().find(|i| is_wasi(&i.interface));
    if let Some(import) = wasi.filter(|_| !manifest.wasi) {
        return Err(ComponentError::WasiNotDeclared {
            name: import.interface.clone(),
        });
    }
    for import in &scan.imports {
        if let Some(capability) = import.capability().filter(|c| !asked.contains(c)) {
            return Err(ComponentError::NotDeclared {
                interface: import.interface.clone(),
                capability,
            });
        }
    }
    Ok(())
}

fn check_size(bytes: &[u8]) -> Result<(), ComponentError> {
    let found = bytes.len();
    if found > COMPONENT_MAX_BYTES {
        return Err(ComponentError::TooLarge { found });
    }
    Ok(())
}

/// Of the contract, every interface; of WASI, what is inert, function by function.
fn check_import(import: &Import) -> Result<(), ComponentError> {
    let name = import.interface.as_str();
    if !is_wasi(name) {
        return interface_name(name)
            .map(|_| ())
            .ok_or_else(|| undeclared(name));
    }
    let not_inert = |name: &str| ComponentError::NotInert {
        name: printable(name, NAME_MAX_BYTES),
    };
    let known = wasi::functions(name).ok_or_else(|| not_inert(name))?;
    // A resource by itself does nothing; what is done with it are functions.
    let more =
        |function: &&String| !function.starts_with(RESOURCE) && !known.contains(&function.as_str());
    match import.functions.iter().find(more) {
        Some(function) => Err(not_inert(&format!("{name}#{function}"))),
        None => Ok(()),
    }
}

fn undeclared(name: &str) -> ComponentError {
    ComponentError::UndeclaredImport {
        name: printable(name, NAME_MAX_BYTES),
    }
}

/// What rustc makes for wasm32-unknown-unknown with simd128, and components. No threads, no
/// garbage collection, no exceptions, no asynchronous components.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::COMPONENT_MODEL
}

/// The outermost component's imports and exports, in its own order.
struct Surface {
    types: Types,
    imports: Vec<String>,
    exports: Vec<String>,
}

fn validate(bytes: &[u8]) -> Result<Surface, ComponentError> {
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let (mut imports, mut exports, mut outer) = (vec![], vec![], None);
    let (mut depth, mut nested) = (0usize, 0usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(ComponentError::invalid)?;
        match &payload {
            // Code in a component of its own: the adapters between two of them are code of several
            // memories, which the sandbox does not run.
            Payload::ModuleSection { .. } if depth > 0 => return Err(ComponentError::Composed),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                nested += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section.clone() {
                    imports.push(import_name(&import.map_err(ComponentError::invalid)?)?);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section.clone() {
                    exports.push(
                        export
                            .map_err(ComponentError::invalid)?
                            .name
                            .name
                            .to_owned(),
                    );
                }
            }
            _ => {}
        }
        if depth > DEPTH_MAX || nested > NESTED_MAX {
            return Err(ComponentError::Nested);
        }
        match validator
            .payload(&payload)
            .map_err(ComponentError::invalid)?
        {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                function.validate(&body).map_err(ComponentError::invalid)?;
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => outer = Some(types),
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
    }
    let types = outer.ok_or(ComponentError::NotComponent)?;
    Ok(Surface {
        types,
        imports,
        exports,
    })
}

/// Only instances, under a name that says all: no `implements`, no version beside the name.
fn import_name(import: &ComponentImport<'_>) -> Result<String, ComponentError> {
    let name = import.name.name;
    let kind = match import.ty.kind() {
        ComponentExternalKind::Instance => {
            let renamed = import.name.implements.is_some()
                || import.name.version_suffix.is_some()
                || import.name.external_id.is_some();
            return if renamed {
                Err(undeclared(name))
            } else {
                Ok(name.to_owned())
            };
        }
        ComponentExternalKind::Module => "core module",
        ComponentExternalKind::Func => "function",
        ComponentExternalKind::Value => "value",
        ComponentExternalKind::Type => "type",
        ComponentExternalKind::Component => "component",
    };
    Err(ComponentError::OddImport {
        name: printable(name, NAME_MAX_BYTES),
        kind,
    })
}

/// `storage` of `keepwell:task/storage@0.1.7`; `None` for anything that is not an importable
/// interface of a compatible version.
fn interface_name(import: &str) -> Option<&str> {
    let (name, version) = in_package(import)?;
    let known = matches!(name, "types" | "core") || Capability::from_name(name).is_some();
    (known && compatible(version)).then_some(name)
}

fn in_package(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    rest.split_once('@')
}

/// As the linker has it: below 1.0 the minor number must be the same, then the major one.
fn compatible(version: &str) -> bool {
    match (parse_version(version), parse_version(PACKAGE_VERSION)) {
        (Some((0, minor, _)), Some((0, ours, _))) => minor == ours && minor > 0,
        (Some((major, ..)), Some((ours, ..))) => major == ours && major > 0,
        _ => false,
    }
}

fn functions(types: &Types, name: &str) -> Result<Vec<String>, ComponentError> {
    let item = types.component_item_for_import(name);
    let Some(Entity::Instance(id)) = item.map(|item| item.ty) else {
        return Err(undeclared(name));
    };
    let mut found = vec![];
    for (part, item) in &types[id].exports {
        match item.ty {
            Entity::Func(_) => found.push(part.clone()),
            Entity::Type { created, .. } => {
                if let wasmparser::component_types::ComponentAnyTypeId::Resource(_) = created {
                    found.push(format!("{RESOURCE}{part}"));
                }
            }
            Entity::Module(_) | Entity::Value(_) | Entity::Instance(_) | Entity::Component(_) => {
                return Err(undeclared(&format!("{name}#{part}")));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn check_exports(types: &Types, exports: &[String]) -> Result<(), ComponentError> {
    let missing = |part: &str| ComponentError::MissingExport {
        name: format!("{PACKAGE}/task@{PACKAGE_VERSION}{part}"),
    };
    let is_task = |name: &&String| {
        in_package(name).is_some_and(|(name, version)| name == "task" && compatible(version))
    };
    let name = exports.iter().find(is_task).ok_or_else(|| missing(""))?;
    let item = types.component_item_for_export(name);
    let Some(Entity::Instance(id)) = item.map(|item| item.ty) else {
        return Err(missing(""));
    };
    for function in TASK_FUNCTIONS {
        let item = types[id].exports.get(function);
        if !matches!(item.map(|item| item.ty), Some(Entity::Func(_))) {
            return Err(missing(&format!("#{function}")));
        }
    }
    Ok(())
}
