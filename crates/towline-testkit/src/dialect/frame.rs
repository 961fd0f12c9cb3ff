//! How events are framed.

use bytes::Bytes;
use serde_json::Value;

/// A server-sent event without a name.
pub(super) fn data(json: &Value) -> Bytes {
    format!("data: {json}\n\n").into()
}

/// A server-sent event that is named as its `type` says.
pub(super) fn named(json: &Value) -> Bytes {
    format!("event: {}\ndata: {json}\n\n", json["type"].as_str().unwrap_or_default()).into()
}

/// A message of AWS' event stream, with string headers.
pub(super) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend(name.as_bytes());
        head.push(7);
        head.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend(value.as_bytes());
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let total = head.len().saturating_add(payload.len()).saturating_add(16);
    let mut out = [number(total), number(head.len())].concat();
    out.extend(crc32(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out.into()
}

/// The checksum of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_event_is_named_as_its_type_says() {
        assert_eq!(named(&serde_json::json!({"type": "ping"})), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    }
}
