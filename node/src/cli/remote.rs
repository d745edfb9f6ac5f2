//! What all commands that talk to a running node have in common.

use super::out::Format;
use super::start::SecretArg;

/// Which node to ask, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoteArgs {
    /// Address of the management API
    #[arg(
        long,
        value_name = "URL",
        env = "SPANMQ_API",
        default_value = "http://127.0.0.1:18083",
        global = true,
        help_heading = "Connection"
    )]
    pub api: String,
    /// API key
    #[arg(
        long,
        value_name = "KEY",
        env = "SPANMQ_API_KEY",
        global = true,
        help_heading = "Connection"
    )]
    pub api_key: Option<String>,
    /// Secret of the API key; better given as SPANMQ_API_SECRET
    #[arg(
        long,
        value_name = "SECRET",
        env = "SPANMQ_API_SECRET",
        hide_env_values = true,
        requires = "api_key",
        global = true,
        help_heading = "Connection"
    )]
    pub api_secret: Option<SecretArg>,
    /// How long to wait for an answer
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        global = true,
        help_heading = "Connection"
    )]
    pub timeout: String,
    /// How to print the answer
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}
