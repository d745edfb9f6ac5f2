//! Append-only segment files: checksummed records, group commit, torn tails cut, damage in the middle refused. A leaf crate with file I/O.
