//! Topic names, topic filters and their algebra: matching, intersection, union, and the table that answers who wants a topic. Pure.
