//! The `emberkeep` binary: see the library for everything it does.

use std::process::ExitCode;

/// Gives memory back to the system soon after a peak: queries and compactions come in bursts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    emberkeep::cli::main()
}
