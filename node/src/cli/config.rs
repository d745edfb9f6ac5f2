//! `spanmq config check | show | schema`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use spanmq_config::{ConfigErrors, Effective, Inputs, Loaded, Origin, load, render, schema};

use super::Exit;
use super::out::{self, Format};
use super::start::{environment, report, report_warnings};

/// Checks and shows configuration files.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConfigCommand {
    Check(CheckArgs),
    Show(ShowArgs),
    Schema(SchemaArgs),
}

/// Where a configuration comes from, without a node.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// Configuration file; without it, defaults and environment alone
    #[arg(value_name = "FILE", env = "SPANMQ_CONFIG")]
    pub file: Option<PathBuf>,
    /// Leave SPANMQ_… and EMQX_… variables out
    #[arg(long)]
    pub no_env: bool,
}

impl Source {
    fn load(&self) -> Result<Loaded, ConfigErrors> {
        let mut env = environment();
        if self.no_env {
            // The rest stays: `${HOME}` in the file is not a setting.
            env.retain(|(name, _)| !name.starts_with("SPANMQ_") && !name.starts_with("EMQX_"));
        }
        let inputs = Inputs { file: self.file.clone(), env, ..Inputs::default() };
        load(&inputs, |path| std::fs::read_to_string(path))
    }
}

/// Checks a configuration as a start would, and tells everything that is wrong.
///
/// Also checks that the files it names can be read. Exits with 1 when a node would not start.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq config check /etc/spanmq/spanmq.conf
  spanmq config check --no-env spanmq.conf -o json")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub source: Source,
    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Shows settings; secrets are ***.
///
/// Without --effective only what differs from the built-in defaults. The lines are a configuration
/// file again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq config show spanmq.conf
  spanmq config show spanmq.conf --effective --origin
  spanmq config show --effective -o json")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub source: Source,
    /// Show every setting, also those at their default
    #[arg(long)]
    pub effective: bool,
    /// Tell where each value comes from: default, file:line:column, env NAME
    #[arg(long)]
    pub origin: bool,
    /// How to print the settings
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Prints the JSON Schema of the configuration file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spanmq config schema > spanmq.schema.json")]
pub(crate) struct SchemaArgs {
    /// json or yaml; table is json
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    pub output: Format,
}

pub(crate) fn run_config(args: &ConfigArgs) -> Exit {
    match &args.command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Show(args) => show(args),
        ConfigCommand::Schema(args) => out::document(&schema(), args.output),
    }
}

fn check(args: &CheckArgs) -> Exit {
    let result = args.source.load();
    let failed = result.is_err();
    let printed = match (&result, args.output) {
        (Ok(loaded), Format::Table) => {
            report_warnings(&loaded.warnings);
            let count = loaded.warnings.iter().filter(|warning| !warning.is_notice()).count();
            let noun = if count == 1 { "warning" } else { "warnings" };
            out::print(format!("{}: ok, {count} {noun}\n", named(args.source.file.as_deref())))
        }
        (Err(errors), Format::Table) => {
            report(errors);
            Exit::Failed
        }
        (result, format) => out::document(&findings(result), format),
    };
    if failed { Exit::Failed } else { printed }
}

fn named(file: Option<&Path>) -> String {
    file.map_or_else(|| "defaults and environment".into(), |file| file.display().to_string())
}

fn findings(result: &Result<Loaded, ConfigErrors>) -> Value {
    let no_errors = ConfigErrors(vec![]);
    let (warnings, errors) = match result {
        Ok(loaded) => (loaded.warnings.as_slice(), &no_errors),
        Err(errors) => (&[][..], errors),
    };
    let errors: Vec<Value> = errors
        .0
        .iter()
        .map(|error| {
            let mut fields = place(&error.origin);
            fields.insert("message".into(), error.problem.to_string().into());
            Value::Object(fields)
        })
        .collect();
    let warnings: Vec<Value> = warnings.iter().map(|warning| warning.to_string().into()).collect();
    json!({ "ok": result.is_ok(), "errors": errors, "warnings": warnings })
}

fn place(origin: &Origin) -> Map<String, Value> {
    let mut fields = Map::from_iter([("origin".to_owned(), origin.to_string().into())]);
    if let Origin::File { file, line, column } = origin {
        fields.insert("file".into(), file.display().to_string().into());
        fields.insert("line".into(), (*line).into());
        fields.insert("column".into(), (*column).into());
    }
    fields
}

fn show(args: &ShowArgs) -> Exit {
    let mut loaded = match args.source.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            report(&errors);
            return Exit::Failed;
        }
    };
    if !args.effective {
        loaded.effective.retain(|value| value.origin != Origin::Default);
    }
    match args.output {
        Format::Table => out::print(render(&loaded.effective, args.origin)),
        format => out::document(&values(&loaded.effective, args.origin), format),
    }
}

/// `key: value`, or `key: { value, origin }`.
fn values(effective: &[Effective], with_origin: bool) -> Value {
    let entry = |value: &Effective| {
        if with_origin {
            json!({ "value": value.value, "origin": value.origin.to_string() })
        } else {
            value.value.clone()
        }
    };
    Value::Object(effective.iter().map(|value| (value.key.to_string(), entry(value))).collect())
}
