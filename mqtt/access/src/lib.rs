//! Who may connect and do what: users, password hashes, acl.conf. Pure.
//!
//! Rule numbers (`A-…`) are those of the cluster linking contract; A3–A9 without a dash are rows of
//! the security requirements. This crate decides; reading files, drawing salts and keeping the
//! CPU-heavy password checks off the workers is for the callers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod acl;
mod api_key;
mod client;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod secret;
mod users;

pub use acl::{Acl, AclError, Cause, Decision, Permission, Place, is_reserved};
pub use api_key::{ApiKey, ApiKeyError, ApiSecretHash, Role, UnknownRole, parse_api_keys};
pub use client::{Action, ClientInfo};
pub use secret::Secret;
pub use users::{
    AuthRefusal, BadHash, BadRecord, DigestName, Entry, HashScheme, ImportError, ImportKind,
    MacName, PasswordHash, SaltPosition, User, UserIdType, UserStore, import_csv, import_json,
};
