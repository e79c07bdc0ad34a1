//! One connection: the only file that does IO.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::BytesMut;
use mainstem_core::{BufferPool, Conn, ConnIo, Cut, MAX_SLICES, Outbound};
use mainstem_net::tls::TlsInfo;
use mainstem_net::upgrade::WsInfo;
use mainstem_net::{Accepted, Decoded, Transport};
use tokio::time::Sleep;
use wire_nats::encode;

use crate::encoder;
use crate::error::CloseReason;
use crate::handshake::Greeting;
use crate::local::{Local, Pair, READ_BYTES};
use crate::session::{Progress, Session};

/// Reads of one connection before others get their turn.
const READS_A_TURN: usize = 4;
/// How often a publisher that is held back looks again.
const STALL_CHECK: Duration = Duration::from_millis(1);

/// How long the last bytes to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What does not change about a connection.
pub struct Facts {
    pub peer: SocketAddr,
    pub start: Instant,
    pub started_at: SystemTime,
    pub tls: Option<Box<TlsInfo>>,
    pub ws: Option<Box<WsInfo>>,
    /// TLS began before INFO.
    pub tls_first: bool,
}

/// The front's half of a connection; the core's half is a [`Conn`].
pub struct Connection {
    pub(crate) local: Rc<Local>,
    conn: OnceCell<Weak<Conn>>,
    pub(crate) facts: Facts,
    pub(crate) session: RefCell<Session>,
    transport: RefCell<Transport>,
    input: RefCell<Input>,
    waker: RefCell<Option<Waker>>,
    /// The socket took less than there was.
    blocked_since: Cell<Option<Instant>>,
    /// When the timers look at a stuck write next.
    write_watch: Cell<Option<Instant>>,
    closing: RefCell<Option<CloseReason>>,
    /// The socket takes nothing any more.
    broken: Cell<bool>,
    /// What other workers sent before this connection's turn, and is not handled yet.
    must_reach: Cell<Option<usize>>,
    pub(crate) last_activity: Cell<Instant>,
    pub(crate) stalls: Cell<u64>,
}

/// Bytes of a command whose end has not come yet.
#[derive(Default)]
enum Input {
    #[default]
    Empty,
    /// Fits the worker's read buffer.
    Small(Vec<u8>),
    /// A message that does not: read in place, and delivered without another copy once `needs` bytes are there.
    Large { buffer: BytesMut, needs: usize },
}

impl Connection {
    /// Takes an accepted socket over and serves it until it ends.
    pub fn start(local: &Rc<Local>, accepted: Accepted<Greeting>) {
        let id = accepted
            .state
            .as_ref()
            .map_or_else(|| local.front.node.next_conn_id(), |state| state.id);
        let greeted = accepted.state.is_some();
        let nonce = accepted.state.map(|state| state.nonce);
        let transport = match Transport::new(accepted.stream, accepted.layers) {
            Ok(transport) => transport,
            Err(error) => {
                tracing::error!(peer = %accepted.peer, "cannot watch a connection: {error}");
                local.front.node.release(local.worker.index());
                return;
            }
        };
        let now = Instant::now();
        let facts = Facts {
            peer: accepted.peer,
            start: now,
            started_at: SystemTime::now(),
            tls_first: accepted.tls.is_some() && !greeted && accepted.ws.is_none(),
            tls: accepted.tls.map(Box::new),
            ws: accepted.ws.map(Box::new),
        };
        let connection = Rc::new(Self {
            local: Rc::clone(local),
            conn: OnceCell::new(),
            session: RefCell::new(Session::new(&local.front, nonce)),
            facts,
            transport: RefCell::new(transport),
            input: RefCell::new(if accepted.early.is_empty() {
                Input::Empty
            } else {
                Input::Small(accepted.early)
            }),
            waker: RefCell::default(),
            blocked_since: Cell::new(None),
            write_watch: Cell::new(None),
            closing: RefCell::default(),
            broken: Cell::new(false),
            must_reach: Cell::new(None),
            last_activity: Cell::new(now),
            stalls: Cell::new(0),
        });
        let account = local.front.node.accounts.global().id;
        let io = Box::new(Io(Rc::downgrade(&connection)));
        let conn = Conn::new(id, account, &encoder::WITHOUT_HEADERS, io);
        // Only set here.
        let _ = connection.conn.set(Rc::downgrade(&conn));
        local.worker.add(&conn);
        local.insert(Pair {
            conn: Rc::clone(&conn),
            connection: Rc::clone(&connection),
        });
        connection.open(&conn, greeted);
        tokio::task::spawn_local(serve(conn, connection));
    }

    /// A label for log lines, as nats-server's.
    pub fn label(&self, conn: &Conn) -> String {
        let kind = if self.facts.ws.is_some() { "wid" } else { "cid" };
        format!("{} - {kind}:{}", self.facts.peer, conn.id())
    }

    /// Ends the connection, soon; the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.closing.borrow_mut().get_or_insert(reason);
        self.wake();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// A flush has been stuck for longer than the write deadline; or when it will have been.
    pub(crate) fn write_deadline(&self) -> Option<Instant> {
        let deadline = Duration::from_millis(self.local.front.config.load().write_deadline_ms);
        Some(self.blocked_since.get()? + deadline)
    }

    fn poll(&self, conn: &Rc<Conn>, stall: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        for _ in 0..READS_A_TURN {
            if self.is_closing() {
                return Poll::Ready(());
            }
            if self.blocked_since.get().is_some() {
                self.poll_writable(conn, cx);
            }
            if self.is_clogged(conn) {
                return Poll::Pending;
            }
            self.must_reach
                .set(self.local.worker.drain_inbox(self.must_reach.get()));
            if self.must_reach.get().is_some() {
                break;
            }
            if self.session.borrow().is_paused() {
                ready!(crate::session::poll_resume(self, conn, cx));
                self.handle_rest(conn);
                continue;
            }
            if self.local.worker.is_stalled(conn) {
                return self.poll_stall(stall, cx);
            }
            match ready!(self.poll_read(conn, cx)) {
                Ok(()) => self.local.worker.finish_batch(),
                Err(reason) => {
                    self.local.worker.finish_batch();
                    self.close(reason);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Its answers are not taken: no more questions are, either. The socket's next readiness, or the write deadline,
    /// goes on from there.
    fn is_clogged(&self, conn: &Conn) -> bool {
        self.blocked_since.get().is_some()
            && (conn.pending_bytes() > self.local.front.node.limits.max_pending_bytes / 2
                || self.transport.borrow().has_much_wire())
    }

    fn poll_stall(&self, stall: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = stall.get_or_insert_with(|| {
            self.stalls.set(self.stalls.get() + 1);
            self.local.front.stalls.fetch_add(1, Ordering::Relaxed);
            Box::pin(tokio::time::sleep(STALL_CHECK))
        });
        ready!(sleep.as_mut().poll(cx));
        *stall = None;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_writable(&self, conn: &Rc<Conn>, cx: &mut Context<'_>) {
        loop {
            match self.transport.borrow().poll_writable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.close(CloseReason::Write(error.to_string())),
                Poll::Pending => return,
            }
            self.blocked_since.set(None);
            self.flush_wire(conn);
            self.local.worker.flush(conn);
            if self.blocked_since.get().is_none() {
                return;
            }
        }
    }

    /// One read and all commands it completed.
    fn poll_read(&self, conn: &Rc<Conn>, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        if self.transport.borrow().is_wrapped() {
            return self.poll_read_wrapped(conn, cx);
        }
        let input = self.input.take();
        match input {
            Input::Large { buffer, needs } => self.poll_read_large(buffer, needs, conn, cx),
            input => self.poll_read_small(input, conn, cx),
        }
    }

    fn poll_read_small(
        &self,
        input: Input,
        conn: &Rc<Conn>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CloseReason>> {
        let mut buffer = self.local.read_buffer.borrow_mut();
        let kept = match &input {
            Input::Small(bytes) => {
                buffer[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
            _ => 0,
        };
        let read = self.transport.borrow_mut().poll_read(cx, &mut buffer[kept..]);
        let Poll::Ready(read) = read else {
            *self.input.borrow_mut() = input;
            return Poll::Pending;
        };
        let count = read.map_err(read_error)?;
        if count == 0 {
            return Poll::Ready(Err(CloseReason::ClientClosed));
        }
        self.last_activity.set(Instant::now());
        let data = &buffer[..kept + count];
        let progress = crate::session::process(self, conn, data, None)?;
        self.keep(&data[progress.used..], &progress, input);
        Poll::Ready(Ok(()))
    }

    fn poll_read_large(
        &self,
        mut buffer: BytesMut,
        needs: usize,
        conn: &Rc<Conn>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CloseReason>> {
        let read = self.transport.borrow_mut().poll_read_buf(cx, &mut buffer);
        let Poll::Ready(read) = read else {
            *self.input.borrow_mut() = Input::Large { buffer, needs };
            return Poll::Pending;
        };
        if read.map_err(read_error)? == 0 {
            return Poll::Ready(Err(CloseReason::ClientClosed));
        }
        self.last_activity.set(Instant::now());
        if buffer.len() < needs {
            *self.input.borrow_mut() = Input::Large { buffer, needs };
            return Poll::Ready(Ok(()));
        }
        let data = buffer.freeze();
        let progress = crate::session::process(self, conn, &data, Some(&data))?;
        self.keep(&data[progress.used..], &progress, Input::Empty);
        Poll::Ready(Ok(()))
    }

    fn poll_read_wrapped(&self, conn: &Rc<Conn>, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let mut plain = match self.input.take() {
            Input::Small(kept) => kept,
            _ => self.local.plain.take(),
        };
        let kept = plain.len();
        let read = {
            let mut scratch = self.local.read_buffer.borrow_mut();
            self.transport
                .borrow_mut()
                .poll_read_wrapped(cx, &mut scratch, &mut plain)
        };
        let result = match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => Poll::Ready(self.handle_unwrapped(read, &mut plain, kept, conn)),
        };
        if !plain.is_empty() {
            *self.input.borrow_mut() = Input::Small(plain);
        } else if plain.capacity() <= 4 * READ_BYTES {
            *self.local.plain.borrow_mut() = plain;
        }
        result
    }

    fn handle_unwrapped(
        &self,
        read: io::Result<Decoded>,
        plain: &mut Vec<u8>,
        kept: usize,
        conn: &Rc<Conn>,
    ) -> Result<(), CloseReason> {
        // Answers of the layers (alerts, pongs) go out also when the bytes were bad.
        if self.transport.borrow().has_wire_bytes() {
            self.flush_wire(conn);
        }
        let decoded = read.map_err(read_error)?;
        self.last_activity.set(Instant::now());
        if plain.len() > kept {
            let progress = crate::session::process(self, conn, plain, None)?;
            plain.drain(..progress.used);
        }
        match decoded {
            Decoded::Open | Decoded::More => Ok(()),
            Decoded::Closed => Err(CloseReason::ClientClosed),
        }
    }

    fn flush_wire(&self, conn: &Conn) {
        match self.transport.borrow_mut().flush_wire() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.block(conn.id()),
            Err(error) => {
                self.broken.set(true);
                self.close(CloseReason::Write(error.to_string()));
            }
        }
    }

    /// Handles what was kept while the session was paused.
    fn handle_rest(&self, conn: &Rc<Conn>) {
        let kept = match self.input.take() {
            Input::Empty => return,
            Input::Small(bytes) => bytes,
            Input::Large { buffer, .. } => buffer.into(),
        };
        match crate::session::process(self, conn, &kept, None) {
            Ok(progress) => self.keep(&kept[progress.used..], &progress, Input::Empty),
            Err(reason) => self.close(reason),
        }
        self.local.worker.finish_batch();
    }

    /// Keeps the beginning of a command. `old` is what was kept before, for its buffer.
    fn keep(&self, rest: &[u8], progress: &Progress, old: Input) {
        if rest.is_empty() {
            return;
        }
        if progress.needs > READ_BYTES && !self.transport.borrow().is_wrapped() {
            let mut buffer = BytesMut::with_capacity(progress.needs.max(2 * rest.len()));
            buffer.extend_from_slice(rest);
            *self.input.borrow_mut() = Input::Large {
                buffer,
                needs: progress.needs,
            };
            return;
        }
        let mut small = match old {
            Input::Small(bytes) => bytes,
            _ => Vec::new(),
        };
        small.clear();
        small.extend_from_slice(rest);
        *self.input.borrow_mut() = Input::Small(small);
    }

    fn block(&self, id: u64) {
        if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
            self.watch_write(id);
            self.wake();
        }
    }

    /// Looks again when the write deadline has come; one outstanding look is enough, however often the socket fills.
    pub(crate) fn watch_write(&self, id: u64) {
        let now = Instant::now();
        if self.write_watch.get().is_some_and(|at| at > now) {
            return;
        }
        let deadline = self.write_deadline();
        self.write_watch.set(deadline);
        if let Some(deadline) = deadline {
            self.local.timers.schedule(deadline, id);
        }
    }

    fn write(&self, out: &mut Outbound, pool: &mut BufferPool) -> io::Result<()> {
        let mut transport = self.transport.borrow_mut();
        transport.flush_wire()?;
        while out.pending() > 0 {
            let count = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = out.slices(&mut slices);
                transport.try_write(&slices[..count])?
            };
            out.advance(count, pool);
        }
        // What is wrapped counts as written: nothing but this asks for the rest to be sent.
        if transport.has_wire_bytes() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    /// Takes the connection out of the core, and tells the client why.
    fn explain(&self, conn: &Rc<Conn>) {
        let reason = self.close_reason();
        if let Some(text) = reason.client_text() {
            self.local.worker.enqueue(conn, |out| encode::error(out, text));
        }
        self.local.worker.detach(conn);
        self.local.worker.finish_batch();
    }

    fn poll_farewell(&self, conn: &Rc<Conn>, cx: &mut Context<'_>) -> Poll<()> {
        let reason = self.close_reason();
        if reason.is_slow_consumer() || self.is_drained(conn) {
            return Poll::Ready(());
        }
        if self.blocked_since.get().is_none() {
            self.local.worker.flush(conn);
        }
        self.poll_writable(conn, cx);
        if self.is_drained(conn) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Nothing is left to write, or nothing can be written.
    fn is_drained(&self, conn: &Conn) -> bool {
        self.broken.get() || (conn.pending_bytes() == 0 && !self.transport.borrow().has_wire_bytes())
    }

    fn close_reason(&self) -> CloseReason {
        self.closing.borrow().clone().unwrap_or(CloseReason::ClientClosed)
    }

    /// Closes the socket and forgets everything.
    fn end(&self, conn: &Rc<Conn>) {
        let reason = self.close_reason();
        self.transport
            .borrow_mut()
            .close(reason.websocket_code(), reason.name());
        crate::session::closed(self, conn, &reason);
        conn.forget_pending();
        self.local.remove(conn.id());
        self.waker.take();
        self.input.take();
    }
}

/// Ends the connection also when its task panics.
struct EndGuard(Rc<Conn>, Rc<Connection>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.1.end(&self.0);
    }
}

async fn serve(conn: Rc<Conn>, connection: Rc<Connection>) {
    let _end = EndGuard(Rc::clone(&conn), Rc::clone(&connection));
    connection.handle_rest(&conn);
    let mut stall = None;
    std::future::poll_fn(|cx| connection.poll(&conn, &mut stall, cx)).await;
    connection.explain(&conn);
    // A peer that does not read its farewell does not keep the connection.
    let _ = tokio::time::timeout(
        FAREWELL,
        std::future::poll_fn(|cx| connection.poll_farewell(&conn, cx)),
    )
    .await;
}

fn read_error(error: io::Error) -> CloseReason {
    CloseReason::Read(error.to_string())
}

/// The core's handle to a connection; routes that remember a closed one keep no more of it than this.
struct Io(Weak<Connection>);

impl ConnIo for Io {
    fn flush(&self, out: &mut Outbound, pool: &mut BufferPool) {
        let Some(connection) = self.0.upgrade() else {
            return;
        };
        if connection.blocked_since.get().is_some() {
            return;
        }
        match connection.write(out, pool) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.block(
                    connection
                        .conn
                        .get()
                        .and_then(Weak::upgrade)
                        .map_or(0, |conn| conn.id()),
                );
            }
            Err(error) => {
                connection.broken.set(true);
                connection.close(CloseReason::Write(error.to_string()));
            }
        }
    }

    fn cut(&self, reason: Cut) {
        if let Some(connection) = self.0.upgrade() {
            connection.close(reason.into());
        }
    }

    fn no_responders(&self, subject: &[u8], reply: &[u8]) {
        let Some(connection) = self.0.upgrade() else {
            return;
        };
        if let Some(conn) = connection.conn.get().and_then(Weak::upgrade) {
            crate::session::no_responders(&connection, &conn, subject, reply);
        }
    }
}
