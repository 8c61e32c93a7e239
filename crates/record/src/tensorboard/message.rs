//! The three messages of an event file, in the wire format of protocol buffers.
//!
//! ```text
//! Event     { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary summary }
//! Summary   { 1: repeated Value { 1: string tag, 2: float simple_value, 5: Histogram histo } }
//! Histogram { 1: double min, 2: max, 3: num, 4: sum, 5: sum_squares, 6: [double] limit, 7: [double] bucket }
//! ```

/// A message being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field's key is its number and how its value is laid out.
    fn key(&mut self, field: u64, layout: u64) {
        self.varint(field << 3 | layout);
    }

    fn int(mut self, field: u64, value: u64) -> Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn doubles(self, field: u64, values: impl Iterator<Item = f64>) -> Self {
        let packed: Vec<u8> = values.flat_map(f64::to_le_bytes).collect();
        self.bytes(field, &packed)
    }
}

/// A point in time with either the version of the file or values.
pub(super) struct Event(Message);

impl Event {
    /// The event that opens a file.
    pub(super) fn version(wall_time: f64) -> Self {
        Self(Message::default().double(1, wall_time).bytes(3, b"brain.Event:2"))
    }

    pub(super) fn summary(wall_time: f64, step: u64, values: Vec<Value>) -> Self {
        let encode = |summary: Message, value: Value| summary.bytes(1, &value.encode());
        let summary = values.into_iter().fold(Message::default(), encode);
        Self(Message::default().double(1, wall_time).int(2, step).bytes(5, &summary.0))
    }

    pub(super) fn encode(self) -> Vec<u8> {
        self.0.0
    }
}

/// A value under a tag.
pub(super) struct Value {
    pub(super) tag: String,
    content: Content,
}

enum Content {
    Scalar(f32),
    Histogram(Vec<u64>),
}

impl Value {
    pub(super) fn scalar(tag: String, value: f64) -> Self {
        Self { tag, content: Content::Scalar(value as f32) }
    }

    /// Counts in equal bins from 0 to 1.
    pub(super) fn histogram(tag: String, counts: &[u64]) -> Self {
        Self { tag, content: Content::Histogram(counts.to_vec()) }
    }

    fn encode(self) -> Vec<u8> {
        let message = Message::default().bytes(1, self.tag.as_bytes());
        let message = match self.content {
            Content::Scalar(value) => message.float(2, value),
            Content::Histogram(counts) => message.bytes(5, &histogram(&counts).0),
        };
        message.0
    }
}

/// Sums are those of the middles of the bins: the values themselves are no longer known.
fn histogram(counts: &[u64]) -> Message {
    let limit = |bin: usize| bin as f64 / counts.len() as f64;
    let middle = |bin: usize| (bin as f64 + 0.5) / counts.len() as f64;
    let first = counts.iter().position(|&n| n > 0).unwrap_or(0);
    let last = counts.iter().rposition(|&n| n > 0).map_or(0, |bin| bin + 1);
    let total = |weight: &dyn Fn(usize) -> f64| -> f64 {
        counts.iter().enumerate().map(|(bin, &n)| n as f64 * weight(bin)).sum()
    };
    Message::default()
        .double(1, if counts.is_empty() { 0.0 } else { limit(first) })
        .double(2, if counts.is_empty() { 0.0 } else { limit(last) })
        .double(3, total(&|_| 1.0))
        .double(4, total(&middle))
        .double(5, total(&|bin| middle(bin).powi(2)))
        .doubles(6, (1..=counts.len()).map(limit))
        .doubles(7, counts.iter().map(|&n| n as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Worked by hand from the encoding's definition: 300 = 0b10_0101100 -> AC 02.
    #[test]
    fn integers_take_seven_bits_a_byte() {
        assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().int(2, 300).0, [0x10, 0xAC, 0x02]);
        assert_eq!(Message::default().int(2, u64::MAX).0.len(), 11);
    }

    #[test]
    fn a_scalar_is_a_tag_and_a_float() {
        let bytes = Value::scalar("ab".into(), 1.0).encode();
        assert_eq!(bytes, [0x0A, 2, b'a', b'b', 0x15, 0, 0, 0x80, 0x3F]);
    }

    #[test]
    fn a_histogram_without_gates_is_still_one() {
        assert!(!histogram(&[]).0.is_empty());
        assert!(!histogram(&[0, 0]).0.is_empty());
    }
}
