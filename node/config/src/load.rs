//! From texts to a checked configuration: default < file < environment < flags.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::check::{self, Findings};
use crate::check_links;
use crate::error::{ConfigError, ConfigErrors, Problem, Warning};
use crate::flags::Flags;
use crate::hocon::{Document, load_document};
use crate::model::Config;
use crate::origin::{KeyPath, Node, Origin};
use crate::setting::{Effective, Reader, Setting};

/// What a configuration is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// The configuration file, if one is given.
    pub file: Option<PathBuf>,
    /// The whole environment of the process.
    pub env: Vec<(String, String)>,
    pub flags: Flags,
}

/// A checked configuration, with what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
    /// Every value in force, in the order of the sections; secrets are `***`.
    pub effective: Vec<Effective>,
}

impl Loaded {
    /// Where the value of a key was set.
    pub fn origin(&self, key: &KeyPath) -> Origin {
        origin_of(&self.effective, key)
    }
}

/// Reads, merges and checks a configuration. `read` gives the content of a file.
///
/// # Errors
/// Everything that is wrong with it, not only the first.
pub fn load(
    inputs: &Inputs,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, ConfigErrors> {
    let mut findings = Findings::default();
    let document = match &inputs.file {
        None => Document::default(),
        Some(file) => {
            read_file(file, &inputs.env, &read).map_err(|error| ConfigErrors(vec![error]))?
        }
    };
    for (origin, path) in &document.absent {
        let message = format!("{} does not exist; the include is empty", path.display());
        findings.warnings.push(Warning::Advice {
            key: KeyPath::of("include"),
            message,
            origin: origin.clone(),
        });
    }
    let mut tree = match &document.value {
        Value::Object(_) => {
            Node::from_json(document.value.clone(), &KeyPath::root(), &|path| document.origin(path))
        }
        _ => Node::empty_map(Origin::Default),
    };
    let schema = schema();
    let Findings { errors, warnings } = &mut findings;
    crate::env::overlay(&mut tree, &inputs.env, &schema, errors, warnings);
    inputs.flags.overlay(&mut tree);

    let base = inputs.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut reader = Reader::new(base, &document.variables);
    let mut config = Config::read(
        Some(&tree),
        Config::defaults(wants_dev(&tree)),
        &KeyPath::root(),
        &mut reader,
    );
    findings.errors.append(&mut reader.errors);
    findings.warnings.append(&mut reader.warnings);
    let effective = reader.effective;
    let origin = |key: &KeyPath| {
        tree.get(key.segments())
            .map_or_else(|| origin_of(&effective, key), |node| node.origin.clone())
    };
    check::rules(&config, &origin, &mut findings);
    check_links::links(&mut config, base, &read, &origin, &mut findings);
    check::files(&mut config, base, &read, &origin, &mut findings);
    if findings.errors.is_empty() {
        return Ok(Loaded { config, warnings: findings.warnings, effective });
    }
    Err(ConfigErrors(sorted(findings.errors)))
}

/// JSON Schema of the configuration file.
pub fn schema() -> Value {
    let mut schema = <Config as Setting>::schema();
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        fields.insert("title".into(), "SpanMQ configuration".into());
    }
    schema
}

fn read_file(
    file: &Path,
    env: &[(String, String)],
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Document, ConfigError> {
    let text = read(file).map_err(|error| ConfigError {
        origin: Origin::Flag("--config"),
        problem: Problem::Unreadable { path: file.to_owned(), reason: error.to_string() },
    })?;
    load_document(file, &text, env, read).map_err(|error| ConfigError {
        origin: error.origin,
        problem: Problem::Syntax { message: error.message },
    })
}

/// Whether `dev` is set; needed before the rest, because it changes defaults.
fn wants_dev(tree: &Node) -> bool {
    let mut reader = Reader::new(Path::new(""), &[]);
    tree.get(&["dev".to_owned()])
        .is_some_and(|node| bool::read(Some(node), false, &KeyPath::of("dev"), &mut reader))
}

fn origin_of(effective: &[Effective], key: &KeyPath) -> Origin {
    effective
        .iter()
        .find(|value| value.key == *key)
        .map_or(Origin::Default, |value| value.origin.clone())
}

/// In the order of the file; what has no line comes after that. Nothing twice.
fn sorted(mut errors: Vec<ConfigError>) -> Vec<ConfigError> {
    errors.sort_by_cached_key(|error| match &error.origin {
        Origin::File { file, line, column } => (0, file.to_path_buf(), *line, *column),
        Origin::Env(_) => (1, PathBuf::new(), 0, 0),
        Origin::Flag(_) => (2, PathBuf::new(), 0, 0),
        Origin::Default => (3, PathBuf::new(), 0, 0),
    });
    errors.dedup();
    errors
}
