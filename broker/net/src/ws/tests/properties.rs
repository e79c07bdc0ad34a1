//! Whatever is sent arrives, however it is cut.

use proptest::prelude::*;

use super::*;

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..9000);
    let text = (any::<u8>(), 0usize..100_000).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![noise, text]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_of_any_messages_decodes_to_them(
        messages in proptest::collection::vec((payload(), any::<bool>(), 1usize..5000), 0..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut raw = Vec::new();
        let mut sent = Vec::new();
        for (message, packed, step) in &messages {
            raw.extend(if *packed { deflated(message, *step) } else { fragments(opcode::BINARY, message, *step) });
            raw.extend(frame(FIN | opcode::PING, b"?"));
            sent.extend_from_slice(message);
        }
        let outcome = decode(deflating(), &pieces(&raw, &cuts));
        prop_assert_eq!(outcome.error, None);
        prop_assert!(outcome.plain == sent);
        prop_assert_eq!(outcome.wire, b"\x8a\x01?".repeat(messages.len()));
    }

    #[test]
    fn what_a_server_encodes_a_client_decodes(
        message in payload(), deflate: bool, browser: bool, whole_deflated: bool,
    ) {
        let options = WsOptions { deflate, browser, whole_deflated, ..WsOptions::default() };
        let mut wire = Vec::new();
        WebSocket::new(options).encode(&message, &mut wire);
        let outcome = decode(options, &[&as_client(&wire)]);
        prop_assert_eq!(outcome.error, None);
        prop_assert!(outcome.plain == message);
    }

    #[test]
    fn garbage_decodes_alike_however_it_is_split(
        raw in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x82), Just(0xc2), Just(0x80), Just(0x85)], 0..400),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        prop_assert_eq!(decode(deflating(), &[&raw]), decode(deflating(), &pieces(&raw, &cuts)));
    }

    #[test]
    fn unmasking_in_parts_is_unmasking(bytes in proptest::collection::vec(any::<u8>(), 0..100), mask: [u8; 4], cut in any::<prop::sample::Index>()) {
        let expected: Vec<u8> = bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let mut parts = bytes;
        let (left, right) = parts.split_at_mut(cut.index(expected.len() + 1));
        let next = unmask(left, mask);
        unmask(right, next);
        prop_assert_eq!(parts, expected);
    }
}

fn pieces<'a>(raw: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(raw.len() + 1))
        .chain([raw.len()])
        .collect();
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| &raw[std::mem::replace(&mut start, end)..end])
        .collect()
}
