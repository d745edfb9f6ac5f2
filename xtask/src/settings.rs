//! No setting of the configuration may be read and then forgotten: each field is used by the node, or
//! stands in `node/config/src/pending.rs`, whose keys are warned about.

use std::fs;
use std::path::Path;

use anyhow::bail;

const MODEL: &str = "node/config/src/model/";
const PENDING: &str = "node/config/src/pending.rs";
/// Where the values go to work.
const USERS: [&str; 3] = ["node/src/", "node/config/src/check", "node/config/src/flags.rs"];
/// Hold other settings, or have one value only.
const NO_VALUES: [&str; 3] = ["mechanism", "tcp_options", "wss"];

/// # Errors
/// Lists the fields that nobody reads.
pub(crate) fn check(root: &Path, files: &[String]) -> anyhow::Result<()> {
    let read = |name: &String| fs::read_to_string(root.join(name));
    let pending = fs::read_to_string(root.join(PENDING))?;
    let mut used = String::new();
    for name in files.iter().filter(|name| USERS.iter().any(|users| name.starts_with(users))) {
        used += &read(name)?;
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let words: std::collections::HashSet<_> = used.split(|letter| !is_word(letter)).collect();
    let mut forgotten = Vec::new();
    for name in files.iter().filter(|name| name.starts_with(MODEL)) {
        for (key, field) in read(name)?.lines().filter_map(setting) {
            let waits = [format!(".{key}\""), format!("\"{key}\"")];
            if NO_VALUES.contains(&&*key) {
                continue;
            }
            if !words.contains(&*field) && !waits.iter().any(|key| pending.contains(&**key)) {
                forgotten.push(format!("{name}: {key}"));
            }
        }
    }
    if !forgotten.is_empty() {
        bail!(
            "settings that nothing acts upon; wire them, or list them in {PENDING}:\n  {}",
            forgotten.join("\n  ")
        );
    }
    Ok(())
}

/// Key and field of a line of `settings!`: `"max_inflight" => max_inflight: u16 = 32`.
fn setting(line: &str) -> Option<(String, String)> {
    let (key, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
    let (field, _) = rest.split_once(": ")?;
    let plain = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    (plain(key) && plain(field)).then(|| (key.to_owned(), field.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_model_are_told_from_others() {
        let line = "        \"max_clientid_len\" => max_clientid_len_bytes: u32 = 65_535,";
        let found = Some(("max_clientid_len".to_owned(), "max_clientid_len_bytes".to_owned()));
        assert_eq!(setting(line), found);
        assert_eq!(setting("        Resume = \"resume\","), None);
        assert_eq!(setting("        /// \"a\" => b"), None);
    }
}
