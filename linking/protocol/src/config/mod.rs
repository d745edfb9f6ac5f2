//! Link configuration (LINK-SPEC section 1).

mod error;
mod link;
mod secret;
mod server;
mod ssl;
mod topics;
mod tuning;
mod units;

pub use error::{PathBase, ValidationError, all_errors_text, first_error_text};
pub use link::LinkConfig;
pub use secret::{Secret, SecretSource};
pub use server::{Scheme, ServerAddress, Servers};
pub use ssl::{ServerName, SslConfig, TlsVersion, Verify};
pub use topics::TopicList;
pub use tuning::{
    BufferConfig, BufferMode, DispatchStrategy, HopBufferMode, Overflow, ResourceOpts, TcpOpts,
};
pub use units::{ByteSize, DurationOrInfinity, Span};
