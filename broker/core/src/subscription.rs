//! One subscription of one connection.

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::conn::Conn;

/// A subscription, owned by its connection's worker.
pub struct Subscription {
    conn: Rc<Conn>,
    /// Filter, queue and id in one allocation: with many idle connections they are most of the memory.
    text: Box<[u8]>,
    filter_len: u32,
    /// Length of the queue name plus one; 0: no queue.
    queue_len: u32,
    /// Deliveries after which it ends; 0: never.
    max: Cell<u64>,
    delivered: Cell<u64>,
    /// Where the interest's list holds it.
    place: Cell<u32>,
    closed: Cell<bool>,
}

/// A subscription that a set finds by what its client calls it: the id is not kept twice.
pub(crate) struct ById(pub(crate) Rc<Subscription>);

impl Borrow<[u8]> for ById {
    fn borrow(&self) -> &[u8] {
        self.0.id()
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Subscription {
    pub fn new(conn: Rc<Conn>, filter: &[u8], queue: Option<&[u8]>, id: &[u8]) -> Rc<Self> {
        let text = [filter, queue.unwrap_or_default(), id]
            .concat()
            .into_boxed_slice();
        Rc::new(Self {
            conn,
            text,
            filter_len: filter.len() as u32,
            queue_len: queue.map_or(0, |queue| queue.len() as u32 + 1),
            max: Cell::new(0),
            delivered: Cell::new(0),
            place: Cell::new(0),
            closed: Cell::new(false),
        })
    }

    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    pub fn filter(&self) -> &[u8] {
        &self.text[..self.filter_len as usize]
    }

    pub fn queue(&self) -> Option<&[u8]> {
        let len = (self.queue_len as usize).checked_sub(1)?;
        Some(&self.text[self.filter_len as usize..self.filter_len as usize + len])
    }

    /// What the client calls it.
    #[inline]
    pub fn id(&self) -> &[u8] {
        &self.text[self.filter_len as usize + (self.queue_len as usize).saturating_sub(1)..]
    }

    /// Messages delivered so far.
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Messages to deliver in all before it ends; 0: no limit.
    pub fn max(&self) -> u64 {
        self.max.get()
    }

    pub fn set_max(&self, max: u64) {
        self.max.set(max);
    }

    pub(crate) fn place(&self) -> usize {
        self.place.get() as usize
    }

    pub(crate) fn set_place(&self, place: usize) {
        self.place.set(place as u32);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get() || self.conn.is_closed()
    }

    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    /// How many of `offered` messages it still takes; they count as delivered.
    #[inline]
    pub(crate) fn take(&self, offered: usize) -> usize {
        let taken = match self.max.get() {
            0 => offered,
            max => offered.min(max.saturating_sub(self.delivered.get()) as usize),
        };
        self.delivered.set(self.delivered.get() + taken as u64);
        taken
    }

    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        self.max.get() != 0 && self.delivered.get() >= self.max.get()
    }
}
