//! What a component's bytes are: code, data, and the rest.

use super::{ComponentError, check_size};
use serde::Serialize;
use wasmparser::{Parser, Payload};

/// Bytes of all modules of a component together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sizes {
    pub code: usize,
    /// What stands in memory from the start: texts, tables, images of a heap.
    pub data: usize,
    /// Names, debugging information and producers, which nothing needs to run.
    pub custom: usize,
    pub all: usize,
}

impl Sizes {
    /// Types, imports, exports and what joins the modules.
    pub const fn rest(&self) -> usize {
        self.all - self.code - self.data - self.custom
    }
}

/// Adds up the sections.
pub fn sizes(component: &[u8]) -> Result<Sizes, ComponentError> {
    check_size(component)?;
    let mut sizes = Sizes {
        all: component.len(),
        ..Sizes::default()
    };
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(ComponentError::invalid)? {
            Payload::CodeSectionStart { size, .. } => sizes.code += size as usize,
            Payload::DataSection(section) => {
                let range = section.range();
                sizes.data += usize::try_from(range.end - range.start).unwrap_or(0);
            }
            Payload::CustomSection(section) => sizes.custom += section.data().len(),
            _ => {}
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_all_modules_are_added_up() {
        let module = r#"(core module (memory 1) (data (i32.const 0) "0123456789") (func nop))"#;
        let text = format!("(component {module} {module} (@custom \"x\" \"123\"))");
        let bytes = wat::parse_str(text).unwrap();
        let sizes = sizes(&bytes).unwrap();
        assert!((20..50).contains(&sizes.data), "{sizes:?}");
        assert!((6..20).contains(&sizes.code), "{sizes:?}");
        assert!(sizes.custom >= 3 && sizes.all == bytes.len(), "{sizes:?}");
        assert!(sizes.rest() > 0);
        assert!(super::sizes(b"no").is_err());
    }
}
