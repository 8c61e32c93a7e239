//! Floating-point numbers in JSON, which has no word for infinity or "not a number".
//!
//! A loss that is no longer finite is just what a row must be able to say, so these are written as the strings `"NaN"`,
//! `"inf"` and `"-inf"`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::Named;

/// A number that survives the way through a file, finite or not.
struct Number(f64);

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Number(f64),
    Text(String),
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            x if x.is_finite() => serializer.serialize_f64(x),
            x => serializer.serialize_str(&x.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = || D::Error::custom("not a number, nor \"NaN\", \"inf\" or \"-inf\"");
        match Wire::deserialize(deserializer).map_err(|_| expected())? {
            Wire::Number(x) => Ok(Self(x)),
            Wire::Text(text) => match text.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "inf" => Ok(Self(f64::INFINITY)),
                "-inf" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(expected()),
            },
        }
    }
}

pub(crate) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*x).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Number::deserialize(deserializer).map(|number| number.0)
}

/// For a number that may be missing.
pub(crate) mod option {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(x: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        x.map(Number).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(d)?.map(|number| number.0))
    }
}

/// For numbers under names.
pub(crate) mod named {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(xs: &Named<f64>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(xs.iter().map(|(name, x)| (name, Number(*x))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Named<f64>, D::Error> {
        let xs = Named::<Number>::deserialize(d)?;
        Ok(xs.into_iter().map(|(name, x)| (name, x.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: f64, text: &str) {
        assert_eq!(serde_json::to_string(&Number(x)).unwrap(), text);
        let back: Number = serde_json::from_str(text).unwrap();
        assert!(back.0 == x || back.0.is_nan() && x.is_nan());
    }

    #[test]
    fn every_number_comes_back() {
        check(0.1, "0.1");
        check(-3.0, "-3.0");
        check(f64::NAN, "\"NaN\"");
        check(f64::INFINITY, "\"inf\"");
        check(f64::NEG_INFINITY, "\"-inf\"");
    }

    #[test]
    fn other_words_are_refused() {
        assert!(serde_json::from_str::<Number>("\"many\"").is_err());
        assert!(serde_json::from_str::<Number>("null").is_err());
    }
}
