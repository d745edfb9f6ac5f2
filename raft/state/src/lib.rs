//! The replicated state of a cluster: members, links, routes, session directory, learnt remote routes, retained messages, users. Pure.
