//! The three messages of an event file, in the wire format of protocol buffers.
//!
//! ```text
//! Event     { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary summary }
//! Summary   { 1: repeated Value { 1: string tag, 2: float simple_value, 5: Histogram histo } }
//! Histogram { 1: double min, 2: max, 3: num, 4: sum, 5: sum_squares, 6: [double] limit, 7: [double] bucket }
//! ```

use l0_files::Message;

/// A point in time with either the version of the file or values.
pub(super) struct Event(Message);

impl Event {
    /// The event that opens a file.
    pub(super) fn version(wall_time: f64) -> Self {
        Self(Message::new().double(1, wall_time).text(3, "brain.Event:2"))
    }

    pub(super) fn summary(wall_time: f64, step: u64, values: Vec<Value>) -> Self {
        let values: Vec<Message> = values.into_iter().map(Value::message).collect();
        let summary = Message::new().messages(1, &values);
        Self(Message::new().double(1, wall_time).int(2, step as i64).message(5, &summary))
    }

    pub(super) fn encode(self) -> Vec<u8> {
        self.0.into_bytes()
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

    fn message(self) -> Message {
        let message = Message::new().text(1, &self.tag);
        match self.content {
            Content::Scalar(value) => message.float(2, value),
            Content::Histogram(counts) => message.message(5, &histogram(&counts)),
        }
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
    Message::new()
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

    #[test]
    fn a_scalar_is_a_tag_and_a_float() {
        let bytes = Value::scalar("ab".into(), 1.0).message().into_bytes();
        assert_eq!(bytes, [0x0A, 2, b'a', b'b', 0x15, 0, 0, 0x80, 0x3F]);
    }

    #[test]
    fn a_histogram_without_gates_is_still_one() {
        assert!(!histogram(&[]).into_bytes().is_empty());
        assert!(!histogram(&[0, 0]).into_bytes().is_empty());
    }
}
