//! Behaviour of the session, one file per subject. They stand here and not at the end of each
//! file, because the statement ids in documentation must not be taken for those of tests.

mod acks;
mod aliases;
mod codec;
mod deliver;
mod expiry;
mod export;
mod inbound;
mod inbox;
mod packet_size;
mod replay;
mod resume;
mod retained;
mod rig;
mod session_expiry;
mod shared;
mod subscribe;
mod will;
mod window;
