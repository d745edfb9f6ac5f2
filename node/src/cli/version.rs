//! `spanmq version`.

use serde_json::json;

use super::Exit;
use super::out::{self, Format};

/// Prints the version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq version
  spanmq version -o json")]
pub(crate) struct VersionArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

pub(crate) fn run_version(args: &VersionArgs) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    match args.output {
        Format::Table => out::print(format!("spanmq {version} ({os}, {arch})\n")),
        format => {
            let document = json!({ "name": "spanmq", "version": version, "os": os, "arch": arch });
            out::document(&document, format)
        }
    }
}
