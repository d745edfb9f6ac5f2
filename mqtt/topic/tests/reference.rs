//! The tables and vectors of LINK-SPEC section 3, as data.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use serde::Deserialize;
use spanmq_topic::{TopicFilter, intersect, intersections, is_subset, matches, union};

#[derive(Deserialize)]
struct Vectors {
    topic_intersection: Vec<Intersection>,
    link_topic_intersections: Vec<LinkIntersections>,
}

#[derive(Deserialize)]
struct Intersection {
    a: String,
    b: String,
    /// A filter, or `false`.
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct LinkIntersections {
    local_filter: String,
    link_topics: Vec<String>,
    result: BTreeSet<String>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("data/vectors.json")).unwrap()
}

fn set(filters: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    filters.into_iter().map(Into::into).collect()
}

/// The first table of section 3; `-` stands for none.
const INTERSECTIONS: &[[&str; 3]] = &[
    ["t/1", "t/1", "t/1"],
    ["t/1", "t/2", "-"],
    ["t/1", "t/#", "t/1"],
    ["t", "t/#", "t"],
    ["t", "t/+", "-"],
    ["t/", "t", "-"],
    ["t/", "t/+", "t/"],
    ["t/", "t/#", "t/"],
    ["/t", "+/t", "/t"],
    ["/", "+/+", "/"],
    ["/", "#", "/"],
    ["+", "#", "+"],
    ["#", "#", "#"],
    ["+", "+", "+"],
    ["+/+", "#", "+/+"],
    ["+/#", "#", "+/#"],
    ["+/#", "+", "+"],
    ["+/+/#", "+", "-"],
    ["a/#", "+", "a"],
    ["a/#", "a/+", "a/+"],
    ["a/#", "a/+/#", "a/+/#"],
    ["a/+/c", "a/b/+", "a/b/c"],
    ["a/b/#", "a/b", "a/b"],
    ["a/b/c/#", "a/b", "-"],
    ["a/b/+/#", "a/b/#", "a/b/+/#"],
    ["a//b", "a/+/b", "a//b"],
    ["a//#", "a/+/+", "a//+"],
    ["+/b/#", "a/+/c", "a/b/c"],
    ["+/+/+", "a/#", "a/+/+"],
    ["t/global/#", "t/+/1/+", "t/global/1/+"],
    ["t/global/#", "t/local/+", "-"],
    ["t/local/1/#", "t/local/+", "t/local/1"],
    ["t/local/1/+", "t/local/+", "-"],
    ["1/+/3/+/5/#", "+/2/+/4/+", "1/2/3/4/5"],
    ["$SYS/broker/#", "$SYS/+/+", "$SYS/broker/+"],
    ["$SYS/broker", "$SYS/+", "$SYS/broker"],
    ["$SYS/broker", "+/+", "-"],
    ["$SYS/#", "#", "-"],
    ["$x", "$x/#", "$x"],
    ["$", "+", "-"],
    ["$LINK/#", "$LINK/cluster/#", "$LINK/cluster/#"],
    ["$LINK/cluster/x", "#", "-"],
    ["$share/g/t", "t", "-"],
    ["$share/g/t", "$share/g/t", "$share/g/t"],
    ["a/$b", "a/+", "a/$b"],
    ["/#", "+", ""],
];

#[test]
fn intersections_are_those_of_the_table_in_both_orders_t3() {
    for [a, b, expected] in INTERSECTIONS {
        let expected = (*expected != "-").then(|| (*expected).to_owned());
        assert_eq!(intersect(a, b), expected, "{a} with {b}");
        assert_eq!(intersect(b, a), expected, "{b} with {a}");
        assert_eq!(is_subset(a, b), expected.as_deref() == Some(*a), "{a} in {b}");
    }
}

#[test]
fn intersections_are_those_the_peer_computes_t3() {
    let rows = vectors().topic_intersection;
    assert_eq!(rows.len(), 784);
    for row in rows {
        let found = intersect(&row.a, &row.b);
        assert_eq!(found.as_deref(), row.result.as_str(), "{} with {}", row.a, row.b);
        assert_eq!(is_subset(&row.a, &row.b), found.as_deref() == Some(&row.a));
    }
}

/// The second table of section 3: subscription, link filters, replicated filters.
const REPLICATED: &[(&str, &[&str], &[&str])] = &[
    ("t/6", &["t/#"], &["t/6"]),
    ("t/+", &["t/+/1/#", "t/z", "t/1/+"], &["t/z"]),
    ("t/+/+", &["t/+/1/#", "t/z", "t/1/+"], &["t/1/+", "t/+/1"]),
    ("t/+/#", &["t/1", "t/2", "t/3"], &["t/1", "t/2", "t/3"]),
    ("t/+/2/3/#", &["t/1/+/3/#", "t/z", "t/1/2/+"], &["t/1/2/3/#"]),
    ("#", &["$SYS/#", "a/#"], &["a/#"]),
    ("$SYS/broker", &["$SYS/#", "#"], &["$SYS/broker"]),
    ("#", &["global/#", "fwd/#", "cluster/+/status"], &["global/#", "fwd/#", "cluster/+/status"]),
    ("cluster/+/status/#", &["global/#", "fwd/#", "cluster/+/status"], &["cluster/+/status"]),
    ("a/b", &["a/+", "+/b"], &["a/b"]),
    ("a/+", &["a/b", "+/c"], &["a/b", "a/c"]),
    ("+/b", &["a/#", "+/b"], &["+/b"]),
    ("a/b", &[], &[]),
    ("+", &["/#"], &[]),
];

#[test]
fn a_subscription_replicates_as_the_table_says_t4() {
    for (subscription, link, expected) in REPLICATED {
        let found = set(intersections(subscription, link));
        assert_eq!(found, set(expected.iter().copied()), "{subscription} on {link:?}");
    }
}

#[test]
fn a_subscription_replicates_as_the_peer_computes_t4() {
    let rows = vectors().link_topic_intersections;
    assert_eq!(rows.len(), 9);
    for row in rows {
        assert_eq!(set(intersections(&row.local_filter, &row.link_topics)), row.result);
    }
}

/// The third table of section 3: list, union, redundant.
const UNIONS: &[(&[&str], &[&str], &[&str])] = &[
    (&["t/+", "g/2", "t/1", "t/+/#", "t"], &["g/2", "t/+/#", "t"], &["t/+", "t/1"]),
    (&["t", "t"], &["t"], &["t"]),
    (&["+/#", "t/1/2/#", "$SYS/cluster"], &["+/#", "$SYS/cluster"], &["t/1/2/#"]),
    (&["#", "a/b", "$SYS/#"], &["#", "$SYS/#"], &["a/b"]),
    (&["#", "+/#"], &["#"], &["+/#"]),
];

#[test]
fn unions_are_those_of_the_table_t5() {
    for (list, effective, redundant) in UNIONS {
        let found = union(list);
        assert_eq!(found.effective, *effective, "{list:?}");
        assert_eq!(found.redundant, *redundant, "{list:?}");
    }
}

#[test]
fn a_filter_matches_as_mqtt_says_t2() {
    let yes = [
        ("a", "a"),
        ("a", "#"),
        ("a", "a/#"),
        ("a/b/c", "a/#"),
        ("a/b", "+/+"),
        ("/", "+/+"),
        ("/a", "+/a"),
        ("a/", "a/+"),
        ("a/", "a/#"),
        ("$SYS/x", "$SYS/#"),
        ("$SYS/x", "$SYS/+"),
        ("a/$b", "a/+"),
        ("a/$b", "#"),
    ];
    let no = [
        ("a", "b"),
        ("a", "a/+"),
        ("a/b", "a"),
        ("a/b", "+"),
        ("a/b", "a/b/+"),
        ("ab", "a"),
        ("a", "ab"),
        ("A", "a"),
        ("$SYS/x", "#"),
        ("$SYS/x", "+/x"),
        ("$SYS", "+"),
        ("$", "#"),
    ];
    for (name, filter) in yes {
        assert!(matches(name, filter), "{filter} matches {name}");
        assert!(TopicFilter::new(filter).unwrap().matches(name));
    }
    for (name, filter) in no {
        assert!(!matches(name, filter), "{filter} does not match {name}");
    }
}
