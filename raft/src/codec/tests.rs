use proptest::prelude::*;

use super::*;

fn log_id() -> impl Strategy<Value = LogId> {
    any::<(u64, u64, u64)>().prop_map(|(term, node_id, index)| LogId::new(LeaderId { term, node_id }, index))
}

fn membership() -> impl Strategy<Value = Membership> {
    let nodes = prop::collection::btree_map(any::<u64>(), "[a-z0-9:.]{0,20}", 1..6);
    (nodes, 1usize..3).prop_map(|(nodes, sets)| {
        let nodes: BTreeMap<_, _> = nodes
            .into_iter()
            .map(|(id, addr)| (id, BasicNode::new(addr)))
            .collect();
        let voters: BTreeSet<u64> = nodes.keys().copied().take(3).collect();
        Membership::new(vec![voters; sets], nodes).unwrap()
    })
}

fn payloads() -> impl Strategy<Value = EntryPayload<Data, u64, BasicNode>> {
    prop_oneof![
        Just(EntryPayload::Blank),
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|data| EntryPayload::Normal(Data(data.into()))),
        membership().prop_map(EntryPayload::Membership),
    ]
}

#[test]
fn an_entry_keeps_no_more_than_it_needs() {
    for len in [1, 100, 5000, 60_000] {
        let mut data = BytesMut::with_capacity(70_000);
        data.resize(len, 7);
        let entry = Entry::new(
            LogId::new(LeaderId { term: 1, node_id: 1 }, 1),
            EntryPayload::Normal(Data(data.freeze())),
        );
        let kept = encode_entry(entry).try_into_mut().unwrap().capacity();
        assert!(kept <= len * 5 / 4 + 200, "{kept} for {len}");
    }
}

proptest! {
    #[test]
    fn entries_round_trip(id in log_id(), payload in payloads()) {
        let entry = Entry::new(id, payload);
        let stored = encode_entry(entry.clone());
        prop_assert_eq!(decode_entry(id.index, &stored).unwrap(), entry.clone());
        prop_assert_eq!(decode_entry_id(id.index, &stored).unwrap(), id);
        let data = match entry.payload {
            EntryPayload::Normal(Data(data)) => data,
            _ => Bytes::new(),
        };
        prop_assert_eq!(super::payload(&stored), data);
    }

    #[test]
    fn votes_round_trip(term: u64, node_id: u64, committed: bool) {
        let vote = Vote { leader_id: LeaderId { term, node_id }, committed };
        prop_assert_eq!(decode_vote(&encode_vote(&vote)).unwrap(), vote);
    }

    #[test]
    fn log_ids_round_trip(id in log_id()) {
        prop_assert_eq!(decode_log_id(&encode_log_id(&id)).unwrap(), id);
    }

    #[test]
    fn what_was_applied_round_trips(last in prop::option::of(log_id()),
                                    id in prop::option::of(log_id()), members in membership()) {
        let applied = Applied { last, membership: StoredMembership::new(id, members) };
        prop_assert_eq!(decode_applied(&encode_applied(&applied)).unwrap(), applied);
    }

    #[test]
    fn other_bytes_are_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let stored = Bytes::from(bytes);
        let _ = decode_entry(1, &stored);
        let _ = decode_vote(&stored);
        let _ = decode_log_id(&stored);
        let _ = decode_applied(&stored);
    }

    #[test]
    fn a_replaced_payload_keeps_its_place(id in log_id(), old: Vec<u8>, new: Vec<u8>) {
        let stored = encode_entry(Entry::new(id, EntryPayload::Normal(Data(old.into()))));
        let replaced = replace_payload(&stored, &new).unwrap();
        prop_assert_eq!(super::payload(&replaced), new);
        prop_assert_eq!(decode_entry_id(id.index, &replaced).unwrap(), id);
    }
}

#[test]
fn nothing_applied_round_trips() {
    let applied = Applied::default();
    assert_eq!(decode_applied(&encode_applied(&applied)).unwrap(), applied);
}

#[test]
fn data_with_room_is_not_copied() {
    let mut data = BytesMut::with_capacity(100 + ROOM);
    data.put_bytes(7, 100);
    let data = data.freeze();
    let at = data.as_ptr();
    let id = LogId::new(LeaderId { term: 1, node_id: 1 }, 5);
    let stored = encode_entry(Entry::new(id, EntryPayload::Normal(Data(data))));
    assert_eq!(stored.as_ptr(), at);
    assert_eq!(payload(&stored).as_ptr(), at);
}
