//! What a setting may be, from the type of its field: the field is asked what it wants to read, and
//! the answer is written as JSON Schema.

use crate::fields::{Wrong, alike};
use crate::json::{self, Value};
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, Visitor};
use std::fmt;

/// The JSON Schema of the field of that name; empty when it reads anything, or is none.
pub(crate) fn schema<T: de::DeserializeOwned>(field: &str) -> String {
    let mut seen = String::new();
    // It ends once the field has said what it wants.
    let _ = T::deserialize(Fields {
        field,
        seen: &mut seen,
    });
    seen
}

/// A map of one field.
struct Fields<'a> {
    field: &'a str,
    seen: &'a mut String,
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        seed.deserialize(Value::Text(self.field.to_owned()))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(Field(self.seen))
    }
}

/// The field's value: nothing but a note of what was wanted.
struct Field<'a>(&'a mut String);

impl Field<'_> {
    fn wants<T>(self, schema: &str) -> Result<T, Wrong> {
        self.0.push_str(schema);
        Err(Wrong::custom(""))
    }

    fn whole<T>(self, least: &str, most: &str) -> Result<T, Wrong> {
        self.0.push_str("\"type\":\"integer\",\"minimum\":");
        self.0.push_str(least);
        self.0.push_str(",\"maximum\":");
        self.wants(most)
    }

    fn fraction<'de, V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        self.wants("\"type\":\"number\"")
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.0.push_str("\"type\":\"string\"");
        let form = Expecting(visitor).to_string();
        // What every `String` says of itself is its type.
        if form != "a string" {
            self.0.push_str(",\"description\":");
            json::quote(&form, self.0);
        }
        self.wants("")
    }
}

/// In the words of whoever reads it.
struct Expecting<V>(V);

impl<'de, V: Visitor<'de>> fmt::Display for Expecting<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
}

macro_rules! whole {
    ($($method:ident $least:literal $most:literal,)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
            self.whole($least, $most)
        }
    )*};
}

impl<'de> Deserializer<'de> for Field<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        self.wants("")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        self.wants("\"type\":\"boolean\"")
    }

    whole! {
        deserialize_u8 "0" "255",
        deserialize_u16 "0" "65535",
        deserialize_u32 "0" "4294967295",
        deserialize_u64 "0" "18446744073709551615",
        deserialize_i8 "-128" "127",
        deserialize_i16 "-32768" "32767",
        deserialize_i32 "-2147483648" "2147483647",
        deserialize_i64 "-9223372036854775808" "9223372036854775807",
    }

    alike! { fraction: deserialize_f32 deserialize_f64 }
    alike! { text: deserialize_str deserialize_string deserialize_char }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        // No type of an author's has a blank in its name.
        if let Some(format) = name.strip_prefix("format ") {
            self.0.push_str("\"format\":");
            json::quote(format, self.0);
            self.0.push(',');
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.0.push_str("\"type\":\"array\",\"items\":{");
        // It asks for its first item, and that for nothing more.
        let _ = visitor.visit_seq(Items(self.0));
        self.wants("}")
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Wrong> {
        self.0.push_str("\"enum\":[");
        for (n, variant) in variants.iter().enumerate() {
            if n > 0 {
                self.0.push(',');
            }
            json::quote(variant, self.0);
        }
        self.wants("]")
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        self.wants("\"type\":\"object\"")
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Wrong> {
        self.wants("\"type\":\"object\"")
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a>(&'a mut String);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        seed.deserialize(Field(self.0)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::schema;
    use crate::levels::Range;
    use crate::{Size, Span};
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Level {
        Low,
        VeryHigh,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only its types count")]
    struct All {
        older_than: Span,
        max: Option<Size>,
        warn: Range,
        threshold: u32,
        ratio: f64,
        deep: bool,
        globs: Vec<String>,
        level: Level,
        anything: serde_json::Value,
    }

    #[test]
    fn a_field_says_what_it_reads() {
        let _ = (Level::Low, Level::VeryHigh);
        for (field, expected) in [
            (
                "older-than",
                r#""format":"span","type":"string","description":"a number and ms, s, m, h, d or w, for example `24h` or `1h30m`""#,
            ),
            (
                "max",
                r#""format":"size","type":"string","description":"a number and B, KiB, MiB, GiB or TiB, for example `10GiB`""#,
            ),
            (
                "warn",
                r#""format":"range","type":"string","description":"a range, for example `85`, `10:` or `@5:9`""#,
            ),
            (
                "threshold",
                r#""type":"integer","minimum":0,"maximum":4294967295"#,
            ),
            ("ratio", r#""type":"number""#),
            ("deep", r#""type":"boolean""#),
            ("globs", r#""type":"array","items":{"type":"string"}"#),
            ("level", r#""enum":["low","very-high"]"#),
            ("anything", ""),
            ("absent", ""),
        ] {
            assert_eq!(schema::<All>(field), expected, "{field}");
        }
    }
}
