//! What a component may import, down to the functions.

#[expect(dead_code, reason = "each test file uses its own part of the fixture")]
mod fixture;

use fixture::{component, core_module, manifest};
use keepwell_bundle::{COMPONENT_MAX_BYTES, ComponentError, check_against, encode, scan};
use keepwell_model::capability::Capability;

const CORE: &str = "keepwell:task/core@0.1.0";
const STORAGE: &str = "keepwell:task/storage@0.1.0";
const CLEAN: &str = "keepwell:task/storage-clean@0.1.0";

/// A component in text; `EXPORT` stands for a sound export of `task`.
#[expect(clippy::unwrap_used, reason = "a test may end at what fails")]
fn text(wat: &str) -> Vec<u8> {
    let export = r#"
        (component $inner
            (import "f" (func $f))
            (export "run" (func $f)) (export "review" (func $f)) (export "describe" (func $f)))
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $task (instantiate $inner (with "f" (func $f))))
        (export "keepwell:task/task@0.1.0" (instance $task))"#;
    wat::parse_str(format!("(component {})", wat.replace("EXPORT", export))).unwrap()
}

#[test]
fn encoding_is_deterministic_and_scanned_to_the_functions() {
    let module = core_module(&[CORE, STORAGE, CLEAN]);
    let component = encode(&module).unwrap();
    assert_eq!(encode(&module).unwrap(), component);
    let scan = scan(&component).unwrap();
    assert_eq!(
        scan.capabilities,
        [Capability::Storage, Capability::StorageClean]
    );
    assert_eq!(scan.exports, ["keepwell:task/task@0.1.0"]);
    let storage = scan
        .imports
        .iter()
        .find(|i| i.interface == STORAGE)
        .unwrap();
    for function in [
        "roots",
        "walk",
        "stat",
        "get-usage",
        "[method]walker.next",
        "resource walker",
    ] {
        assert!(
            storage.functions.iter().any(|f| f == function),
            "{function}: {storage:?}"
        );
    }
    assert!(storage.lines().contains(&format!("{STORAGE}#walk")));
}

#[test]
fn what_is_imported_must_be_declared() {
    let scan = scan(&component(&[CORE, STORAGE, CLEAN])).unwrap();
    let both = manifest("clean", &["storage", "storage-clean"]);
    check_against(&scan, &both).unwrap();
    let error = check_against(&scan, &manifest("clean", &["storage"])).unwrap_err();
    let (interface, capability) = (CLEAN.to_owned(), Capability::StorageClean);
    assert_eq!(
        error,
        ComponentError::NotDeclared {
            interface,
            capability
        }
    );
    assert_eq!(error.code(), "undeclared-import");
}

#[test]
fn what_is_inert_of_wasi_needs_the_manifests_word() {
    let name = "wasi:cli/environment@0.2.0";
    let scan = scan(&component(&[CORE, name])).unwrap();
    assert!(scan.wasi);
    let mut manifest = manifest("clean", &[]);
    let error = check_against(&scan, &manifest).unwrap_err();
    assert_eq!(error, ComponentError::WasiNotDeclared { name: name.into() });
    assert_eq!(error.code(), "undeclared-import");
    manifest.wasi = true;
    check_against(&scan, &manifest).unwrap();
}

#[test]
fn what_is_not_inert_of_wasi_is_refused_by_name() {
    let with = |name: &str, function: &str| {
        scan(&text(&format!(
            r#"(import "{name}" (instance (export "{function}" (func)))) EXPORT"#
        )))
    };
    assert!(with("wasi:cli/exit@0.2.3", "exit").is_ok());
    for outside in [
        "wasi:sockets/network@0.2.9",
        "wasi:sockets/instance-network@0.2.9",
        "wasi:sockets/tcp@0.2.9",
        "wasi:sockets/tcp-create-socket@0.2.9",
        "wasi:sockets/udp@0.2.9",
        "wasi:sockets/udp-create-socket@0.2.9",
        "wasi:sockets/ip-name-lookup@0.2.9",
        "wasi:http/types@0.2.9",
        "wasi:http/outgoing-handler@0.2.9",
        "wasi:cli/run@0.2.9",
        "wasi:clocks/timezone@0.2.9",
        "wasi:clocks/system-clock@0.3.0",
        "wasi:cli/exit@0.3.0",
        "wasi:cli/exit@0.2.0-rc-2023-11-10",
        "wasi:cli/exit",
        "wasi:config/store@0.2.0-rc.1",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:nn/graph@0.2.0",
    ] {
        let expected = ComponentError::NotInert {
            name: outside.into(),
        };
        assert_eq!(with(outside, "exit"), Err(expected), "{outside}");
    }
    // A later version of an inert interface may hold more than what is known to be inert.
    let name = "wasi:cli/stdout@0.2.99#get-file".into();
    let later = with("wasi:cli/stdout@0.2.99", "get-file");
    assert_eq!(later, Err(ComponentError::NotInert { name }));
    let old = "wasi_snapshot_preview1".to_owned();
    let error = with(&old, "fd_write").unwrap_err();
    assert!(matches!(error, ComponentError::Invalid { .. }), "{error}");
}

#[test]
fn what_is_composed_of_several_components_is_refused() {
    let inner = "(component (core module (memory 1)))";
    let error = scan(&text(&format!("{inner} EXPORT"))).unwrap_err();
    assert_eq!(error, ComponentError::Composed);
}

#[test]
fn only_known_interfaces_of_compatible_versions() {
    let with = |name: &str| {
        scan(&text(&format!(
            r#"(import "{name}" (instance (export "read" (func)))) EXPORT"#
        )))
    };
    assert!(with("keepwell:task/metrics@0.1.0").is_ok());
    assert!(with("keepwell:task/metrics@0.1.9").is_ok());
    for bad in [
        "keepwell:task/secrets@0.1.0",
        "keepwell:task/task@0.1.0",
        "keepwell:task/metrics@0.2.0",
        "keepwell:task/metrics@1.1.0",
        "keepwell:task/metrics@0.1.0-rc1",
        "keepwell:task/metrics@0.1.0+x",
        "keepwell:task/metrics",
        "keepwell:tasks/metrics@0.1.0",
        "other:task/metrics@0.1.0",
        "metrics",
    ] {
        let expected = ComponentError::UndeclaredImport { name: bad.into() };
        assert_eq!(with(bad), Err(expected), "{bad}");
    }
}

#[test]
fn modules_components_functions_and_types_are_refused() {
    for (wat, kind) in [
        (r#"(import "x" (core module)) EXPORT"#, "core module"),
        (r#"(import "x" (component)) EXPORT"#, "component"),
        (r#"(import "x" (func)) EXPORT"#, "function"),
        (r#"(import "x" (type (sub resource))) EXPORT"#, "type"),
    ] {
        let expected = ComponentError::OddImport {
            name: "x".into(),
            kind,
        };
        assert_eq!(scan(&text(wat)), Err(expected), "{wat}");
    }
    let inside =
        r#"(import "keepwell:task/metrics@0.1.0" (instance (export "m" (core module)))) EXPORT"#;
    assert!(matches!(
        scan(&text(inside)),
        Err(ComponentError::UndeclaredImport { .. })
    ));
}

#[test]
fn the_task_must_be_exported_with_its_functions() {
    assert!(scan(&text("EXPORT")).is_ok());
    assert!(matches!(
        scan(&text("")),
        Err(ComponentError::MissingExport { .. })
    ));
    let less = r#"(component $c) (instance $i (instantiate $c)) (export "keepwell:task/task@0.1.0" (instance $i))"#;
    let error = scan(&text(less)).unwrap_err();
    assert!(error.to_string().contains("#run"), "{error}");
}

#[test]
fn what_is_no_component_too_large_or_nested_is_refused() {
    let module = core_module(&[CORE]);
    assert_eq!(scan(&module), Err(ComponentError::NotComponent));
    assert_eq!(scan(b""), Err(ComponentError::NotComponent));
    let found = COMPONENT_MAX_BYTES + 1;
    let large = vec![0; found];
    assert_eq!(scan(&large), Err(ComponentError::TooLarge { found }));
    assert_eq!(encode(&large), Err(ComponentError::TooLarge { found }));
    assert!(matches!(encode(b"no"), Err(ComponentError::Encode { .. })));
    let wide = "(component)".repeat(70);
    assert_eq!(
        scan(&text(&format!("{wide} EXPORT"))),
        Err(ComponentError::Nested)
    );
    let deep = format!("{}{}", "(component ".repeat(6), ")".repeat(6));
    assert_eq!(
        scan(&text(&format!("{deep} EXPORT"))),
        Err(ComponentError::Nested)
    );
    // A cut between two sections may leave a whole component, for what follows is only names and
    // producers; it must not leave one that shows another import list.
    let whole = component(&[CORE]);
    let imports = scan(&whole).unwrap().imports;
    let mut refused = 0;
    for at in 0..whole.len() {
        match scan(&whole[..at]) {
            Ok(scan) => assert_eq!(scan.imports, imports, "cut at {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > whole.len() - 8, "{refused} of {}", whole.len());
}
