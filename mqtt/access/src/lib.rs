//! Who may connect and do what: users, password hashes, acl.conf. Pure.
