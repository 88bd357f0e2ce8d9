//! Which module may name which: ARCHITECTURE.md's code map, held.

use std::{fs, path::Path};

/// From the top of the import order to the bottom; a module may name only those after it.
const ORDER: [&str; 22] = [
    "cli",
    "node",
    "signals",
    "sandbox",
    "check",
    "frontend",
    "status",
    "replicator",
    "applier",
    "backend",
    "certification",
    "write_set",
    "consensus",
    "certificates",
    "config",
    "duty",
    "id",
    "metrics",
    "net",
    "binlog",
    "protocol",
    "sql",
];

/// Modules that import neither sockets nor a runtime.
const PURE: [&str; 7] = [
    "binlog",
    "certification",
    "config",
    "id",
    "protocol",
    "sql",
    "write_set",
];

#[test]
fn modules_name_only_what_is_below_them() {
    let mut seen = 0;
    for (rank, module) in ORDER.iter().enumerate() {
        for (path, text) in sources(module) {
            for named in named_modules(&text) {
                let other = ORDER.iter().position(|known| *known == named);
                let other =
                    other.unwrap_or_else(|| panic!("{path}: {named} has no place in ORDER"));
                assert!(other >= rank, "{path}: {module} must not name {named}");
                seen += 1;
            }
            let impure = text.contains("tokio") || text.contains("std::net::Tcp");
            assert!(!(impure && PURE.contains(module)), "{path}: must stay pure");
        }
    }
    assert!(seen > 5, "the test no longer sees the imports");
}

/// The files of a module, which is a file or a folder, with their paths.
fn sources(module: &str) -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let file = src.join(format!("{module}.rs"));
    let mut waiting = vec![if file.exists() {
        file
    } else {
        src.join(module)
    }];
    let mut sources = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("readable");
            waiting.extend(entries.map(|entry| entry.expect("readable").path()));
        } else {
            let text = fs::read_to_string(&path).expect("a module of ORDER is in src");
            sources.push((path.display().to_string(), text));
        }
    }
    sources
}

/// What stands directly after `crate::`, alone or in braces.
fn named_modules(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in text.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            names.push(identifier(after));
            continue;
        };
        let mut depth = 0;
        names.push(identifier(group.trim_start()));
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(identifier(group[at + 1..].trim_start())),
                _ => {}
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn imports_are_read_in_every_form() {
    let text =
        "use crate::node;\nuse crate::{\n    config::{A, B},\n    protocol::{c, d::{E}},\n};";
    assert_eq!(named_modules(text), ["node", "config", "protocol"]);
}
