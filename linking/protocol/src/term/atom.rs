//! Atoms: a closed list on the way out, plain text on the way in (W-53).

use std::borrow::Cow;

macro_rules! atoms {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// An atom we may send. The remote decodes in safe mode: one unknown atom fails the whole
        /// payload, so no other text can become an atom here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Atom { $($(#[$doc])* $variant),* }

        impl Atom {
            /// Every atom of the list.
            pub const ALL: &'static [Atom] = &[$(Atom::$variant),*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Atom::$variant => $text),* }
            }

            /// The atom with this text, if it is on the list.
            pub fn find(text: &str) -> Option<Atom> {
                match text { $($text => Some(Atom::$variant),)* _ => None }
            }
        }
    };
}

atoms! {
    Message = "message",
    Dup = "dup",
    Retain = "retain",
    True = "true",
    False = "false",
    Undefined = "undefined",
    Ok = "ok",
    Error = "error",
    Mqtt = "mqtt",
    Properties = "properties",
    ClientAttrs = "client_attrs",
    Peername = "peername",
    Peerhost = "peerhost",
    ProtoVer = "proto_ver",
    Protocol = "protocol",
    Username = "username",
    Op = "$op",
    PayloadFormatIndicator = "Payload-Format-Indicator",
    MessageExpiryInterval = "Message-Expiry-Interval",
    ContentType = "Content-Type",
    ResponseTopic = "Response-Topic",
    CorrelationData = "Correlation-Data",
    UserProperty = "User-Property",
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        if value { Atom::True } else { Atom::False }
    }
}

/// An atom as received: any text, compared with the list but never stored in a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AtomText<'a>(pub(super) Cow<'a, str>);

impl AtomText<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is(&self, atom: Atom) -> bool {
        self.0 == atom.as_str()
    }
}
