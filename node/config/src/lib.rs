//! The configuration of a node: HOCON, environment and flags into checked values, each with its origin. Pure.
