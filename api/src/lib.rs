//! REST handlers; status of all nodes in one answer.
