use super::*;

fn decode(chunks: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    decoder.finish();
    while let Some(frame) = decoder.next_frame().unwrap() {
        frames.push(frame);
    }
    frames
}

fn event(name: &'static str, data: &'static str) -> Frame {
    Frame::Event(Event::new(name, data))
}

#[test]
fn the_fields_are_read_as_specified() {
    assert_eq!(decode(&[b"data: a\n\n"]), [event("", "a")]);
    assert_eq!(decode(&[b"data:a\ndata\ndata:  b\n\n"]), [event("", "a\n\n b")]);
    assert_eq!(decode(&[b"event: x\ndata:\n\n"]), [event("x", "")]);
    assert_eq!(
        decode(&[b"event: x\n\ndata: y\n\n"]),
        [event("", "y")],
        "a block without data is no event, and its name is forgotten"
    );
    let told = Event { id: Some("7".into()), retry: Some(Duration::from_millis(30)), ..Event::new("", "y") };
    assert_eq!(decode(&[b"id: 7\nretry: 30\ndata: y\n\n"]), [Frame::Event(told)]);
    assert_eq!(decode(&[b"id: 7\0\nretry: 3x\nretry: -1\ndata: y\n\n"]), [event("", "y")]);
}

#[test]
fn comments_and_strays_come_out_beside_the_events() {
    let frames = decode(&[b":HTTP_STATUS/429\n: x\nfoo: bar\n{\"error\": 1}\ndata: y\n\n"]);
    let want = [
        Frame::Comment("HTTP_STATUS/429".into()),
        Frame::Comment(" x".into()),
        Frame::Stray("foo: bar".into()),
        Frame::Stray("{\"error\": 1}".into()),
        event("", "y"),
    ];
    assert_eq!(frames, want);
}

#[test]
fn every_split_gives_the_same_frames() {
    let inputs: [&[u8]; 9] = [
        b"\xef\xbb\xbfdata: bom\n\nevent: e\r\ndata: crlf\r\n\r\n",
        b"data: cr\rdata: two\r\rdata: x\r\r",
        b"data: mixed\r\n\rdata: b\n\r\n",
        b": comment\n\n\n\nid: 1\nretry: 5\ndata: z\n\n",
        b"data: \xf0\x9f\x98\x80 \xff\n\n",
        b"data: unterminated",
        b"data: [DONE]\n",
        b"{\n  \"error\": {\"code\": 429}\n}",
        b"\r\n\r\n\n\r\r",
    ];
    for input in inputs {
        let whole = decode(&[input]);
        for at in 0..=input.len() {
            assert_eq!(decode(&[&input[..at], &input[at..]]), whole, "{:?} at {at}", String::from_utf8_lossy(input));
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(decode(&bytes), whole);
    }
}

#[test]
fn a_carriage_return_at_the_end_of_a_chunk_does_not_hold_the_event_back() {
    let mut decoder = Decoder::new();
    decoder.push("data: x\r\r".into());
    assert_eq!(decoder.next_frame().unwrap(), Some(event("", "x")));
    decoder.push("\ndata: y\n\n".into());
    assert_eq!(decoder.next_frame().unwrap(), Some(event("", "y")));
}

#[test]
fn the_rest_is_evidence_and_no_event() {
    let mut decoder = Decoder::new();
    decoder.push("data: [DONE]".into());
    assert_eq!(decoder.next_frame().unwrap(), None);
    decoder.finish();
    let Some(Frame::Event(rest)) = decoder.next_frame().unwrap() else { panic!("nothing") };
    assert!(!rest.complete && rest.data == "[DONE]");
    assert_eq!(decoder.next_frame().unwrap(), None);
}

#[test]
fn an_event_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: abc\n\n");
    let mut decoder = Decoder::new();
    decoder.push(chunk.clone());
    let Some(Frame::Event(event)) = decoder.next_frame().unwrap() else { panic!("no event") };
    assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr());
}

#[test]
fn what_grows_beyond_the_limit_is_refused_and_let_go() {
    for input in [&b"data: 0123456789"[..], b"data: 01234\ndata: 56789\n", b": 0123456789", b"event: 0123456\ndata: 789\n\n"] {
        for size in 1..=input.len() {
            let mut decoder = Decoder::with_limit(9);
            let mut failed = false;
            for chunk in input.chunks(size) {
                decoder.push(Bytes::copy_from_slice(chunk));
                loop {
                    match decoder.next_frame() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => {
                            failed = true;
                            assert_eq!(error.to_string(), "a server-sent event is larger than 9 bytes");
                            break;
                        }
                    }
                }
            }
            assert!(failed, "{:?} in pieces of {size}", String::from_utf8_lossy(input));
            decoder.push("data: x\n\n".into());
            assert_eq!(decoder.next_frame(), Ok(None));
            assert!(decoder.line.capacity() == 0 && decoder.input.is_empty());
        }
    }
}

#[test]
fn a_large_event_in_small_pieces_arrives_whole() {
    let mut decoder = Decoder::new();
    let piece = Bytes::from(vec![b'x'; 1000]);
    decoder.push("data: ".into());
    for _ in 0..16_000 {
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.push(piece.clone());
    }
    assert_eq!(decoder.next_frame(), Ok(None));
    decoder.push("\n\n".into());
    let Ok(Some(Frame::Event(event))) = decoder.next_frame() else { panic!("no event") };
    assert_eq!(event.data.len(), 16_000_000);
}

#[test]
fn what_is_encoded_is_decoded() {
    for data in ["", "a", "a\nb", "a\n\n", "\n", " a", "{\"x\":1}"] {
        let event = Event { id: Some("9".into()), retry: Some(Duration::from_millis(3)), ..Event::new("n", data) };
        assert_eq!(decode(&[&event.encode()]), [Frame::Event(event)]);
    }
    assert_eq!(Event::new("a\nb", "x\r\ny\rz").encode(), "event: ab\ndata: x\ndata: y\ndata: z\n\n");
}
