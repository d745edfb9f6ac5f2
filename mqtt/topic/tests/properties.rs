//! The properties named at the end of LINK-SPEC section 3, and the tables against naive ones.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use spanmq_topic::{
    BadFilter, FilterTable, NameTable, Subscription, TopicFilter, TopicName, check_filter,
    check_name, intersect, intersections, is_subset, matches, union,
};

/// Few distinct words, so that random filters and names meet often.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "$x", "", "a-word-longer-than-the-inline-form"])
}

fn name() -> impl Strategy<Value = String> {
    vec(word(), 1..5).prop_map(|words| words.join("/")).prop_filter("not empty", |n| !n.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => word(), 2 => Just("+")];
    (vec(level, 0..5), any::<bool>())
        .prop_map(|(mut words, hash)| {
            if hash || words.is_empty() {
                words.push("#");
            }
            words.join("/")
        })
        .prop_filter("not empty", |f| !f.is_empty())
}

/// T-2 once more, in the plainest way.
fn naive_match(name: &str, filter: &str) -> bool {
    fn below(name: &[&str], filter: &[&str]) -> bool {
        match (name, filter) {
            (_, ["#"]) | ([], []) => true,
            ([n, names @ ..], [f, filters @ ..]) => (*f == "+" || n == f) && below(names, filters),
            _ => false,
        }
    }
    let name: Vec<_> = name.split('/').collect();
    let filter: Vec<_> = filter.split('/').collect();
    !(name[0].starts_with('$') && ["+", "#"].contains(&filter[0])) && below(&name, &filter)
}

/// Many levels of few words: the shape that the table compares by sums.
fn deep_name() -> impl Strategy<Value = Vec<&'static str>> {
    vec(prop::sample::select(vec!["a", "b", ""]), 10..130)
}

fn deep_filter(name: &[&str], plus: &[bool], other: Option<usize>, end: usize) -> String {
    let mut words: Vec<_> =
        name.iter().zip(plus).map(|(word, plus)| if *plus { "+" } else { word }).collect();
    if let Some(word) = other.and_then(|at| words.get_mut(at)) {
        *word = if *word == "a" { "b" } else { "a" };
    }
    match end {
        0 => words.push("#"),
        1 => drop(words.pop()),
        2 => {
            words.truncate(words.len() / 2);
            words.push("#");
        }
        _ => {}
    }
    words.join("/")
}

proptest! {
    #[test]
    fn deep_filters_agree_with_the_plainest_form_t2(
        name in deep_name(),
        shapes in vec((vec(any::<bool>(), 130), prop::option::of(0..130usize), 0..6usize), 1..40),
        gone in vec(any::<bool>(), 40),
    ) {
        let filters: std::collections::BTreeSet<_> = shapes
            .iter()
            .map(|(plus, other, end)| deep_filter(&name, plus, *other, *end))
            .filter(|filter| check_filter(filter) == Ok(()))
            .collect();
        let mut table = FilterTable::new();
        for filter in &filters {
            table.insert(TopicFilter::new(filter.as_str()).unwrap(), filter.clone());
        }
        let name = name.join("/");
        for left in [true, false] {
            let mut found = Vec::new();
            table.for_each_match(&name, |filter| found.push(filter.clone()));
            found.sort();
            let kept = |at: usize| left || !gone[at];
            let expected: Vec<_> = filters
                .iter()
                .enumerate()
                .filter(|(at, filter)| kept(*at) && naive_match(&name, filter))
                .map(|(_, filter)| filter.clone())
                .collect();
            prop_assert_eq!(found, expected);
            for (_, filter) in filters.iter().enumerate().filter(|(at, _)| gone[*at]) {
                table.remove(filter);
            }
        }
    }

    #[test]
    fn matching_agrees_with_the_plainest_form_t2(n in name(), f in filter()) {
        prop_assert_eq!(matches(&n, &f), naive_match(&n, &f));
    }

    #[test]
    fn intersection_is_commutative_and_idempotent_t3(a in filter(), b in filter()) {
        let both = intersect(&a, &b);
        prop_assert_eq!(&both, &intersect(&b, &a));
        prop_assert_eq!(intersect(&a, &a), Some(a.clone()));
        prop_assert_eq!(is_subset(&a, &b), both.as_ref() == Some(&a));
        if let Some(both) = both {
            prop_assert!(is_subset(&both, &a) && is_subset(&both, &b));
            prop_assert!(both.is_empty() || check_filter(&both) == Ok(()));
        }
    }

    #[test]
    fn a_name_matches_an_intersection_when_it_matches_both_t3(n in name(), a in filter(), b in filter()) {
        let met = intersect(&a, &b).is_some_and(|both| matches(&n, &both));
        prop_assert_eq!(met, matches(&n, &a) && matches(&n, &b));
    }

    #[test]
    fn replicated_filters_do_not_cover_each_other_and_lose_nothing_t4(
        subscription in filter(), link in vec(filter(), 0..6), n in name(),
    ) {
        let carried = intersections(&subscription, &link);
        for (i, a) in carried.iter().enumerate() {
            for (j, b) in carried.iter().enumerate() {
                prop_assert!(i == j || !is_subset(a, b), "{a} is covered by {b}");
            }
        }
        let wanted = matches(&n, &subscription) && link.iter().any(|f| matches(&n, f));
        prop_assert_eq!(carried.iter().any(|f| matches(&n, f)), wanted);
    }

    #[test]
    fn a_union_matches_what_the_list_matches_t5(list in vec(filter(), 0..8), n in name()) {
        let union = union(&list);
        prop_assert_eq!(union.effective.len() + union.redundant.len(), list.len());
        prop_assert_eq!(
            union.effective.iter().any(|f| matches(&n, f)),
            list.iter().any(|f| matches(&n, f))
        );
    }

    #[test]
    fn no_text_makes_a_check_panic_t1(text in any::<String>()) {
        let _ = (check_name(&text), check_filter(&text));
        if let Ok(subscription) = Subscription::parse(&text) {
            prop_assert_eq!(Subscription::parse(&subscription.to_string()), Ok(subscription));
        }
    }

    #[test]
    fn a_plain_filter_is_never_a_shared_one(text in "[$]share/[a-z/+#]{0,8}") {
        prop_assert_eq!(check_filter(&text), Err(BadFilter::ShareNotAllowed));
    }
}

#[derive(Debug, Clone)]
enum Op {
    Insert(String, u32),
    Upsert(String, u32),
    Remove(String),
    Match(String),
    Retain(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (filter(), 0..100u32).prop_map(|(f, v)| Op::Insert(f, v)),
        2 => (filter(), 0..100u32).prop_map(|(f, v)| Op::Upsert(f, v)),
        4 => filter().prop_map(Op::Remove),
        4 => name().prop_map(Op::Match),
        1 => (1..4u32).prop_map(Op::Retain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_filter_table_agrees_with_a_list(ops in vec(op(), 1..80)) {
        let mut table = FilterTable::new();
        let mut naive: BTreeMap<String, u32> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Insert(f, v) => {
                    let before = table.insert(TopicFilter::new(f.as_str()).unwrap(), v);
                    prop_assert_eq!(before, naive.insert(f, v));
                }
                Op::Upsert(f, v) => {
                    let value = table.get_or_insert_with(&TopicFilter::new(f.as_str()).unwrap(), || v);
                    let expected = naive.entry(f).or_insert(v);
                    prop_assert_eq!(&*value, &*expected);
                    (*value, *expected) = (*value + 1, *expected + 1);
                }
                Op::Remove(f) => prop_assert_eq!(table.remove(&f), naive.remove(&f)),
                Op::Match(n) => {
                    let mut found = Vec::new();
                    table.for_each_match_with_filter(&n, |f, v| found.push((f.to_string(), *v)));
                    found.sort();
                    let expected: Vec<_> = naive.clone().into_iter().filter(|(f, _)| naive_match(&n, f)).collect();
                    prop_assert_eq!(table.matches_any(&n), !expected.is_empty());
                    prop_assert_eq!(found, expected);
                }
                Op::Retain(n) => {
                    table.retain(|_, v| *v % n == 0);
                    naive.retain(|_, v| *v % n == 0);
                }
            }
            prop_assert_eq!(table.len(), naive.len());
        }
        let all: BTreeMap<_, _> = table.clone().iter().map(|(f, v)| (f.to_string(), *v)).collect();
        prop_assert_eq!(&all, &naive);
        for (f, v) in naive {
            prop_assert_eq!(table.get(&f), Some(&v));
            prop_assert_eq!(table.get_mut(&f).copied(), Some(v));
        }
    }

    #[test]
    fn the_name_table_agrees_with_a_list(
        ops in vec((name(), any::<bool>()), 1..60), filters in vec(filter(), 1..6),
    ) {
        let mut table = NameTable::new();
        let mut naive = BTreeMap::new();
        for (index, (n, add)) in ops.into_iter().enumerate() {
            if add {
                let before = table.insert(TopicName::new(n.as_str()).unwrap(), index);
                prop_assert_eq!(before, naive.insert(n, index));
            } else {
                prop_assert_eq!(table.get(&n), naive.get(&n));
                prop_assert_eq!(table.remove(&n), naive.remove(&n));
            }
            prop_assert_eq!(table.len(), naive.len());
        }
        for f in filters {
            let mut found = Vec::new();
            table.for_each_matching(&f, |n, v| found.push((n.to_string(), *v)));
            found.sort();
            let expected: Vec<_> =
                naive.clone().into_iter().filter(|(n, _)| naive_match(n, &f)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
