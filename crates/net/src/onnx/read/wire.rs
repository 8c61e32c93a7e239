//! Protocol buffers as a reader meets them: the fields of a message, borrowed from its bytes.
//!
//! Nothing is allocated by a length that the bytes claim: a field is a part of what is there, or an error.

/// Why bytes or an operator were refused; whoever knows the tensor or node adds its name.
pub(super) type Reason = String;

/// A field's value as it lies in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// The fields of a message, in their order.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(cut)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn varint(&mut self) -> Result<u64, Reason> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than ten bytes".into())
    }

    fn bytes(&mut self) -> Result<&'a [u8], Reason> {
        let length = self.varint()?;
        let length = usize::try_from(length).ok().filter(|&length| length <= self.rest.len());
        let (bytes, rest) = self.rest.split_at(length.ok_or_else(cut)?);
        self.rest = rest;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), Reason> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take()?),
            2 => Wire::Bytes(self.bytes()?),
            5 => Wire::Fixed32(self.take()?),
            kind => return Err(format!("a field of the unknown kind {kind}")),
        };
        match key >> 3 {
            0 => Err("a field of number 0".into()),
            number => Ok((number, value)),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.field())
    }
}

fn cut() -> Reason {
    "a field that goes on beyond the end".into()
}

fn wrong(expected: &str, found: Wire<'_>) -> Reason {
    let found = match found {
        Wire::Varint(_) => "a whole number",
        Wire::Fixed64(_) => "eight bytes",
        Wire::Bytes(_) => "a text or message",
        Wire::Fixed32(_) => "four bytes",
    };
    format!("{found} where {expected} is expected")
}

impl<'a> Wire<'a> {
    pub(super) fn int(self) -> Result<i64, Reason> {
        match self {
            Self::Varint(value) => Ok(value as i64), // two's complement, as the format has it for int64
            other => Err(wrong("a whole number", other)),
        }
    }

    pub(super) fn float(self) -> Result<f32, Reason> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            other => Err(wrong("a float", other)),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Reason> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(wrong("a text or message", other)),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Reason> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text that is not UTF-8".into())
    }

    /// A number of a list, or several that were packed together.
    pub(super) fn ints(self, into: &mut Vec<i64>) -> Result<(), Reason> {
        let Self::Bytes(bytes) = self else {
            into.push(self.int()?);
            return Ok(());
        };
        let mut packed = Fields::of(bytes);
        while !packed.rest.is_empty() {
            into.push(packed.varint()? as i64);
        }
        Ok(())
    }

    pub(super) fn floats(self, into: &mut Vec<f32>) -> Result<(), Reason> {
        match self {
            Self::Bytes(bytes) => into.extend(whole::<4>(bytes)?.iter().map(|&bytes| f32::from_le_bytes(bytes))),
            one => into.push(one.float()?),
        }
        Ok(())
    }

    pub(super) fn doubles(self, into: &mut Vec<f64>) -> Result<(), Reason> {
        match self {
            Self::Bytes(bytes) => into.extend(whole::<8>(bytes)?.iter().map(|&bytes| f64::from_le_bytes(bytes))),
            Self::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            other => return Err(wrong("a double", other)),
        }
        Ok(())
    }
}

/// The bytes in pieces of `N`.
pub(super) fn whole<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], Reason> {
    let (pieces, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() { Ok(pieces) } else { Err(format!("{} bytes where a multiple of {N} is expected", bytes.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l0_files::Message;

    #[test]
    fn what_the_writer_writes_is_read() {
        let bytes = Message::new().int(1, -1).text(2, "ab").float(3, 1.5).ints(4, &[5, 300]).into_bytes();
        let fields: Vec<_> = Fields::of(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[0].1.int().unwrap(), -1);
        assert_eq!(fields[1].1.text().unwrap(), "ab");
        assert_eq!(fields[2].1.float().unwrap(), 1.5);
        assert_eq!(fields[3..].iter().map(|f| f.1.int().unwrap()).collect::<Vec<_>>(), [5, 300]);
    }

    #[test]
    fn lists_are_read_packed_or_not() {
        let mut ints = Vec::new();
        Wire::Bytes(&[5, 0xac, 2]).ints(&mut ints).unwrap();
        Wire::Varint(7).ints(&mut ints).unwrap();
        assert_eq!(ints, [5, 300, 7]);
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let mut claim = vec![0x4a]; // field 9, a text
        claim.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(Fields::of(&claim).next().unwrap().unwrap_err(), cut());
        assert!(Fields::of(&[0xff; 11]).next().unwrap().unwrap_err().contains("ten bytes"));
    }
}
