//! What all commands that talk to a running node have in common.

use std::time::Duration;

use super::out::Format;
use super::start::SecretArg;

/// Which node to ask, and as whom.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct RemoteArgs {
    /// Address of the management API
    #[arg(
        long,
        value_name = "URL",
        env = "SPANMQ_API",
        default_value = "http://127.0.0.1:18083",
        global = true
    )]
    pub api: String,
    /// API key
    #[arg(long, value_name = "KEY", env = "SPANMQ_API_KEY", global = true)]
    pub api_key: Option<String>,
    /// Secret of the API key; better given as SPANMQ_API_SECRET
    #[arg(
        long,
        value_name = "SECRET",
        env = "SPANMQ_API_SECRET",
        hide_env_values = true,
        requires = "api_key",
        global = true
    )]
    pub api_secret: Option<SecretArg>,
    /// User of the web UI, instead of an API key
    #[arg(
        long,
        value_name = "NAME",
        env = "SPANMQ_USER",
        conflicts_with = "api_key",
        global = true
    )]
    pub user: Option<String>,
    /// Password of the user; better given as SPANMQ_PASSWORD
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "SPANMQ_PASSWORD",
        hide_env_values = true,
        global = true
    )]
    pub password: Option<SecretArg>,
    /// How long to wait for an answer, or for what --wait names
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = humantime::parse_duration,
        global = true
    )]
    pub timeout: Duration,
    /// How to print the answer
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}
