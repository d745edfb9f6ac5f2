//! Matching, intersection and union of topic filters (LINK-SPEC T-2…T-5), on plain text.
//!
//! Nothing here checks validity; on invalid text the answers are defined but meaningless.

use std::ops::ControlFlow;

/// T-2: whether `filter` matches the topic `name`. One pass over both, without allocation.
pub fn matches(name: &str, filter: &str) -> bool {
    // The first words of T-2: a leading `$` is invisible to a leading wildcard.
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    rest_matches(name, filter)
}

/// T-2 from the start of some word on, without the rule about `$`.
///
/// Runs over the bytes that both sides share, and looks at words only where they part: a tail of
/// many levels costs little more than a comparison of texts.
pub(crate) fn rest_matches(name: &str, filter: &str) -> bool {
    let (mut name, mut filter, mut word_start) = (name.as_bytes(), filter.as_bytes(), true);
    loop {
        match (name, filter) {
            (_, [b'#']) if word_start => return true,
            ([], []) => return true,
            // The parent level.
            ([], [b'/', b'#']) => return true,
            (_, [b'+', filter_rest @ ..]) if word_start => {
                let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
                (name, filter, word_start) = (name.get(end..).unwrap_or(&[]), filter_rest, false);
            }
            ([x, name_rest @ ..], [y, filter_rest @ ..]) if x == y => {
                (name, filter, word_start) = (name_rest, filter_rest, *x == b'/');
            }
            _ => return false,
        }
    }
}

/// The first word and what follows its slash.
pub(crate) fn split_word(text: &str) -> (&str, Option<&str>) {
    // A loop over bytes beats the general searcher: words are short.
    match text.bytes().position(|byte| byte == b'/') {
        Some(slash) => {
            text.split_at_checked(slash).map_or((text, None), |(word, rest)| (word, rest.get(1..)))
        }
        None => (text, None),
    }
}

/// T-3: the filter that matches exactly the names matched by both `a` and `b`.
///
/// `/#` and `+` meet in the empty text, as in the peer, though no name is empty. It is no
/// filter: [`intersections`] leaves it out.
pub fn intersect(a: &str, b: &str) -> Option<String> {
    let mut result = String::with_capacity(a.len().max(b.len()));
    let mut first = true;
    let met = walk_intersection(a, b, |piece| {
        if !first {
            result.push('/');
        }
        first = false;
        result.push_str(piece);
        ControlFlow::Continue(())
    });
    met.then_some(result)
}

/// T-3: whether every name matched by `a` is matched by `b`; that is `intersect(a, b) == Some(a)`,
/// without building it.
pub fn is_subset(a: &str, b: &str) -> bool {
    let mut expected = Some(a);
    let met = walk_intersection(a, b, |piece| {
        let Some(rest) = expected.and_then(|text| text.strip_prefix(piece)) else {
            return ControlFlow::Break(());
        };
        expected = match rest.strip_prefix('/') {
            Some(rest) => Some(rest),
            None if rest.is_empty() => None,
            None => return ControlFlow::Break(()),
        };
        ControlFlow::Continue(())
    });
    met && expected.is_none()
}

/// Gives the intersection piece by piece; a piece is a word, or several with their slashes.
/// False when there is none, or when `emit` breaks.
fn walk_intersection<'a>(
    a: &'a str,
    b: &'a str,
    mut emit: impl FnMut(&'a str) -> ControlFlow<()>,
) -> bool {
    let hidden = |x: &str, y: &str| x.starts_with('$') && y.starts_with(['+', '#']);
    if hidden(a, b) || hidden(b, a) {
        return false;
    }
    let (mut a, mut b) = (Some(a), Some(b));
    loop {
        let piece = match (a, b) {
            (None, None) => return true,
            // `#` gives the rest of the other side, which may be empty: the parent level.
            (Some("#"), rest) | (rest, Some("#")) => {
                return rest.is_none_or(|rest| emit(rest).is_continue());
            }
            (None, _) | (_, None) => return false,
            (Some(x), Some(y)) => {
                let (x_word, x_rest) = split_word(x);
                let (y_word, y_rest) = split_word(y);
                (a, b) = (x_rest, y_rest);
                match (x_word, y_word) {
                    ("+", word) | (word, "+") => word,
                    (word, other) if word == other => word,
                    _ => return false,
                }
            }
        };
        if emit(piece).is_break() {
            return false;
        }
    }
}

/// A list of filters without its redundant members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Union<F> {
    /// What remains, in the given order.
    pub effective: Vec<F>,
    /// Covered by another member, or listed again (C-8), in the given order.
    pub redundant: Vec<F>,
}

/// T-5: removes members covered by another one; a duplicate keeps its first copy.
///
/// Cost: quadratic in the length of the list, which is a link's configuration.
pub fn union<F: AsRef<str> + Clone>(filters: &[F]) -> Union<F> {
    let mut union = Union { effective: Vec::new(), redundant: Vec::new() };
    for (index, filter) in filters.iter().enumerate() {
        let text = filter.as_ref();
        let covered = filters.iter().enumerate().any(|(other_index, other)| {
            let other = other.as_ref();
            if other == text { other_index < index } else { is_subset(text, other) }
        });
        let side = if covered { &mut union.redundant } else { &mut union.effective };
        side.push(filter.clone());
    }
    union
}

/// T-4: what of `subscription` a link with `link_filters` carries: pairwise not-covering filters,
/// possibly partly overlapping. Order has no meaning.
pub fn intersections<F: AsRef<str>>(subscription: &str, link_filters: &[F]) -> Vec<String> {
    let mut result: Vec<String> = Vec::new();
    for filter in link_filters {
        let Some(new) = intersect(subscription, filter.as_ref()) else { continue };
        if new.is_empty() || result.iter().any(|member| is_subset(&new, member)) {
            continue;
        }
        result.retain(|member| !is_subset(member, &new));
        result.push(new);
    }
    result
}
