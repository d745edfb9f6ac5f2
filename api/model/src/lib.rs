//! JSON bodies of the REST API, shared with tests. Pure.
