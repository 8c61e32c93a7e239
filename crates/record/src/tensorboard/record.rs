//! The frame of a record: its length, the record, and a masked CRC-32C after each.

const POLYNOMIAL: u32 = 0x82F6_3B78;
const MASK: u32 = 0xA282_EAD8;

/// A record in its frame.
pub(super) fn framed(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(record.len() + 16);
    for part in [&length[..], record] {
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(&masked(crc32c(part)).to_le_bytes());
    }
    bytes
}

/// A checksum of data that itself holds checksums is turned and shifted, or it would be weak.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK)
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The check value of CRC-32C, and 32 bytes of zero from RFC 3720, B.4.
    #[test]
    fn known_checksums() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    }

    #[test]
    fn the_frame_holds_length_and_record() {
        let bytes = framed(b"event");
        assert_eq!(bytes.len(), 8 + 4 + 5 + 4);
        assert_eq!(bytes[..8], 5u64.to_le_bytes());
        assert_eq!(&bytes[12..17], b"event");
    }
}
