//! Protocol buffers, as much of them as a writer needs: numbers, texts and messages in messages.

/// A message under construction: fields are appended in the order of the calls.
///
/// ```
/// use l0_files::Message;
///
/// let inner = Message::new().int(1, 150);
/// assert_eq!(Message::new().message(20, &inner).into_bytes(), [0xa2, 0x01, 3, 0x08, 0x96, 0x01]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

/// How the bytes after a field's number are to be read.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of the whole message.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field) << 3 | wire as u64);
    }

    /// A field of type int64, int32 or bool.
    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.key(field, Wire::Varint);
        self.varint(value as u64); // two's complement, as the format has it for int64
        self
    }

    /// A repeated field of integers, one by one.
    pub fn ints(self, field: u32, values: &[i64]) -> Self {
        values.iter().fold(self, |message, &value| message.int(field, value))
    }

    /// A field of type float.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field of type double.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A repeated field of doubles, packed into one.
    pub fn doubles(self, field: u32, values: impl IntoIterator<Item = f64>) -> Self {
        let packed: Vec<u8> = values.into_iter().flat_map(f64::to_le_bytes).collect();
        self.bytes(field, &packed)
    }

    /// A field of type bytes.
    pub fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.key(field, Wire::Length);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// A field of type string.
    pub fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// A repeated field of strings.
    pub fn texts<S: AsRef<str>>(self, field: u32, texts: &[S]) -> Self {
        texts.iter().fold(self, |message, text| message.text(field, text.as_ref()))
    }

    /// A field that is a message itself.
    pub fn message(self, field: u32, inner: &Self) -> Self {
        self.bytes(field, &inner.0)
    }

    /// A repeated field of messages.
    pub fn messages<'a>(self, field: u32, inner: impl IntoIterator<Item = &'a Self>) -> Self {
        inner.into_iter().fold(self, |message, inner| message.message(field, inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Worked by hand from the encoding's definition: 150 = 0b1_0010110, the low seven bits first.
    #[test]
    fn the_bytes_of_small_messages() {
        assert_eq!(Message::new().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().int(2, 300).into_bytes(), [0x10, 0xac, 0x02]);
        assert_eq!(Message::new().text(2, "ab").into_bytes(), [0x12, 2, b'a', b'b']);
        assert_eq!(Message::new().float(2, 1.0).into_bytes(), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(Message::new().double(1, 1.0).into_bytes(), [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        let inner = Message::new().int(1, 150);
        assert_eq!(Message::new().message(20, &inner).into_bytes(), [0xa2, 0x01, 3, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn a_negative_number_takes_ten_bytes() {
        let bytes = Message::new().int(1, -1).into_bytes();
        assert_eq!(bytes, [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    #[test]
    fn repeated_fields_follow_each_other_but_packed_doubles_are_one() {
        assert_eq!(Message::new().ints(1, &[1, 2]).into_bytes(), [0x08, 1, 0x08, 2]);
        assert_eq!(Message::new().doubles(6, [0.0, 0.0]).into_bytes()[..2], [0x32, 16]);
        assert_eq!(Message::new().doubles(6, []).into_bytes(), [0x32, 0]);
    }
}
