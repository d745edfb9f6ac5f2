//! Body of the fuzz target `config_file`: any text as a configuration.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Flags, Inputs, load, render};

const CONFIG: &str = "/etc/spanmq/spanmq.conf";
const INCLUDED: &str = "/etc/spanmq/more.conf";
/// A line that is this and nothing else ends the file and begins `more.conf`.
const SEPARATOR: &str = "\n----\n";

/// Loads a text as a configuration file, and the part after a line `----` as `more.conf` beside
/// it. Errors name a place and end in no line break; what loads also prints.
///
/// # Panics
/// When an error has no text, or loading twice gives two answers.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (main, more) = text.split_once(SEPARATOR).unwrap_or((text, ""));
    let read = |path: &Path| -> io::Result<String> {
        match path.to_str() {
            Some(CONFIG) => Ok(main.to_owned()),
            Some(INCLUDED) => Ok(more.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    };
    let inputs = Inputs { file: Some(PathBuf::from(CONFIG)), ..Inputs::default() };
    let first = load(&inputs, read);
    match &first {
        Ok(loaded) => assert!(!render(&loaded.effective, true).is_empty()),
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for error in &errors.0 {
                assert!(!error.to_string().trim().is_empty(), "{error:?}");
            }
        }
    }
    assert_eq!(load(&inputs, read).ok(), first.ok());
    // The same text as the value of a variable, which is parsed by itself.
    let env = vec![("SPANMQ_CLUSTER__LINKS".to_owned(), main.to_owned())];
    let _ = load(&Inputs { file: None, env, flags: Flags::default() }, read);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/config_file");
        for entry in std::fs::read_dir(corpus).unwrap() {
            super::config_file(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
