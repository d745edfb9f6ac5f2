//! How sections and choices are declared.
//!
//! A section of the configuration is declared once with [`settings!`]: key, field, type, default
//! and range. From that come the struct, its defaults, the reader that collects every error, the
//! redacted output and the JSON Schema, so that they cannot disagree.

/// Declares a section: `/// doc` `"key" => field: Type = default [=> least..=most]`.
macro_rules! settings {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $key:literal => $field:ident: $ty:ty = $default:expr $(=> $range:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $field_doc])* pub $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $crate::setting::Setting for $name {
            fn read(
                node: Option<&$crate::origin::Node>,
                default: Self,
                at: &$crate::origin::KeyPath,
                reader: &mut $crate::setting::Reader<'_>,
            ) -> Self {
                let fields = reader.section(node, at, &[$($key),*]);
                $(
                    let $field = {
                        let node = fields.and_then(|fields| fields.get($key));
                        let at = at.child($key);
                        let fallback: $ty = default.$field;
                        let value: $ty =
                            $crate::setting::Setting::read(node, fallback.clone(), &at, reader);
                        $( let value = reader.in_range(node, &at, value, fallback, &($range)); )?
                        value
                    };
                )*
                Self { $($field),* }
            }

            fn show(&self) -> serde_json::Value {
                let mut fields = serde_json::Map::new();
                $( fields.insert($key.into(), $crate::setting::Setting::show(&self.$field)); )*
                serde_json::Value::Object(fields)
            }

            fn schema() -> serde_json::Value {
                let default = Self::default();
                let mut fields = serde_json::Map::new();
                $(
                    let range: Option<(serde_json::Value, serde_json::Value)> = None;
                    $(
                        let range = range.or({
                            let range: std::ops::RangeInclusive<$ty> = $range;
                            Some((
                                $crate::setting::Setting::show(range.start()),
                                $crate::setting::Setting::show(range.end()),
                            ))
                        });
                    )?
                    fields.insert(
                        $key.into(),
                        $crate::setting::described(
                            <$ty as $crate::setting::Setting>::schema(),
                            concat!($($field_doc, "\n"),*),
                            $crate::setting::Setting::show(&default.$field),
                            range,
                        ),
                    );
                )*
                $crate::setting::object_schema(concat!($($doc, "\n"),*), fields)
            }

            fn blank() -> Self {
                Self::default()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&$crate::setting::Setting::show(self), serializer)
            }
        }
    };
}

/// Declares a choice between words: `/// doc` `Variant = "word"`; further words are aliases.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $word:literal $(| $alias:literal)* ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $variant_doc])* $variant ),* }

        impl $name {
            /// The word as it stands in the configuration file.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),* }
            }
        }

        impl $crate::setting::Scalar for $name {
            fn parse(
                value: &serde_json::Value,
                _: &$crate::setting::Hint<'_, Self>,
            ) -> Result<Self, String> {
                match $crate::setting::text(value).as_str() {
                    $( $word $(| $alias)* => Ok(Self::$variant), )*
                    _ => Err(format!("one of {}", [$($word),*].join(", "))),
                }
            }

            fn show(&self) -> serde_json::Value {
                self.as_str().into()
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "enum": [$($word),*] })
            }

            fn blank() -> Self {
                [$(Self::$variant),*][0]
            }
        }
    };
}

pub(crate) use {choice, settings};
