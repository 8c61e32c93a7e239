//! What a file of another form is, by how it begins.

/// How files of other forms begin.
const BEGINNINGS: [(&[u8], &str); 9] = [
    (&[0x80, 2], "a Python pickle"),
    (&[0x80, 3], "a Python pickle"),
    (&[0x80, 4], "a Python pickle"),
    (&[0x80, 5], "a Python pickle"),
    (b"MATLAB", "a MATLAB file"),
    (&[0x89, b'H', b'D', b'F'], "an HDF5 file"),
    (&[0x1f, 0x8b], "compressed by gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
];
/// Bytes that tell all of them.
pub(super) const LONGEST: u64 = 6;

/// What bytes of another form are.
pub(crate) fn form(bytes: &[u8]) -> Option<&'static str> {
    BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)).map(|&(_, form)| form)
}
