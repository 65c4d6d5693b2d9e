//! Strict JSON: one value, nothing after it, no key twice at any depth. Types add the rest by
//! `deny_unknown_fields`.

use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Reads `bytes`; the text of the error says what is wrong and where.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice::<Undoubled>(bytes).map_err(|e| e.to_string())?;
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

/// Any JSON value without doubled keys. serde's own maps keep the last of two in silence, and
/// two readers that keep different ones disagree about what was signed.
struct Undoubled;

impl<'de> serde::Deserialize<'de> for Undoubled {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Undoubled;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_str<E>(self, _: &str) -> Result<Undoubled, E> {
        Ok(Undoubled)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Undoubled, A::Error> {
        while items.next_element::<Undoubled>()?.is_some() {}
        Ok(Undoubled)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Undoubled, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("key `{key}` stands twice")));
            }
            seen.insert(key);
            map.next_value::<Undoubled>()?;
        }
        Ok(Undoubled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn doubled_keys_are_refused_at_any_depth() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":[{"y":{"a":1,"b":2,"\u0061":3}}]}"#,
            r#"{"a":1} "#.trim_end().repeat(2).as_str(),
            "",
            "[1,]",
            &"[".repeat(100_000),
        ] {
            assert!(parse::<Value>(bad.as_bytes()).is_err(), "{bad:.40}");
        }
        let good = r#"{"a":{"a":[null,true,-1,1.5,"s",{"a":0}]},"b":{"a":1}}"#;
        assert_eq!(parse::<Value>(good.as_bytes()).unwrap().to_string(), good);
    }
}
