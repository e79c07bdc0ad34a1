//! The literal children of a trie node: a hash array mapped trie (Bagwell, "Ideal Hash Trees"), so that changing one
//! of 200,000 children copies a few small arrays and not the whole map.

use std::sync::{Arc, LazyLock};

use super::trie::Node;

const BITS: u32 = 5;
const MASK: u64 = (1 << BITS) - 1;
/// Past this the hash is used up, and equal hashes share a list.
const MAX_SHIFT: u32 = 60;

static HASHER: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);

/// Hash of a token; the seed changes with each process, so that clients cannot aim for collisions.
pub(super) fn hash(token: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = HASHER.build_hasher();
    hasher.write(token);
    hasher.finish()
}

#[derive(Clone)]
pub(super) struct Children<V>(Option<Arc<Branch<V>>>);

#[derive(Clone)]
struct Branch<V> {
    /// Bit i: a slot for hash bits i stands at the place that the lower bits count.
    bitmap: u32,
    slots: Vec<Slot<V>>,
}

#[derive(Clone)]
enum Slot<V> {
    Leaf(Arc<Node<V>>),
    Branch(Arc<Branch<V>>),
    /// Nodes whose whole hashes are equal.
    Equal(Vec<Arc<Node<V>>>),
}

impl<V> Children<V> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<&Node<V>> {
        let mut branch = self.0.as_deref()?;
        let hash = hash(token);
        let mut shift = 0;
        loop {
            match branch.slot(hash, shift)? {
                Slot::Leaf(node) => return (*node.token == *token).then_some(&**node),
                Slot::Equal(nodes) => {
                    return nodes
                        .iter()
                        .find(|node| *node.token == *token)
                        .map(|node| &**node);
                }
                Slot::Branch(next) => branch = next,
            }
            shift += BITS;
        }
    }
}

impl<V: Clone> Children<V> {
    pub(super) fn get_or_insert(&mut self, token: &[u8]) -> &mut Node<V> {
        let branch = self.0.get_or_insert_with(|| {
            Arc::new(Branch {
                bitmap: 0,
                slots: Vec::new(),
            })
        });
        Branch::get_or_insert(branch, token, hash(token), 0)
    }

    pub(super) fn remove(&mut self, token: &[u8]) {
        if let Some(branch) = &mut self.0
            && Branch::remove(branch, token, hash(token), 0)
        {
            self.0 = None;
        }
    }
}

impl<V> Branch<V> {
    fn place(&self, bit: u32) -> usize {
        (self.bitmap & (bit - 1)).count_ones() as usize
    }

    fn slot(&self, hash: u64, shift: u32) -> Option<&Slot<V>> {
        let bit = bit(hash, shift);
        (self.bitmap & bit != 0).then(|| &self.slots[self.place(bit)])
    }
}

impl<V: Clone> Branch<V> {
    fn get_or_insert<'a>(this: &'a mut Arc<Self>, token: &[u8], hash: u64, shift: u32) -> &'a mut Node<V> {
        let this = Arc::make_mut(this);
        let bit = bit(hash, shift);
        let place = this.place(bit);
        if this.bitmap & bit == 0 {
            this.bitmap |= bit;
            this.slots.reserve_exact(1);
            this.slots
                .insert(place, Slot::Leaf(Arc::new(Node::new(token, hash))));
        } else {
            this.slots[place].make_room(token, hash, shift);
        }
        match &mut this.slots[place] {
            Slot::Leaf(node) => Arc::make_mut(node),
            Slot::Branch(next) => Self::get_or_insert(next, token, hash, shift + BITS),
            Slot::Equal(nodes) => {
                let at = nodes
                    .iter()
                    .position(|node| *node.token == *token)
                    .unwrap_or_else(|| {
                        nodes.push(Arc::new(Node::new(token, hash)));
                        nodes.len() - 1
                    });
                Arc::make_mut(&mut nodes[at])
            }
        }
    }

    /// Takes the node away; true when nothing is left.
    fn remove(this: &mut Arc<Self>, token: &[u8], hash: u64, shift: u32) -> bool {
        let bit = bit(hash, shift);
        if this.bitmap & bit == 0 {
            return false;
        }
        let this = Arc::make_mut(this);
        let place = this.place(bit);
        let emptied = match &mut this.slots[place] {
            Slot::Leaf(node) => *node.token == *token,
            Slot::Branch(next) => Self::remove(next, token, hash, shift + BITS),
            Slot::Equal(nodes) => {
                nodes.retain(|node| *node.token != *token);
                nodes.is_empty()
            }
        };
        if emptied {
            this.slots.remove(place);
            this.bitmap &= !bit;
        }
        this.slots.is_empty()
    }
}

impl<V> Slot<V> {
    /// A leaf of another token goes one level down, or into a list when the hash is used up.
    fn make_room(&mut self, token: &[u8], hash: u64, shift: u32) {
        let Slot::Leaf(other) = self else { return };
        if *other.token == *token {
            return;
        }
        let other = Arc::clone(other);
        *self = if shift >= MAX_SHIFT || other.hash == hash {
            Slot::Equal(vec![other])
        } else {
            let bitmap = bit(other.hash, shift + BITS);
            Slot::Branch(Arc::new(Branch {
                bitmap,
                slots: vec![Slot::Leaf(other)],
            }))
        };
    }
}

fn bit(hash: u64, shift: u32) -> u32 {
    1 << ((hash >> shift) & MASK)
}
