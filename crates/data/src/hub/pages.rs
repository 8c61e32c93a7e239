//! A look at the page headers of a column before `parquet` reads them, because it allocates what they ask for.
//!
//! A header is a struct in Thrift's compact protocol; of interest are its fields 2 (bytes after decompression), 3
//! (bytes in the file) and, in a dictionary's header (field 7), 1 (number of values).

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use std::io::{ErrorKind, Read};

/// More than most codecs make of a byte (deflate: 1032). A page of a column that hardly varies may come to more by zstd,
/// and is read as long as it is no larger than [`LARGE`].
const LARGEST_EXPANSION: u64 = 1 << 11;
const LARGE: u64 = 64 << 20;
const DEEPEST: usize = 8;

#[derive(Debug, Default, PartialEq, Eq)]
struct Header {
    uncompressed: i64,
    compressed: i64,
    dictionary_values: i64,
}

/// Checks the pages of these columns of a group of rows, in a file of `size` bytes.
///
/// # Errors
/// What was expected, and what there is.
pub(crate) fn check_columns(
    from: &impl ChunkReader,
    size: u64,
    group: &RowGroupMetaData,
    columns: &[usize],
) -> Result<(), (&'static str, String)> {
    let within = "columns within the file";
    for &column in columns {
        let chunk = group.column(column);
        let numbers = [chunk.data_page_offset(), chunk.dictionary_page_offset().unwrap_or(0), chunk.compressed_size()];
        if numbers.iter().any(|&number| number < 0) {
            return Err((within, "a negative place or length".into()));
        }
        let (start, length) = chunk.byte_range();
        if start.checked_add(length).is_none_or(|end| end > size) {
            return Err((within, format!("{length} bytes at {start} of {size}")));
        }
        let pages = from.get_read(start).map_err(|error| ("a parquet file", error.to_string()))?;
        check(pages, length).map_err(|found| ("sound pages", found))?;
    }
    Ok(())
}

/// Checks `length` bytes of pages.
///
/// # Errors
/// What is wrong with a header.
fn check(from: impl Read, length: u64) -> Result<(), String> {
    let mut from = Counted { from, count: 0 };
    while from.count < length {
        let mut header = Header::default();
        read_struct(&mut from, &mut header, 0, 0).map_err(|error| format!("a page header: {error}"))?;
        let Header { uncompressed, compressed, dictionary_values } = header;
        let left = length.saturating_sub(from.count);
        let size = u64::try_from(compressed).ok().filter(|&size| size <= left);
        let size = size.ok_or(format!("a page of {compressed} bytes where {left} are left"))?;
        let largest = size.saturating_mul(LARGEST_EXPANSION).max(LARGE) as i64;
        if !(0..=largest).contains(&uncompressed) {
            return Err(format!("a page of {compressed} bytes that claims to unpack to {uncompressed}"));
        }
        if !(0..=uncompressed).contains(&dictionary_values) {
            return Err(format!("a dictionary of {dictionary_values} values in {uncompressed} bytes"));
        }
        from.skip(size).map_err(|error| error.to_string())?;
    }
    Ok(())
}

struct Counted<R> {
    from: R,
    count: u64,
}

impl<R: Read> Counted<R> {
    fn byte(&mut self) -> std::io::Result<u8> {
        let mut byte = [0];
        self.from.read_exact(&mut byte)?;
        self.count += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> std::io::Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(malformed("a number of more than 64 bits"))
    }

    fn zigzag(&mut self) -> std::io::Result<i64> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn skip(&mut self, bytes: u64) -> std::io::Result<()> {
        let skipped = std::io::copy(&mut self.from.by_ref().take(bytes), &mut std::io::sink())?;
        self.count += skipped;
        if skipped < bytes { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what.to_string())
}

/// Reads a struct that is the field `parent` of the header, or the header itself (0).
fn read_struct(from: &mut Counted<impl Read>, header: &mut Header, parent: i64, depth: usize) -> std::io::Result<()> {
    let mut id = 0i64;
    loop {
        let head = from.byte()?;
        if head == 0 {
            return Ok(());
        }
        let step = i64::from(head >> 4);
        id = if step > 0 { id + step } else { from.zigzag()? };
        match (head & 0x0f, parent, id) {
            (5, 0, 2) if depth == 0 => header.uncompressed = from.zigzag()?,
            (5, 0, 3) if depth == 0 => header.compressed = from.zigzag()?,
            (5, 7, 1) if depth == 1 => header.dictionary_values = from.zigzag()?,
            (1 | 2, _, _) => {}
            (12, 0, id) if depth == 0 => read_struct(from, header, id, 1)?,
            (kind, _, _) => skip_value(from, kind, depth)?,
        }
    }
}

fn skip_value(from: &mut Counted<impl Read>, kind: u8, depth: usize) -> std::io::Result<()> {
    match kind {
        _ if depth > DEEPEST => Err(malformed("too deep a structure")),
        1..=3 => from.skip(1),
        4..=6 => from.varint().map(drop),
        7 => from.skip(8),
        8 => {
            let length = from.varint()?;
            from.skip(length)
        }
        9 | 10 => {
            let head = from.byte()?;
            let length = if head >> 4 == 15 { from.varint()? } else { u64::from(head >> 4) };
            (0..length).try_for_each(|_| skip_value(from, head & 0x0f, depth + 1))
        }
        12 => read_struct(from, &mut Header::default(), -1, depth + 1),
        _ => Err(malformed("an unknown type of field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// type 2, 12 bytes unpacked, 5 in the file, field 7 = { values 3, encoding 0 }, then the 5 bytes.
    const PAGE: [u8; 19] = [0x15, 4, 0x15, 24, 0x15, 10, 0x4c, 0x15, 6, 0x15, 0, 0, 0, 1, 2, 3, 4, 5, 0];

    #[test]
    fn sound_pages_pass() {
        check(&PAGE[..18], 18).unwrap();
        check(&[&PAGE[..18], &PAGE[..18]].concat()[..], 36).unwrap();
    }

    fn refused(at: usize, bytes: &[u8], message: &str) {
        let page = [&PAGE[..at], bytes, &PAGE[at + 1..18]].concat();
        assert_eq!(check(&page[..], page.len() as u64).unwrap_err(), message);
    }

    #[test]
    fn claims_that_do_not_fit_are_refused() {
        refused(5, &[12], "a page of 6 bytes where 5 are left");
        refused(5, &[1], "a page of -1 bytes where 5 are left");
        let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
        refused(3, &huge, "a page of 5 bytes that claims to unpack to 2147483647");
        refused(8, &huge, "a dictionary of 2147483647 values in 12 bytes");
        refused(6, &[0x4d], "a page header: an unknown type of field");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = check(&bytes[..], bytes.len() as u64);
        }
    }
}
