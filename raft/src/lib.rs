//! openraft glue: log and snapshot files, membership, peers, leases, views.
