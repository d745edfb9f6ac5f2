//! Body of the fuzz target `topic_filter`: every way in which this crate matches must agree with
//! the plainest one.

use crate::{
    FilterTable, NameTable, Subscription, TopicFilter, TopicName, intersect, is_subset, union,
};

/// Filters that one input may name.
const FILTERS_MAX: usize = 8;

/// Reads a name and filters from lines of text and matches them in all ways.
///
/// # Panics
/// When two ways disagree.
pub fn topic_filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let name = lines.next().unwrap_or_default();
    let texts: Vec<&str> = lines.take(FILTERS_MAX).collect();
    texts.iter().for_each(|text| written_and_read(text));
    let filters: Vec<TopicFilter> =
        texts.iter().filter_map(|text| TopicFilter::new(*text).ok()).collect();
    algebra(&filters);
    if let Ok(name) = TopicName::new(name) {
        tables(&name, &filters);
    }
}

/// T-2 in its plainest form: word by word.
fn reference(name: &str, filter: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut words = name.split('/');
    for wanted in filter.split('/') {
        match (wanted, words.next()) {
            ("#", _) => return true,
            (_, None) => return false,
            (wanted, Some(word)) if wanted == "+" || wanted == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

fn written_and_read(text: &str) {
    if let Ok(subscription) = Subscription::parse(text) {
        assert_eq!(Subscription::parse(&subscription.to_string()), Ok(subscription));
    }
}

fn tables(name: &TopicName, filters: &[TopicFilter]) {
    let mut by_filter = FilterTable::new();
    let mut by_name = NameTable::new();
    by_name.insert(name.clone(), ());
    for filter in filters {
        let expected = reference(name, filter);
        assert_eq!(filter.matches(name), expected, "{filter} with {name}");
        let mut found = false;
        by_name.for_each_matching(filter, |_, ()| found = true);
        assert_eq!(found, expected, "{filter} finds {name}");
        by_filter.insert(filter.clone(), filter.clone());
    }
    let mut found = Vec::new();
    by_filter.for_each_match(name, |filter: &TopicFilter| found.push(filter.clone()));
    found.sort();
    let mut expected: Vec<_> =
        filters.iter().filter(|filter| reference(name, filter)).cloned().collect();
    expected.sort();
    expected.dedup();
    assert_eq!(found, expected, "{name} in the table");
    for filter in filters {
        by_filter.remove(filter);
    }
    assert!(by_filter.is_empty() && !by_filter.matches_any(name));
}

fn algebra(filters: &[TopicFilter]) {
    for a in filters {
        assert_eq!(intersect(a, a).as_deref(), Some(a.as_str()));
        for b in filters {
            let both = intersect(a, b);
            assert_eq!(both, intersect(b, a), "{a} with {b}");
            assert_eq!(is_subset(a, b), both.as_deref() == Some(a.as_str()), "{a} in {b}");
        }
    }
    let all = union(filters);
    assert_eq!(all.effective.len() + all.redundant.len(), filters.len());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    fn line() -> impl Strategy<Value = String> {
        let words = ["a", "b", "", "+", "#", "$x", "$share", "$queue", "é", "\0"];
        vec(proptest::sample::select(words.to_vec()), 0..6).prop_map(|words| words.join("/"))
    }

    proptest! {
        #[test]
        fn all_ways_of_matching_agree(lines in vec(line(), 1..9)) {
            super::topic_filter(lines.join("\n").as_bytes());
        }

        #[test]
        fn any_bytes_are_survived(data in vec(any::<u8>(), 0..200)) {
            super::topic_filter(&data);
        }
    }

    #[test]
    fn the_corpus_of_the_fuzzer_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/topic_filter");
        for entry in std::fs::read_dir(corpus).unwrap() {
            super::topic_filter(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
