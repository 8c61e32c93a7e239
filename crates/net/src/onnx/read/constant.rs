//! Tensors whose values the file holds, or that follow from its shapes.

use std::rc::Rc;

use super::proto::Stored;
use super::wire::{Reason, whole};

/// A whole number of a shape. What is computed from the size of the batch in another way than by moving it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Int {
    Known(i64),
    Batch,
    Unknown,
}

impl Int {
    pub(super) fn known(self) -> Result<i64, Reason> {
        match self {
            Self::Known(value) => Ok(value),
            _ => Err("computes with the size of the batch, which is open".into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f32>),
    /// Whole numbers of any width, and truth values as 0 and 1.
    Ints(Vec<Int>),
}

/// A constant tensor; it has as many values as its dimensions say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    dims: Vec<usize>,
    data: Rc<Data>,
    /// The name of the stored tensor that it is, or is another arrangement of.
    name: Rc<str>,
    /// The code of the type that it was stored in, or cast to; 0 where it was computed.
    kind: i64,
}

/// The number of values of a tensor of these dimensions, none of which is larger than can be counted with, not even
/// where another is 0.
pub(super) fn size(dims: &[usize]) -> Result<usize, Reason> {
    let most = dims.iter().try_fold(1i64, |size, &dim| size.checked_mul(i64::try_from(dim.max(1)).ok()?));
    match most {
        Some(_) => Ok(dims.iter().product()),
        None => Err(format!("a shape of more values than can be counted, {dims:?}")),
    }
}

/// Values of a layer's parameters, under their leaves.
pub(super) type Values = Vec<(&'static str, Constant)>;

impl Constant {
    /// A tensor of these values.
    ///
    /// # Errors
    /// If there is another number of them than the dimensions say.
    pub(super) fn new(dims: Vec<usize>, data: Data, name: &str) -> Result<Self, Reason> {
        let (found, expected) = (data.len(), size(&dims)?);
        if found != expected {
            return Err(format!("{found} values, expected {expected} for its shape {dims:?}"));
        }
        Ok(Self { dims, data: Rc::new(data), name: name.into(), kind: 0 })
    }

    pub(super) fn ints(dims: Vec<usize>, ints: Vec<Int>) -> Result<Self, Reason> {
        Self::new(dims, Data::Ints(ints), "")
    }

    pub(super) fn floats(dims: Vec<usize>, floats: Vec<f32>, name: &str) -> Result<Self, Reason> {
        Self::new(dims, Data::Floats(floats), name)
    }

    /// The same values under other dimensions.
    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Result<Self, Reason> {
        let (found, expected) = (self.len(), size(&dims)?);
        if found != expected {
            return Err(format!("a shape {dims:?} of {expected} values for {found} of shape {:?}", self.dims));
        }
        Ok(Self { dims, ..self.clone() })
    }

    /// The values at these places of the flattened tensor.
    pub(super) fn picked(&self, dims: Vec<usize>, places: impl Iterator<Item = usize>) -> Result<Self, Reason> {
        let data = match &*self.data {
            Data::Floats(values) => Data::Floats(picked(values, places)?),
            Data::Ints(values) => Data::Ints(picked(values, places)?),
        };
        Ok(Self::new(dims, data, &self.name)?.of_kind(self.kind))
    }

    /// The same values as a type of this code.
    pub(super) fn of_kind(&self, kind: i64) -> Self {
        Self { kind, ..self.clone() }
    }

    /// A value for each unit: this one repeated where it is a single one.
    pub(super) fn spread(&self, n: usize) -> Result<Self, Reason> {
        match self.len() {
            1 => self.picked(vec![n], std::iter::repeat_n(0, n)),
            _ => self.reshaped(vec![n]),
        }
    }

    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The code of the type that it was stored in, or cast to; 0 where it was computed.
    pub(super) fn kind(&self) -> i64 {
        self.kind
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn as_floats(&self) -> Result<&[f32], Reason> {
        match &*self.data {
            Data::Floats(values) => Ok(values),
            Data::Ints(_) => Err(format!("whole numbers in {:?} where floats are expected", self.name)),
        }
    }

    pub(super) fn as_ints(&self) -> Result<&[Int], Reason> {
        match &*self.data {
            Data::Ints(values) => Ok(values),
            Data::Floats(_) => Err(format!("floats in {:?} where whole numbers are expected", self.name)),
        }
    }

    /// Whole numbers that do not depend on the batch.
    pub(super) fn known(&self) -> Result<Vec<i64>, Reason> {
        self.as_ints()?.iter().map(|int| int.known()).collect()
    }

    /// The value of a tensor of one float.
    pub(super) fn scalar(&self) -> Option<f32> {
        match &*self.data {
            Data::Floats(values) if values.len() == 1 => Some(values[0]),
            _ => None,
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Ints(values) => values.len(),
        }
    }
}

fn picked<T: Copy>(values: &[T], places: impl Iterator<Item = usize>) -> Result<Vec<T>, Reason> {
    let value = |place: usize| values.get(place).copied();
    places.map(value).collect::<Option<_>>().ok_or_else(|| format!("a place beyond its {} values", values.len()))
}

/// The codes of `TensorProto.DataType` that are read, and their names.
const KINDS: [(i64, &str); 13] = [
    (1, "FLOAT"),
    (2, "UINT8"),
    (3, "INT8"),
    (4, "UINT16"),
    (5, "INT16"),
    (6, "INT32"),
    (7, "INT64"),
    (9, "BOOL"),
    (10, "FLOAT16"),
    (11, "DOUBLE"),
    (12, "UINT32"),
    (13, "UINT64"),
    (16, "BFLOAT16"),
];

/// The name of a type.
pub(super) fn kind_name(kind: i64) -> String {
    let known = KINDS.iter().find(|known| known.0 == kind);
    known.map_or_else(|| format!("type {kind}"), |known| known.1.into())
}

/// Whether a type is one of floating point.
pub(super) fn is_float(kind: i64) -> bool {
    matches!(kind, 1 | 10 | 11 | 16)
}

impl Constant {
    /// The tensor that a file holds; `outside` are its bytes if they lie in a file beside the model.
    pub(super) fn decode(stored: &Stored<'_>, outside: Option<&[u8]>) -> Result<Self, Reason> {
        let dims = dims(&stored.dims)?;
        let expected = size(&dims)?;
        let data = match outside.or(stored.raw) {
            Some(raw) => decoded(stored.kind, raw, expected)?,
            None => listed(stored)?,
        };
        Ok(Self { kind: stored.kind, ..Self::new(dims, data, stored.name)? })
    }
}

impl Constant {
    /// The number of values that a stored tensor's shape asks for.
    pub(super) fn size_of(stored: &Stored<'_>) -> Result<usize, Reason> {
        size(&dims(&stored.dims)?)
    }

    /// The number of bytes that a stored tensor's shape and type ask for.
    pub(super) fn bytes(stored: &Stored<'_>) -> Result<u64, Reason> {
        let bytes = Self::size_of(stored)?.checked_mul(width(stored.kind)?);
        bytes.map(|bytes| bytes as u64).ok_or_else(|| "more bytes than can be counted".into())
    }
}

fn dims(dims: &[i64]) -> Result<Vec<usize>, Reason> {
    let dim = |&dim: &i64| usize::try_from(dim).map_err(|_| format!("the negative dimension {dim}"));
    dims.iter().map(dim).collect()
}

/// The values of raw bytes, lowest byte first.
fn decoded(kind: i64, raw: &[u8], expected: usize) -> Result<Data, Reason> {
    let width = width(kind)?;
    if expected.checked_mul(width) != Some(raw.len()) {
        let kind = kind_name(kind);
        return Err(format!(
            "{} bytes of raw data, expected {width} for each of {expected} values ({kind})",
            raw.len()
        ));
    }
    Ok(match kind {
        1 => Data::Floats(whole(raw)?.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        11 => Data::Floats(whole(raw)?.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()),
        10 => Data::Floats(whole(raw)?.iter().map(|&b| half(u16::from_le_bytes(b))).collect()),
        16 => Data::Floats(whole(raw)?.iter().map(|&b| brain(u16::from_le_bytes(b))).collect()),
        _ => ints(raw.chunks_exact(width).map(|bytes| int(bytes, matches!(kind, 3 | 5 | 6 | 7)))),
    })
}

/// Bytes of a value.
fn width(kind: i64) -> Result<usize, Reason> {
    match kind {
        2 | 3 | 9 => Ok(1),
        4 | 5 | 10 | 16 => Ok(2),
        1 | 6 | 12 => Ok(4),
        7 | 11 | 13 => Ok(8),
        _ => Err(unsupported(kind)),
    }
}

fn unsupported(kind: i64) -> Reason {
    format!("numbers of {}; read are {}", kind_name(kind), KINDS.map(|kind| kind.1).join(", "))
}

fn int(bytes: &[u8], signed: bool) -> i64 {
    let unsigned = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let unused = 64 - 8 * bytes.len() as u32;
    if signed { ((unsigned << unused) as i64) >> unused } else { unsigned as i64 }
}

fn ints(values: impl Iterator<Item = i64>) -> Data {
    Data::Ints(values.map(Int::Known).collect())
}

/// The values of the lists that a message may hold instead of raw bytes.
fn listed(stored: &Stored<'_>) -> Result<Data, Reason> {
    Ok(match stored.kind {
        1 => Data::Floats(stored.floats.clone()),
        11 => Data::Floats(stored.doubles.iter().map(|&value| value as f32).collect()),
        10 => Data::Floats(stored.ints.iter().map(|&bits| half(bits as u16)).collect()),
        16 => Data::Floats(stored.ints.iter().map(|&bits| brain(bits as u16)).collect()),
        2..=7 | 9 | 12 | 13 => ints(stored.ints.iter().copied()),
        kind => return Err(unsupported(kind)),
    })
}

/// The upper half of an f32's bits.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE's half precision: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()), // fraction / 1024 * 2^-14
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_they_mean() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8)] {
            assert_eq!(half(bits), value);
        }
        assert_eq!(half(0x7bff), 65_504.0);
        assert!(half(0x7e00).is_nan() && half(0xfc00) == f32::NEG_INFINITY);
        assert_eq!(brain(0x3fc0), 1.5);
    }

    #[test]
    fn whole_numbers_of_every_width() {
        assert_eq!(int(&[0xff], true), -1);
        assert_eq!(int(&[0xff], false), 255);
        assert_eq!(int(&[0, 0x80], true), -32_768);
        assert_eq!(int(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], true), -2);
    }

    #[test]
    fn more_values_than_there_are_bytes_are_refused() {
        let claim = Stored { dims: vec![1 << 30, 1 << 30], kind: 1, raw: Some(&[0; 8]), ..Stored::default() };
        let reason = Constant::decode(&claim, None).unwrap_err();
        assert!(reason.starts_with("8 bytes of raw data"), "{reason}");
        let claim = Stored { dims: vec![1 << 40, 1 << 40], kind: 1, raw: Some(&[0; 8]), ..Stored::default() };
        assert!(Constant::decode(&claim, None).unwrap_err().contains("more values than can be counted"));
    }
}
