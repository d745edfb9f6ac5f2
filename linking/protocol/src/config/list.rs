//! Rules about the whole list of links (C-1, W-4).

use super::{LinkConfig, ValidationError};
use serde_json::json;
use std::collections::BTreeMap;

/// Checks a list that is about to be saved. The errors are for `PathBase::List`.
pub fn check_list(links: &[LinkConfig]) -> Vec<ValidationError> {
    let mut errors = Vec::new();
    let duplicates = repeated(links, |link| link.name.clone());
    if !duplicates.is_empty() {
        let names: Vec<String> = duplicates.into_iter().map(|(name, _)| name).collect();
        errors.push(list_error("duplicated_cluster_links", "duplicates", &names));
    }
    // Two links with one server and client id take each other's connections over (W-4).
    let clashes = repeated(links, |link| (link.clientid.clone(), format!("{:?}", sorted(link))));
    for (_, names) in clashes {
        if names.iter().any(|name| Some(name) != names.first()) {
            errors.push(list_error("duplicated_server_and_clientid", "links", &names));
        }
    }
    errors
}

fn sorted(link: &LinkConfig) -> Vec<String> {
    let mut addresses: Vec<String> =
        link.server.addresses().iter().map(ToString::to_string).collect();
    addresses.sort_unstable();
    addresses
}

/// Keys that occur more than once, with the names of their links.
fn repeated<K: Ord>(links: &[LinkConfig], key: impl Fn(&LinkConfig) -> K) -> Vec<(K, Vec<String>)> {
    let mut groups: BTreeMap<K, Vec<String>> = BTreeMap::new();
    for link in links {
        groups.entry(key(link)).or_default().push(link.name.clone());
    }
    groups.into_iter().filter(|(_, names)| names.len() > 1).collect()
}

fn list_error(reason: &str, detail: &str, names: &[String]) -> ValidationError {
    ValidationError::new(json!({ "reason": { "reason": reason, detail: names } })).at(&[])
}
