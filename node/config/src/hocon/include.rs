//! A file with all that it includes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hocon_rs::raw::concat::Concat;
use hocon_rs::raw::field::ObjectField;
use hocon_rs::raw::include::Inclusion;
use hocon_rs::raw::raw_object::RawObject;
use hocon_rs::raw::raw_value::RawValue;
use serde_json::Value;

use super::expansion::{Use, bounded};
use super::scan::{Found, SUBSTITUTIONS_MAX};
use super::{BYTES_MAX, Place, SyntaxError};
use crate::origin::{KeyPath, Origin};

/// Files below files.
const INCLUDE_DEPTH_MAX: usize = 16;
/// Files in all.
const FILES_MAX: usize = 256;

/// A configuration file with values and places.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) value: Value,
    /// Where each key stands; later entries win.
    places: std::collections::HashMap<KeyPath, Origin>,
    /// Keys that substitutions refer to.
    pub(crate) variables: Vec<KeyPath>,
    /// Includes without a file, which HOCON allows.
    pub(crate) absent: Vec<(Origin, PathBuf)>,
}

impl Document {
    /// Where `path` was set, or the nearest of its parents.
    pub(crate) fn origin(&self, path: &KeyPath) -> Origin {
        let mut path = Some(path.clone());
        while let Some(key) = path {
            if let Some(origin) = self.places.get(&key) {
                return origin.clone();
            }
            path = key.parent();
        }
        Origin::Default
    }
}

/// Why a document is none.
#[derive(Debug)]
pub(crate) struct DocumentError {
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

struct Loader<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<String>,
    document: Document,
    /// Files being read, outermost first.
    open: Vec<PathBuf>,
    files: usize,
    bytes: usize,
    uses: Vec<Use>,
}

/// Reads `text`, the content of `file`, and whatever it includes; `${NAME}` that no key answers is
/// looked up in `env`.
///
/// # Errors
/// What is wrong with the text or an included one, and where.
pub(crate) fn load_document(
    file: &Path,
    text: &str,
    env: &[(String, String)],
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Document, DocumentError> {
    let mut loader = Loader {
        read,
        document: Document::default(),
        open: vec![],
        files: 0,
        bytes: 0,
        uses: vec![],
    };
    let mut raw = loader.file(file, text, &KeyPath::root())?;
    let whole = at(file, Place { line: 1, column: 1 });
    if loader.uses.len() > SUBSTITUTIONS_MAX || !bounded(&loader.uses, loader.bytes) {
        let message = "its substitutions multiply beyond all measure".to_owned();
        return Err(DocumentError { origin: whole, message });
    }
    let mut document = loader.document;
    let names = borrow_environment(&mut raw, &document, env);
    let value = super::resolve(raw).map_err(|message| {
        let named = document.variables.iter().filter(|key| message.contains(&key.to_string()));
        let key = named.max_by_key(|key| key.segments().len());
        let origin = key.map(|key| document.origin(&substituted(key)));
        DocumentError { origin: origin.unwrap_or(whole), message }
    })?;
    document.value = value;
    if let Some(fields) = document.value.as_object_mut() {
        for name in names {
            fields.shift_remove(&name);
        }
    }
    Ok(document)
}

fn at(file: &Path, place: Place) -> Origin {
    Origin::File { file: Arc::from(file), line: place.line, column: place.column }
}

/// The key under which the place of a `${…}` is kept, beside those of real keys.
fn substituted(key: &KeyPath) -> KeyPath {
    KeyPath::of("${}").joined(key)
}

/// Puts the variables that the text asks for and does not set below everything else.
fn borrow_environment(
    raw: &mut RawObject,
    document: &Document,
    env: &[(String, String)],
) -> Vec<String> {
    let mut names = vec![];
    for key in &document.variables {
        let [name] = key.segments() else { continue };
        if names.contains(name) || document.places.contains_key(key) {
            continue;
        }
        if let Some((_, value)) = env.iter().find(|(known, _)| known == name) {
            let value = RawValue::quoted_string(value.as_str());
            let key = hocon_rs::raw::raw_string::RawString::quoted(name.as_str());
            raw.0.insert(0, ObjectField::key_value(key, value));
            names.push(name.clone());
        }
    }
    names
}

impl Loader<'_> {
    fn file(
        &mut self,
        file: &Path,
        text: &str,
        below: &KeyPath,
    ) -> Result<RawObject, DocumentError> {
        let fail = |error: SyntaxError| DocumentError {
            origin: at(file, error.place),
            message: error.message,
        };
        self.bytes += text.len();
        self.files += 1;
        if self.bytes > BYTES_MAX || self.files > FILES_MAX {
            return Err(fail(SyntaxError {
                place: Place { line: 1, column: 1 },
                message: format!(
                    "with includes more than {FILES_MAX} files or {} MB",
                    BYTES_MAX >> 20
                ),
            }));
        }
        let (mut raw, scan) = super::parse(text).map_err(fail)?;
        self.open.push(file.to_owned());
        let mut includes = vec![];
        for found in scan.found {
            match found {
                Found::Key(path, place) => {
                    self.document.places.insert(below.joined(&path), at(file, place));
                }
                Found::Substitution { within, target, place } => {
                    let at = at(file, place);
                    self.document.places.entry(substituted(&target)).or_insert(at);
                    self.document.variables.push(target.clone());
                    self.uses.push(Use { within: below.joined(&within), target });
                }
                Found::Include { below: inner, name, required, place } => {
                    let origin = at(file, place);
                    let path = file.parent().unwrap_or(Path::new("")).join(name);
                    includes.push(self.include(path, required, &below.joined(&inner), origin)?);
                }
            }
        }
        self.open.pop();
        let mut includes = includes.into_iter();
        fill_object(&mut raw, &mut |inclusion| {
            // The scan and the parser find the same includes in the same order.
            inclusion.val = includes.next().flatten().map(Box::new);
        });
        Ok(raw)
    }

    /// The object that an include stands for; `None` when there is no such file.
    fn include(
        &mut self,
        path: PathBuf,
        required: bool,
        below: &KeyPath,
        origin: Origin,
    ) -> Result<Option<RawObject>, DocumentError> {
        let fail = |message: String| DocumentError { origin: origin.clone(), message };
        if self.open.contains(&path) {
            return Err(fail(format!("{} includes itself", path.display())));
        }
        if self.open.len() > INCLUDE_DEPTH_MAX {
            return Err(fail(format!("includes deeper than {INCLUDE_DEPTH_MAX} levels")));
        }
        let mut candidates = vec![path.clone()];
        if path.extension().is_none() {
            candidates.extend([path.with_extension("conf"), path.with_extension("json")]);
        }
        for candidate in candidates {
            match (self.read)(&candidate) {
                Ok(text) => return self.file(&candidate, &text, below).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(fail(format!("cannot read {}: {error}", candidate.display())));
                }
            }
        }
        if required {
            return Err(fail(format!("cannot read {}: no such file", path.display())));
        }
        self.document.absent.push((origin, path));
        Ok(None)
    }
}

fn fill_object(object: &mut RawObject, fill: &mut impl FnMut(&mut Inclusion)) {
    for field in object.iter_mut() {
        match field {
            ObjectField::Inclusion { inclusion, .. } => fill(inclusion),
            ObjectField::KeyValue { value, .. } => fill_value(value, fill),
            ObjectField::NewlineComment(_) => {}
        }
    }
}

fn fill_value(value: &mut RawValue, fill: &mut impl FnMut(&mut Inclusion)) {
    match value {
        RawValue::Object(object) => fill_object(object, fill),
        RawValue::Array(items) => items.iter_mut().for_each(|item| fill_value(item, fill)),
        RawValue::AddAssign(value) => fill_value(value, fill),
        RawValue::Concat(concat) => {
            let (mut values, spaces) = concat.clone().into_inner();
            values.iter_mut().for_each(|value| fill_value(value, fill));
            if let Ok(filled) = Concat::new(values, spaces) {
                *concat = filled;
            }
        }
        _ => {}
    }
}
