//! `check web-config`: files that say how a server is served, with the files they name.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Failure, output};
use crate::config;
use crate::net::check_server_tls;

#[derive(Debug, Args)]
pub(in crate::cli) struct WebConfigArgs {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &WebConfigArgs) -> Result<(), Failure> {
    let mut refused = 0;
    for file in &args.files {
        let name = file.display();
        let checked = config::load_web_config(file).map_err(|error| error.to_string()).and_then(|config| {
            config.tls.map_or(Ok(()), |tls| check_server_tls(&tls).map_err(|error| error.to_string()))
        });
        match checked {
            Ok(()) => output::note(&format!("{name} SUCCESS")),
            Err(reason) => {
                output::note(&format!("{name} FAILED: {reason}"));
                refused += 1;
            }
        }
    }
    match refused {
        0 => Ok(()),
        _ => Err(format!("{refused} of {} files refused", args.files.len()).into()),
    }
}
