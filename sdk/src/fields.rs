//! From settings to the fields of a task: a serde deserializer over [`Value`] that names the
//! setting whose value does not fit.

use crate::json::{self, Value};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    Unexpected, VariantAccess, Visitor,
};
use std::fmt;

/// Why a value does not fit.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    // The value itself is told by whoever knows its key; how serde would print it brings the
    // printing of floats along.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("expected {expected}"))
    }
}

/// What the value was not.
fn not<'de, V: Visitor<'de>>(visitor: &V) -> Wrong {
    Wrong::invalid_type(Unexpected::Unit, visitor)
}

/// Methods of a deserializer that are all another one.
macro_rules! alike {
    ($all:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            self.$all(visitor)
        }
    )*};
}
pub(crate) use alike;

impl Value {
    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let Self::Number(text) = &self else {
            return Err(not(&visitor));
        };
        if let Ok(number) = text.parse() {
            return visitor.visit_u64(number);
        }
        match text.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => Err(not(&visitor)),
        }
    }

    fn fraction<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self {
            Self::Number(text) => match text.parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(not(&visitor)),
            },
            _ => Err(not(&visitor)),
        }
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(it) => visitor.visit_bool(it),
            Self::Number(text) => match text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
                true => Self::Number(text).whole(visitor),
                false => Self::Number(text).fraction(visitor),
            },
            Self::Text(it) => visitor.visit_string(it),
            Self::List(_) => self.deserialize_seq(visitor),
            Self::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Bool(it) => visitor.visit_bool(it),
            _ => Err(not(&visitor)),
        }
    }

    alike! { whole:
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }
    alike! { fraction: deserialize_f32 deserialize_f64 }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(it) => visitor.visit_string(it),
            _ => Err(not(&visitor)),
        }
    }

    alike! { deserialize_str: deserialize_string deserialize_char deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::List(all) => visitor.visit_seq(List(all.into_iter())),
            _ => Err(not(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Map(all) => visitor.visit_map(Map {
                rest: all.into_iter(),
                value: None,
                named: false,
            }),
            _ => Err(not(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Self::Text(variant) => visitor.visit_enum(Variant {
                variant,
                content: None,
            }),
            Self::Map(mut all) if all.len() == 1 => match all.pop() {
                Some((variant, content)) => visitor.visit_enum(Variant {
                    variant,
                    content: Some(content),
                }),
                None => Err(not(&visitor)),
            },
            _ => Err(not(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct }
}

impl IntoDeserializer<'_, Wrong> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Settings as the map that a struct is read from: what does not fit is told with its key.
pub(crate) fn settings<T: de::DeserializeOwned>(all: Vec<(String, Value)>) -> Result<T, Wrong> {
    T::deserialize(Settings(all))
}

struct Settings(Vec<(String, Value)>);

impl<'de> Deserializer<'de> for Settings {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Map {
            rest: self.0.into_iter(),
            value: None,
            named: true,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct List(std::vec::IntoIter<Value>);

impl<'de> de::SeqAccess<'de> for List {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        self.0
            .next()
            .map(|value| seed.deserialize(value))
            .transpose()
    }
}

struct Map {
    rest: std::vec::IntoIter<(String, Value)>,
    value: Option<(String, Value)>,
    /// Whether complaints name the key.
    named: bool,
}

impl<'de> de::MapAccess<'de> for Map {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        self.value = self.rest.next();
        match &self.value {
            Some((key, _)) => seed.deserialize(Value::Text(key.clone())).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let Some((key, value)) = self.value.take() else {
            return Err(Wrong::custom("a value without a key"));
        };
        if !self.named {
            return seed.deserialize(value);
        }
        let told = value.clone();
        seed.deserialize(value).map_err(|wrong| {
            let mut is = String::new();
            json::write(&told, &mut is);
            Wrong(format!("setting `{key}` is {is}: {wrong}"))
        })
    }
}

struct Variant {
    variant: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Content;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content), Wrong> {
        let variant = seed.deserialize(Value::Text(self.variant))?;
        Ok((variant, Content(self.content)))
    }
}

struct Content(Option<Value>);

impl<'de> VariantAccess<'de> for Content {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.0 {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(Wrong::custom("expected a name alone")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Wrong> {
        seed.deserialize(self.0.unwrap_or(Value::Null))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.0.unwrap_or(Value::Null).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.0.unwrap_or(Value::Null).deserialize_map(visitor)
    }
}
