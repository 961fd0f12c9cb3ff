use super::*;

/// A message with string headers.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend(name.as_bytes());
        head.push(7);
        head.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        head.extend(value.as_bytes());
    }
    raw(&head, payload)
}

fn raw(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let size = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let mut out = [size(head.len() + payload.len() + 16), size(head.len())].concat();
    out.extend(crc32(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out
}

#[test]
fn the_checksum_is_the_standard_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_message_is_read_at_every_split() {
    let bytes = message(&[(":message-type", "event"), (":event-type", "messageStop")], b"{}");
    for at in 0..=bytes.len() {
        let mut decoder = Decoder::new();
        decoder.push(&bytes[..at]);
        let early = decoder.next_message().unwrap();
        decoder.push(&bytes[at..]);
        let read = early.or_else(|| decoder.next_message().unwrap()).unwrap();
        assert_eq!((read.header(":event-type"), &read.payload[..]), (Some("messageStop"), &b"{}"[..]));
        assert!(!decoder.is_partial());
    }
}

#[test]
fn headers_of_every_type_are_skipped_but_strings() {
    let mut head = Vec::new();
    for (kind, value) in [
        (0, &b""[..]),
        (1, b""),
        (2, b"1"),
        (3, b"12"),
        (4, b"1234"),
        (5, b"12345678"),
        (6, b"\0\x02xy"),
        (8, b"12345678"),
        (9, b"1234567890123456"),
        (7, b"\0\x01s"),
    ] {
        head.extend([1, b'a' + kind, kind]);
        head.extend(value);
    }
    let mut decoder = Decoder::new();
    decoder.push(&raw(&head, b"p"));
    let read = decoder.next_message().unwrap().unwrap();
    assert_eq!(read.headers, [(Bytes::from("h"), Bytes::from("s"))]);
}

#[test]
fn broken_bytes_are_refused_once_and_let_go() {
    let good = message(&[("a", "b")], b"xyz");
    let check = |bytes: &[u8], want| {
        let mut decoder = Decoder::with_limit(100);
        decoder.push(bytes);
        assert_eq!(decoder.next_message(), Err(want));
        decoder.push(&good);
        assert_eq!(decoder.next_message(), Ok(None));
        assert!(!decoder.is_partial());
    };
    let mut flipped = good.clone();
    flipped[14] ^= 1;
    check(&flipped, Broken::Checksum);
    check(b"data: {\"x\":1}\n\n", Broken::Checksum);
    check(&message(&[], &[0; 100]), Broken::TooLarge);
    check(&raw(&[5, b'x', 7], b""), Broken::Lengths);
    check(&raw(&[1, b'x', 10], b""), Broken::Lengths);
}

#[test]
fn base64_is_read_strictly() {
    assert_eq!(base64(b"eyJhIjoxfQ==").as_deref(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(base64(b"YQ").as_deref(), Some(&b"a"[..]));
    assert_eq!(base64(b"").as_deref(), Some(&b""[..]));
    for bad in [&b"A"[..], b"AA*A", b"AAAAA"] {
        assert_eq!(base64(bad), None);
    }
}
