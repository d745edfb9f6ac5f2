//! What a reviewer should not have to look for: crate edges, sizes, forbidden words.
//!
//! Files and functions that are too long today stand in `xtask/ratchet.txt` with their size; they
//! may shrink but not grow, and nothing new may join them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use syn::visit::Visit;

use crate::{edges, settings};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;
const RATCHET: &str = "xtask/ratchet.txt";

/// Findings that have a size, by name: `path` or `path::function`.
type Sizes = BTreeMap<String, usize>;

pub(crate) fn run(root: &Path, update: bool) -> anyhow::Result<()> {
    edges::check(root)?;
    let files = rust_files(root)?;
    let names: Vec<_> = files
        .iter()
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.display().to_string()))
        .collect();
    settings::check(root, &names)?;
    let mut sizes = Sizes::new();
    let mut words = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root)?.display().to_string();
        words.extend(forbidden_words(&name, &text));
        measure(&name, &text, &mut sizes).with_context(|| name.clone())?;
    }
    if !words.is_empty() {
        bail!("forbidden words:\n  {}", words.join("\n  "));
    }
    let ratchet = root.join(RATCHET);
    if update {
        return Ok(fs::write(ratchet, render(&sizes))?);
    }
    compare(&sizes, &parse(&fs::read_to_string(ratchet).unwrap_or_default()))
}

fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root)
        .output()?;
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().map(|n| root.join(n)).filter(|p| p.is_file()).collect())
}

/// Left-overs that must not be committed. The words are spelt in two parts so that this file passes.
fn forbidden_words(name: &str, text: &str) -> Vec<String> {
    let bare = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", index + 1);
        for word in bare {
            if line.contains(word) {
                found.push(format!("{place}: {word}…)"));
            }
        }
        if line.trim() == concat!("#[", "ignore]") {
            found.push(format!("{place}: an ignored test needs a reason: #[ignore = \"…\"]"));
        }
    }
    found
}

fn measure(name: &str, text: &str, sizes: &mut Sizes) -> anyhow::Result<()> {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        sizes.insert(name.to_owned(), lines);
    }
    let mut functions = Functions { file: name, sizes };
    functions.visit_file(&syn::parse_file(text)?);
    Ok(())
}

struct Functions<'a> {
    file: &'a str,
    sizes: &'a mut Sizes,
}

impl Functions<'_> {
    fn add(&mut self, name: &syn::Ident, block: &syn::Block) {
        let braces = block.brace_token.span;
        let lines = braces.close().end().line.saturating_sub(braces.open().start().line) + 1;
        if lines > FUNCTION_LINES_MAX {
            let entry = self.sizes.entry(format!("{}::{name}", self.file)).or_default();
            *entry = lines.max(*entry);
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig.ident, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig.ident, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }
}

fn compare(now: &Sizes, allowed: &Sizes) -> anyhow::Result<()> {
    let grown: Vec<String> = now
        .iter()
        .filter(|(name, size)| allowed.get(*name).is_none_or(|max| *size > max))
        .map(|(name, size)| match allowed.get(name) {
            Some(max) => format!("{name}: {size} lines, was {max}"),
            None => format!("{name}: {size} lines"),
        })
        .collect();
    if !grown.is_empty() {
        bail!(
            "too long (files > {FILE_LINES_MAX}, functions > {FUNCTION_LINES_MAX} lines); split \
             where the parts have names:\n  {}",
            grown.join("\n  ")
        );
    }
    Ok(())
}

fn render(sizes: &Sizes) -> String {
    sizes.iter().map(|(name, size)| format!("{size} {name}\n")).collect()
}

fn parse(text: &str) -> Sizes {
    let entry = |line: &str| {
        let (size, name) = line.split_once(' ')?;
        Some((name.to_owned(), size.parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_in_the_ratchet_may_shrink_but_not_grow() {
        let allowed = parse("600 a.rs\n");
        assert!(compare(&parse("590 a.rs\n"), &allowed).is_ok());
        assert!(compare(&parse("601 a.rs\n"), &allowed).is_err());
        assert!(compare(&parse("501 b.rs\n"), &allowed).is_err());
    }

    #[test]
    fn an_ignored_test_without_a_reason_is_found() {
        let text = concat!("#[", "ignore]\nfn x() {}\n");
        assert_eq!(forbidden_words("f.rs", text).len(), 1);
        assert!(forbidden_words("f.rs", "#[ignore = \"needs root\"]\n").is_empty());
    }

    #[test]
    fn a_long_function_is_named_with_its_file() {
        let body = "    let _ = 1;\n".repeat(FUNCTION_LINES_MAX);
        let mut sizes = Sizes::new();
        measure("f.rs", &format!("fn long() {{\n{body}}}\n"), &mut sizes).expect("parses");
        assert_eq!(sizes.keys().collect::<Vec<_>>(), ["f.rs::long"]);
    }
}
