//! The text of statements.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trireme::sql::{Class, Dialect, changed, defines_account_or_routine, named, statements};

fuzz_target!(|data: &[u8]| {
    for version in [&b"11.8.2-MariaDB"[..], b"9.7.0"] {
        let dialect = Dialect::of(version);
        for statement in statements(data, dialect) {
            let _ = Class::of(statement, dialect);
            let _ = defines_account_or_routine(statement, dialect);
        }
        let _ = (changed(data, dialect), named(data, dialect));
    }
});
