//! Load generator and scenario runner.
