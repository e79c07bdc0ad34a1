//! What Raft keeps on disk, as bytes: entries, votes, log ids and memberships. Each form ends or begins with its
//! version; numbers are little-endian.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use openraft::{BasicNode, EntryPayload};

use crate::types::{Data, Entry, LeaderId, LogId, Membership, StoredMembership, Vote};

/// The version that is written.
const VERSION: u8 = 1;

/// Bytes that an entry has behind its data: node `u64`, term `u64`, kind `u8`, version `u8`. They stand at the end so
/// that data with that much spare capacity is stored without being copied.
pub const ROOM: usize = 18;

/// Bounds of what is decoded, so that damage can not ask for memory.
const MAX_SETS: usize = 16;
const MAX_NODES: usize = 1024;

/// The bytes are not what this version writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Blank = 0,
    Normal = 1,
    Membership = 2,
}

/// The data that was proposed, in an entry as the log returns it: a slice. Empty if the entry is Raft's own.
pub fn payload(stored: &Bytes) -> Bytes {
    match split(stored) {
        Ok((data, trailer)) if trailer.kind == Kind::Normal => stored.slice(..data),
        _ => Bytes::new(),
    }
}

/// The entry with other data in it, for a log that drops what nobody needs any more. `None` if the entry is Raft's own:
/// below a purge point nobody needs it.
pub fn replace_payload(stored: &Bytes, data: &[u8]) -> Option<Bytes> {
    let (end, trailer) = split(stored).ok()?;
    if trailer.kind != Kind::Normal {
        return None;
    }
    let mut replaced = BytesMut::with_capacity(data.len() + ROOM);
    replaced.put_slice(data);
    replaced.put_slice(&stored[end..]);
    Some(replaced.freeze())
}

struct Trailer {
    leader: LeaderId,
    kind: Kind,
}

/// Where the data ends, and what stands behind it.
fn split(stored: &[u8]) -> Result<(usize, Trailer), Malformed> {
    let end = stored
        .len()
        .checked_sub(ROOM)
        .ok_or(Malformed("an entry is too short"))?;
    let mut trailer = &stored[end..];
    let (node_id, term) = (trailer.get_u64_le(), trailer.get_u64_le());
    let (kind, version) = (trailer.get_u8(), trailer.get_u8());
    if version != VERSION {
        return Err(Malformed("an entry has an unknown version"));
    }
    let kind = match kind {
        0 => Kind::Blank,
        1 => Kind::Normal,
        2 => Kind::Membership,
        _ => return Err(Malformed("an entry has an unknown kind")),
    };
    Ok((
        end,
        Trailer {
            leader: LeaderId { term, node_id },
            kind,
        },
    ))
}

/// The stored form of an entry. Takes the data's own buffer where nobody else holds it and it has the room.
pub fn encode_entry(entry: Entry) -> Bytes {
    let leader = entry.log_id.leader_id;
    let (kind, mut buffer) = match entry.payload {
        EntryPayload::Blank => (Kind::Blank, BytesMut::with_capacity(ROOM)),
        EntryPayload::Normal(Data(data)) => (Kind::Normal, writable(data)),
        EntryPayload::Membership(membership) => {
            let mut buffer = BytesMut::new();
            put_membership(&mut buffer, &membership);
            (Kind::Membership, buffer)
        }
    };
    buffer.put_u64_le(leader.node_id);
    buffer.put_u64_le(leader.term);
    buffer.put_u8(kind as u8);
    buffer.put_u8(VERSION);
    buffer.freeze()
}

/// Spare room that is not worth a copy.
const SPARE_BYTES: usize = 64;

/// The log keeps the buffer as long as it keeps the entry, and counts what is in it: one that is mostly empty is not kept.
fn writable(data: Bytes) -> BytesMut {
    let fits = |buffer: &BytesMut| {
        let spare = buffer.capacity() - buffer.len();
        (ROOM..=ROOM + SPARE_BYTES.max(buffer.len() / 4)).contains(&spare)
    };
    match data.try_into_mut() {
        Ok(buffer) if fits(&buffer) => buffer,
        Ok(buffer) => copied(&buffer),
        Err(shared) => copied(&shared),
    }
}

fn copied(data: &[u8]) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(data.len() + ROOM);
    buffer.put_slice(data);
    buffer
}

/// An entry from its stored form; data is a slice of it.
pub fn decode_entry(index: u64, stored: &Bytes) -> Result<Entry, Malformed> {
    let (end, trailer) = split(stored)?;
    let payload = match trailer.kind {
        Kind::Blank => EntryPayload::Blank,
        Kind::Normal => EntryPayload::Normal(Data(stored.slice(..end))),
        Kind::Membership => {
            let mut bytes = &stored[..end];
            EntryPayload::Membership(whole(get_membership(&mut bytes)?, bytes)?)
        }
    };
    Ok(Entry::new(LogId::new(trailer.leader, index), payload))
}

/// The log id of a stored entry, without its data.
pub fn decode_entry_id(index: u64, stored: &[u8]) -> Result<LogId, Malformed> {
    split(stored).map(|(_, trailer)| LogId::new(trailer.leader, index))
}

pub fn encode_vote(vote: &Vote) -> Bytes {
    let mut buffer = versioned(18);
    buffer.put_u64_le(vote.leader_id.term);
    buffer.put_u64_le(vote.leader_id.node_id);
    buffer.put_u8(u8::from(vote.committed));
    buffer.freeze()
}

pub fn decode_vote(mut bytes: &[u8]) -> Result<Vote, Malformed> {
    let from = &mut bytes;
    get_version(from)?;
    let (term, node_id) = (get_u64(from)?, get_u64(from)?);
    let committed = get_bool(from)?;
    whole(
        Vote {
            leader_id: LeaderId { term, node_id },
            committed,
        },
        from,
    )
}

pub fn encode_log_id(id: &LogId) -> Bytes {
    let mut buffer = versioned(25);
    put_log_id(&mut buffer, id);
    buffer.freeze()
}

pub fn decode_log_id(mut bytes: &[u8]) -> Result<LogId, Malformed> {
    let from = &mut bytes;
    get_version(from)?;
    let id = get_log_id(from)?;
    whole(id, from)
}

/// What a checkpoint says beside the machine's rows: the last entry in them, and the membership as of then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub last: Option<LogId>,
    pub membership: StoredMembership,
}

pub fn encode_applied(applied: &Applied) -> Bytes {
    let mut buffer = versioned(64);
    put_optional(&mut buffer, applied.last.as_ref());
    put_optional(&mut buffer, applied.membership.log_id().as_ref());
    put_membership(&mut buffer, applied.membership.membership());
    buffer.freeze()
}

pub fn decode_applied(mut bytes: &[u8]) -> Result<Applied, Malformed> {
    let from = &mut bytes;
    get_version(from)?;
    let last = get_optional(from)?;
    let membership_id = get_optional(from)?;
    let membership = StoredMembership::new(membership_id, get_membership(from)?);
    whole(Applied { last, membership }, from)
}

fn versioned(capacity: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(capacity);
    buffer.put_u8(VERSION);
    buffer
}

fn put_log_id(buffer: &mut BytesMut, id: &LogId) {
    buffer.put_u64_le(id.leader_id.term);
    buffer.put_u64_le(id.leader_id.node_id);
    buffer.put_u64_le(id.index);
}

fn put_optional(buffer: &mut BytesMut, id: Option<&LogId>) {
    buffer.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(buffer, id);
    }
}

fn put_count(buffer: &mut BytesMut, count: usize) {
    buffer.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_membership(buffer: &mut BytesMut, membership: &Membership) {
    let sets = membership.get_joint_config();
    put_count(buffer, sets.len());
    for set in sets {
        put_count(buffer, set.len());
        set.iter().for_each(|id| buffer.put_u64_le(*id));
    }
    put_count(buffer, membership.nodes().count());
    for (id, node) in membership.nodes() {
        buffer.put_u64_le(*id);
        put_count(buffer, node.addr.len());
        buffer.put_slice(node.addr.as_bytes());
    }
}

fn get_version(from: &mut &[u8]) -> Result<(), Malformed> {
    match from.try_get_u8() {
        Ok(VERSION) => Ok(()),
        Ok(_) => Err(Malformed("unknown version")),
        Err(_) => Err(CUT),
    }
}

const CUT: Malformed = Malformed("the bytes end too early");

fn get_u64(from: &mut &[u8]) -> Result<u64, Malformed> {
    from.try_get_u64_le().map_err(|_| CUT)
}

fn get_bool(from: &mut &[u8]) -> Result<bool, Malformed> {
    match from.try_get_u8() {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        Ok(_) => Err(Malformed("neither yes nor no")),
        Err(_) => Err(CUT),
    }
}

fn get_count(from: &mut &[u8], limit: usize) -> Result<usize, Malformed> {
    match from.try_get_u32_le() {
        Ok(count) if count as usize <= limit => Ok(count as usize),
        Ok(_) => Err(Malformed("more elements than there can be")),
        Err(_) => Err(CUT),
    }
}

fn get_log_id(from: &mut &[u8]) -> Result<LogId, Malformed> {
    let (term, node_id) = (get_u64(from)?, get_u64(from)?);
    Ok(LogId::new(LeaderId { term, node_id }, get_u64(from)?))
}

fn get_optional(from: &mut &[u8]) -> Result<Option<LogId>, Malformed> {
    if get_bool(from)? {
        get_log_id(from).map(Some)
    } else {
        Ok(None)
    }
}

fn get_membership(from: &mut &[u8]) -> Result<Membership, Malformed> {
    let mut sets = Vec::new();
    for _ in 0..get_count(from, MAX_SETS)? {
        let count = get_count(from, MAX_NODES)?;
        sets.push(
            (0..count)
                .map(|_| get_u64(from))
                .collect::<Result<BTreeSet<_>, _>>()?,
        );
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..get_count(from, MAX_NODES)? {
        let id = get_u64(from)?;
        let length = get_count(from, from.len())?;
        if from.len() < length {
            return Err(CUT);
        }
        let (addr, rest) = from.split_at(length);
        *from = rest;
        let addr = std::str::from_utf8(addr).map_err(|_| Malformed("an address is not UTF-8"))?;
        nodes.insert(id, BasicNode::new(addr));
    }
    if sets.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(sets, nodes).map_err(|_| Malformed("a membership that can not be"))
}

/// The value, if nothing is left over.
fn whole<T>(value: T, rest: &[u8]) -> Result<T, Malformed> {
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(Malformed("bytes are left over"))
    }
}

#[cfg(test)]
mod tests;
