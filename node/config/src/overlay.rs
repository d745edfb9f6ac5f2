//! Lays single values over a tree of values.

use crate::origin::{Node, NodeValue, Origin};

/// Why an element of a list cannot be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PutError {
    /// The index is 0 or no number.
    NotAnIndex,
    /// The index leaves a hole; the list has so many elements.
    Hole { len: usize },
}

/// Sets `value` at `path`, making sections on the way. A list may grow by one element.
pub(crate) fn put(
    tree: &mut Node,
    path: &[String],
    value: Node,
    origin: &Origin,
) -> Result<(), PutError> {
    let Some((first, rest)) = path.split_first() else {
        merge(tree, value);
        return Ok(());
    };
    if let NodeValue::List(items) = &mut tree.value {
        let index = first.parse::<usize>().ok().and_then(|index| index.checked_sub(1));
        let index = index.ok_or(PutError::NotAnIndex)?;
        if index == items.len() {
            items.push(Node::empty_map(origin.clone()));
        }
        let len = items.len();
        return put(items.get_mut(index).ok_or(PutError::Hole { len })?, rest, value, origin);
    }
    if matches!(tree.value, NodeValue::Scalar(_)) {
        *tree = Node::empty_map(origin.clone());
    }
    let NodeValue::Map(fields) = &mut tree.value else { return Ok(()) };
    let child = fields.entry(first.clone()).or_insert_with(|| Node::empty_map(origin.clone()));
    put(child, rest, value, origin)
}

/// Sections merge key by key; everything else is replaced.
pub(crate) fn merge(below: &mut Node, above: Node) {
    match (&mut below.value, above.value) {
        (NodeValue::Map(fields), NodeValue::Map(over)) => {
            for (key, node) in over {
                match fields.get_mut(&key) {
                    Some(child) => merge(child, node),
                    None => {
                        fields.insert(key, node);
                    }
                }
            }
        }
        (_, value) => *below = Node { origin: above.origin, value },
    }
}
