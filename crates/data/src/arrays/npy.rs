//! An array of NumPy: a magic word, a version, and a header in Python's own words.

use super::array::{Array, Fault, Kind, SAVE_ANEW};

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array before its elements are looked at.
struct Header<'a> {
    /// What its elements are, as NumPy abbreviates it.
    code: &'a str,
    dims: Vec<usize>,
    data: &'a [u8],
}

/// What is wrong, if the bytes are not one array of numbers, row by row.
pub(super) fn parse(bytes: &[u8]) -> Result<Array, Fault> {
    let Header { code, dims, data } = Header::read(bytes)?;
    let fault = if holds_no_numbers(code) { Fault::NoNumbers } else { Fault::Unread };
    let kind = kind(code).ok_or_else(|| fault(format!("elements of {code:?}"), SAVE_ANEW))?;
    Ok(Array::new(dims, kind, data)?)
}

/// The texts of an array of one dimension; `None` if it holds something else.
pub(super) fn texts(bytes: &[u8]) -> Option<Vec<String>> {
    let Header { code, dims, data } = Header::read(bytes).ok()?;
    // Each text has so many characters of 32 bits, of which the last may be zeros.
    let size = code.strip_prefix("<U")?.parse::<usize>().ok()?.checked_mul(4).filter(|&size| size > 0)?;
    if dims.len() != 1 || dims[0].checked_mul(size) != Some(data.len()) {
        return None;
    }
    let character = |bytes: &[u8; 4]| char::from_u32(u32::from_le_bytes(*bytes));
    let text = |cell: &[u8]| -> Option<String> {
        cell.as_chunks::<4>().0.iter().map(character).take_while(|found| *found != Some('\0')).collect()
    };
    data.chunks_exact(size).map(text).collect()
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("no NumPy array")?;
        let (length, from) = match rest {
            [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 4),
            [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
            _ => return Err("a version that is not read".into()),
        };
        let header = rest.get(from..).and_then(|rest| rest.get(..length)).ok_or("a header that is cut off")?;
        let data = &rest[from + length..];
        let header = std::str::from_utf8(header).map_err(|_| "a header that is no text")?;
        if !value(header, "fortran_order")?.starts_with("False") {
            return Err(Fault::Unread("column-major order".into(), "save numpy.ascontiguousarray of it"));
        }
        let code = value(header, "descr")?;
        let code = code.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
        let dims = value(header, "shape")?;
        let dims = dims.strip_prefix('(').and_then(|dims| dims.split_once(')')).ok_or("a header without a shape")?.0;
        let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
        let dims: Vec<usize> =
            dims.map(|dim| dim.parse().map_err(|_| format!("a length of {dim:?}"))).collect::<Result<_, _>>()?;
        Ok(Self { code, dims, data })
    }
}

/// What comes behind a key.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("a header without {key}");
    let (_, rest) = header.split_once(key).ok_or_else(missing)?;
    let (_, rest) = rest.split_once(':').ok_or_else(missing)?;
    Ok(rest.trim_start())
}

/// Texts, bytes, objects, dates.
fn holds_no_numbers(code: &str) -> bool {
    code.trim_start_matches(['<', '>', '|', '=']).starts_with(['U', 'S', 'a', 'O', 'V', 'M', 'm'])
}

fn kind(code: &str) -> Option<Kind> {
    Some(match code {
        "|u1" | "|b1" => Kind::U8,
        "|i1" => Kind::I8,
        "<u2" => Kind::U16,
        "<i2" => Kind::I16,
        "<u4" => Kind::U32,
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        "<u8" => Kind::U64,
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        _ => return None,
    })
}
