//! An array of numbers, and how files store one.

/// Why an array is not taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// The file is not what its format says: what was found.
    Damaged(String),
    /// The file is whole: what was found that is not read, and what to do.
    Unread(String, &'static str),
    /// The same of an array that holds no numbers at all.
    NoNumbers(String, &'static str),
}

impl From<String> for Fault {
    fn from(found: String) -> Self {
        Self::Damaged(found)
    }
}

impl From<&str> for Fault {
    fn from(found: &str) -> Self {
        Self::Damaged(found.into())
    }
}

impl Fault {
    /// The same of an array that has a name.
    pub(super) fn of(self, name: &str) -> Self {
        match self {
            Self::Damaged(found) => Self::Damaged(format!("{name} of {found}")),
            Self::Unread(found, advice) => Self::Unread(format!("{name} of {found}"), advice),
            Self::NoNumbers(found, advice) => Self::NoNumbers(format!("{name} of {found}"), advice),
        }
    }
}

/// What to do about elements that are not read.
pub(super) const SAVE_ANEW: &str = "save it as bytes, whole numbers or 32-bit floats, as x.astype(\"float32\")";

/// An array of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Bytes(Vec<u8>),
    Whole(Vec<i64>),
    Floats(Vec<f32>),
}

/// How the elements of an array are stored; numbers are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    I64,
    U64,
    F32,
    F64,
}

impl Kind {
    pub(super) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl Array {
    /// What is wrong, if the bytes are not as many as such elements need.
    pub(super) fn new(dims: Vec<usize>, kind: Kind, bytes: &[u8]) -> Result<Self, String> {
        let size = dims.iter().try_fold(kind.size(), |size, &dim| size.checked_mul(dim));
        if size != Some(bytes.len()) {
            return Err(format!("{} bytes for an array of {}", bytes.len(), shape(&dims)));
        }
        fn each<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
        }
        let values = match kind {
            Kind::U8 => Values::Bytes(bytes.to_vec()),
            Kind::I8 => Values::Whole(each(bytes, |b| i8::from_le_bytes(b).into())),
            Kind::U16 => Values::Whole(each(bytes, |b| u16::from_le_bytes(b).into())),
            Kind::I16 => Values::Whole(each(bytes, |b| i16::from_le_bytes(b).into())),
            Kind::U32 => Values::Whole(each(bytes, |b| u32::from_le_bytes(b).into())),
            Kind::I32 => Values::Whole(each(bytes, |b| i32::from_le_bytes(b).into())),
            Kind::I64 => Values::Whole(each(bytes, i64::from_le_bytes)),
            Kind::U64 => unsigned(&each(bytes, u64::from_le_bytes)),
            Kind::F32 => Values::Floats(each(bytes, f32::from_le_bytes)),
            Kind::F64 => Values::Floats(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        };
        Ok(Self { dims, values })
    }
}

/// Whole numbers; beyond 2^63, where no label or pixel is, the nearest floats.
fn unsigned(values: &[u64]) -> Values {
    let whole: Option<Vec<i64>> = values.iter().map(|&value| i64::try_from(value).ok()).collect();
    whole.map_or_else(|| Values::Floats(values.iter().map(|&value| value as f32).collect()), Values::Whole)
}

pub(super) fn shape(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}
