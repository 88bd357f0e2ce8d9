//! The `trireme` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    trireme::cli::main()
}
