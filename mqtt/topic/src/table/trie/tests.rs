use super::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn found<V: Copy + Ord>(trie: &WildTrie<V>, name: &str) -> Vec<V> {
    let mut values = Vec::new();
    trie.for_each_match(name, |_, value| values.push(*value));
    values.sort();
    values
}

#[test]
fn filters_on_one_path_are_all_found_t2() {
    let mut trie = WildTrie::default();
    for (value, text) in
        ["a/+", "a/+/c", "a/+/#", "a/#", "+/b", "#", "+", "a/b/c/#"].into_iter().enumerate()
    {
        assert_eq!(trie.insert(filter(text), value), None);
    }
    assert_eq!(found(&trie, "a"), [3, 5, 6]);
    assert_eq!(found(&trie, "a/b"), [0, 2, 3, 4, 5]);
    assert_eq!(found(&trie, "a/b/c"), [1, 2, 3, 5, 7]);
    assert_eq!(found(&trie, "a/"), [0, 2, 3, 5]);
    assert!(found(&trie, "$a/b").is_empty());
}

#[test]
fn the_last_removal_frees_all_nodes_and_words() {
    let mut trie = WildTrie::default();
    let texts = ["a/+", "a/b/+", "a/b/c/#", "a/b/c/+/d", "x/+/y", "x/+/z", "+/a", "+/b", "+/c"];
    for round in 0..3 {
        for text in texts {
            trie.insert(filter(text), round);
        }
        for text in texts.iter().rev() {
            assert_eq!(trie.remove(text), Some(round));
        }
        assert_eq!(trie.footprint(), (1, 0));
        assert_eq!(trie.len(), 0);
    }
}

#[test]
fn a_node_with_one_filter_left_becomes_a_leaf_again() {
    let mut trie = WildTrie::default();
    trie.insert(filter("a/b/c/+"), 1);
    assert_eq!(trie.footprint(), (1, 1));
    trie.insert(filter("a/b/c/d/+"), 2);
    assert_eq!(trie.footprint(), (4, 4));
    trie.remove("a/b/c/d/+");
    assert_eq!(trie.footprint(), (1, 1));
    assert_eq!(found(&trie, "a/b/c/x"), [1]);
}

/// SECURITY-REQUIREMENTS L6: many paths are open at once, most of them wider than one batch.
#[test]
fn a_thousand_hostile_filters_are_all_found() {
    let mut trie = WildTrie::default();
    for bits in 0..1024u32 {
        let words: Vec<_> =
            (0..10).map(|level| if bits >> level & 1 == 0 { "+" } else { "a" }).collect();
        trie.insert(filter(&format!("{}/#", words.join("/"))), bits);
    }
    let all: Vec<u32> = (0..1024).collect();
    assert_eq!(found(&trie, "a/a/a/a/a/a/a/a/a/a"), all);
    assert_eq!(found(&trie, "a/a/a/a/a/a/a/a/a/a/b/c"), all);
    assert_eq!(found(&trie, "b/b/b/b/b/b/b/b/b/b"), [0]);
    assert!(found(&trie, "a/a/a/a/a/a/a/a/a").is_empty());
}
