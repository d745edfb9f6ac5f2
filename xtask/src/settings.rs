//! No setting of the configuration may be read and then forgotten: the node uses each field.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::bail;
use syn::visit::Visit;

const MODEL: &str = "node/config/src/model/";
/// Where the values go to work.
const USERS: &str = "node/src/";
/// Hold other settings, have one value only, or are used while the configuration is read: a name
/// for the checks, a switch that the listeners' own iterator looks at.
const NO_VALUES: [&str; 6] =
    ["mechanism", "proxy_protocol_timeout", "tcp", "tcp_options", "ws", "wss"];

/// # Errors
/// Lists the fields that nobody reads.
pub(crate) fn check(root: &Path, files: &[String]) -> anyhow::Result<()> {
    let read = |name: &String| fs::read_to_string(root.join(name));
    let mut used = HashSet::new();
    for name in files.iter().filter(|name| name.starts_with(USERS)) {
        used.extend(accessed(&read(name)?)?);
    }
    let mut forgotten = Vec::new();
    for name in files.iter().filter(|name| name.starts_with(MODEL)) {
        for (key, field) in read(name)?.lines().filter_map(setting) {
            if !used.contains(&field) && !NO_VALUES.contains(&&*key) {
                forgotten.push(format!("{name}: {key}"));
            }
        }
    }
    if !forgotten.is_empty() {
        bail!("settings that nothing acts upon:\n  {}", forgotten.join("\n  "));
    }
    Ok(())
}

/// Names of all fields that the code reads. A field of the same name elsewhere hides one that is
/// forgotten; methods and words in texts do not.
fn accessed(text: &str) -> anyhow::Result<HashSet<String>> {
    struct Fields(HashSet<String>);
    impl Visit<'_> for Fields {
        fn visit_expr_field(&mut self, field: &syn::ExprField) {
            if let syn::Member::Named(name) = &field.member {
                self.0.insert(name.to_string());
            }
            syn::visit::visit_expr_field(self, field);
        }

        fn visit_field_pat(&mut self, field: &syn::FieldPat) {
            if let syn::Member::Named(name) = &field.member {
                self.0.insert(name.to_string());
            }
            syn::visit::visit_field_pat(self, field);
        }
    }
    let mut fields = Fields(HashSet::new());
    fields.visit_file(&syn::parse_file(text)?);
    Ok(fields.0)
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
    fn fields_count_and_methods_and_texts_do_not() {
        let text = "fn f(c: C) { c.a.b(\"d\"); let C { e, .. } = c; }";
        let names = ["a", "e"].map(str::to_owned);
        assert_eq!(accessed(text).expect("the text is valid"), HashSet::from(names));
    }

    #[test]
    fn lines_of_the_model_are_told_from_others() {
        let line = "        \"max_clientid_len\" => max_clientid_len_bytes: u32 = 65_535,";
        let found = Some(("max_clientid_len".to_owned(), "max_clientid_len_bytes".to_owned()));
        assert_eq!(setting(line), found);
        assert_eq!(setting("        Resume = \"resume\","), None);
        assert_eq!(setting("        /// \"a\" => b"), None);
    }
}
