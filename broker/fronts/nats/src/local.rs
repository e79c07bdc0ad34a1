//! The front's part of one worker: its connections, its read buffer, its timers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use mainstem_core::{Conn, Worker};

use crate::connection::Connection;
use crate::front::Front;
use crate::timers::Timers;

/// Bytes of one read.
pub const READ_BYTES: usize = 64 << 10;

/// A connection and its core half.
#[derive(Clone)]
pub struct Pair {
    pub conn: Rc<Conn>,
    pub connection: Rc<Connection>,
}

/// The front on one worker.
pub struct Local {
    pub worker: Rc<Worker>,
    pub front: Arc<Front>,
    pub timers: Timers,
    /// Every connection of this worker reads into it.
    pub read_buffer: RefCell<Box<[u8]>>,
    /// Protocol bytes that layers unwrapped.
    pub plain: RefCell<Vec<u8>>,
    pairs: RefCell<HashMap<u64, Pair>>,
}

thread_local! {
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

impl Local {
    /// Sets the front up on the calling worker's thread.
    pub fn install(worker: &Rc<Worker>, front: &Arc<Front>) {
        let local = Rc::new(Self {
            worker: Rc::clone(worker),
            front: Arc::clone(front),
            timers: Timers::default(),
            read_buffer: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            plain: RefCell::default(),
            pairs: RefCell::default(),
        });
        tokio::task::spawn_local(watch_timers(Rc::clone(&local)));
        LOCAL.set(Some(local));
    }

    /// The front on this thread; `None` on threads that are no workers, or before `install`.
    pub fn current() -> Option<Rc<Self>> {
        LOCAL.with_borrow(Clone::clone)
    }

    pub(crate) fn insert(&self, pair: Pair) {
        self.pairs.borrow_mut().insert(pair.conn.id(), pair);
    }

    pub(crate) fn remove(&self, id: u64) {
        self.pairs.borrow_mut().remove(&id);
    }

    /// The connection with this id.
    pub fn pair(&self, id: u64) -> Option<Pair> {
        self.pairs.borrow().get(&id).cloned()
    }

    /// All connections of this worker.
    pub fn pairs(&self) -> Vec<Pair> {
        self.pairs.borrow().values().cloned().collect()
    }
}

async fn watch_timers(local: Rc<Local>) {
    loop {
        let id = local.timers.next().await;
        if let Some(Pair { conn, connection }) = local.pair(id) {
            connection.on_timer(&conn);
            local.worker.finish_batch();
        }
    }
}
