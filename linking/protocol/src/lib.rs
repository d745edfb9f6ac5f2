//! Cluster linking without I/O: term codec, messages, link config, link machines, reasons. Pure.
