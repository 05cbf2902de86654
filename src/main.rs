//! The `emberkeep` binary: see the library for everything it does.

use std::process::ExitCode;

/// Gives memory back to the system soon after a peak: queries and compactions come in bursts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Memory comes in small pieces here: with huge pages most of each would lie idle, and be cleared for nothing.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    emberkeep::cli::main()
}
