//! Gathers snapshots of this front for monitoring.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use mainstem_admin::BoxFuture;
use mainstem_admin::process::{CpuPercent, usage};
use mainstem_core::{Conn, Subscription, Worker};

use crate::connection::Connection;
use crate::error::CloseReason;
use crate::front::{Front, NATS_VERSION};
use crate::local::Local;
use crate::monitor::snapshot::{
    AccountSnapshot, ClientKind, ConnSnapshot, End, InterestSnapshot, MonitoringAddress, PeerCertificate,
    ResourceUsage, ServerSnapshot, SubSnapshot, TlsSnapshot, Traffic,
};
use crate::monitor::{ConnectionsWanted, MonitorSource};

/// The front as monitoring sees it.
pub struct Collector {
    front: Arc<Front>,
    monitoring: MonitoringAddress,
    config_digest: String,
    cpu: CpuPercent,
}

impl Collector {
    pub fn new(front: Arc<Front>, monitoring: MonitoringAddress, config_digest: String) -> Self {
        Self {
            front,
            monitoring,
            config_digest,
            cpu: CpuPercent::start(),
        }
    }
}

impl MonitorSource for Collector {
    fn server(&self) -> BoxFuture<'_, ServerSnapshot> {
        Box::pin(async {
            let traffic = self.front.node.ask_all(worker_traffic).await;
            self.server_snapshot(sum(traffic))
        })
    }

    fn connections(&self, wanted: ConnectionsWanted) -> BoxFuture<'_, Vec<ConnSnapshot>> {
        Box::pin(async move {
            let mut all = Vec::new();
            if wanted.open {
                let subscriptions = wanted.subscriptions;
                let open = self
                    .front
                    .node
                    .ask_all(move |_| open_connections(subscriptions))
                    .await;
                all.extend(open.into_iter().flatten());
            }
            if wanted.closed {
                all.extend(self.front.closed());
            }
            if let Some(account) = wanted.account {
                all.retain(|conn| conn.account.as_ref() == Some(&account));
            }
            all
        })
    }

    fn subscriptions(&self, account: Option<String>) -> BoxFuture<'_, Vec<SubSnapshot>> {
        Box::pin(async move {
            let all = self.front.node.ask_all(|_| open_connections(true)).await;
            let subscriptions = all.into_iter().flatten().flat_map(|conn| conn.subscriptions);
            subscriptions
                .filter(|sub| account.as_ref().is_none_or(|account| sub.account == *account))
                .collect()
        })
    }

    fn accounts(&self) -> BoxFuture<'_, Vec<AccountSnapshot>> {
        Box::pin(async {
            let jetstream = self.front.jetstream();
            let jetstream = jetstream
                .map(|jetstream| jetstream.enabled_accounts())
                .unwrap_or_default();
            let mut snapshots = Vec::new();
            for account in self.front.node.accounts.all().iter() {
                let id = account.id;
                let traffic = self
                    .front
                    .node
                    .ask_all(move |worker| convert(worker.account_traffic(id)))
                    .await;
                snapshots.push(AccountSnapshot {
                    name: account.name.clone(),
                    updated: self.front.start,
                    is_system: account.name == self.front.system_account,
                    jetstream: jetstream.contains(&account.name),
                    connections: account.connections() as usize,
                    traffic: sum(traffic),
                    slow_consumers: 0,
                    interest: InterestSnapshot {
                        subscriptions: account.subscriptions() as usize,
                        ..InterestSnapshot::default()
                    },
                });
            }
            snapshots
        })
    }
}

impl Collector {
    fn server_snapshot(&self, traffic: Traffic) -> ServerSnapshot {
        let front = &self.front;
        let info = front.info(false);
        let usage = usage();
        let accounts = front.node.accounts.all();
        ServerSnapshot {
            server_id: front.server_id.clone(),
            server_name: front.server_name(),
            version: NATS_VERSION.to_owned(),
            git_commit: info.git_commit,
            toolchain: info.go,
            host: info.host,
            port: info.port,
            ip: info.ip,
            auth_required: info.auth_required,
            connect_urls: info.connect_urls,
            ws_connect_urls: front.listening().ws_connect_urls,
            nats: front.config.load().as_ref().clone(),
            max_pending_bytes: front.node.limits.max_pending_bytes,
            monitoring: self.monitoring.clone(),
            start: front.start,
            now: SystemTime::now(),
            usage: ResourceUsage {
                resident_bytes: usage.as_ref().map_or(0, |usage| usage.resident_bytes),
                cpu_percent: usage.as_ref().map_or(0.0, |usage| self.cpu.read(usage)),
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                workers: front.node.worker_count(),
            },
            connections: front.node.connections(),
            total_connections: front.total_connections.load(Ordering::Relaxed),
            traffic,
            slow_consumers: front.slow_consumers.load(Ordering::Relaxed),
            stale_connections: front.stale_connections.load(Ordering::Relaxed),
            stalled_clients: front.stalls.load(Ordering::Relaxed),
            subscriptions: accounts
                .iter()
                .map(|account| account.subscriptions() as usize)
                .sum(),
            config_load_time: front.start,
            config_digest: self.config_digest.clone(),
            tags: Vec::new(),
            metadata: Default::default(),
            system_account: Some(front.system_account.clone()),
            tls_cert_not_after: None,
            jetstream: front.jetstream().map(|jetstream| jetstream.varz()),
        }
    }
}

fn worker_traffic(worker: &Rc<Worker>) -> Traffic {
    let accounts = worker.node().accounts.all();
    sum(accounts
        .iter()
        .map(|account| convert(worker.account_traffic(account.id))))
}

fn sum(parts: impl IntoIterator<Item = Traffic>) -> Traffic {
    parts.into_iter().fold(Traffic::default(), |mut all, part| {
        all.in_messages += part.in_messages;
        all.in_bytes += part.in_bytes;
        all.out_messages += part.out_messages;
        all.out_bytes += part.out_bytes;
        all
    })
}

fn convert(traffic: mainstem_core::Traffic) -> Traffic {
    Traffic {
        in_messages: traffic.in_msgs,
        in_bytes: traffic.in_bytes,
        out_messages: traffic.out_msgs,
        out_bytes: traffic.out_bytes,
    }
}

/// Connections of the calling worker.
fn open_connections(subscriptions: bool) -> Vec<ConnSnapshot> {
    let pairs = Local::current().map(|local| local.pairs()).unwrap_or_default();
    pairs
        .iter()
        .map(|pair| snapshot(&pair.connection, &pair.conn, subscriptions))
        .collect()
}

/// A connection that ends now, for this reason.
pub(crate) fn closed(connection: &Connection, conn: &Rc<Conn>, reason: &CloseReason) -> ConnSnapshot {
    let end = End {
        at: SystemTime::now(),
        reason: reason.name(),
    };
    ConnSnapshot {
        end: Some(end),
        ..snapshot(connection, conn, false)
    }
}

fn snapshot(connection: &Connection, conn: &Rc<Conn>, subscriptions: bool) -> ConnSnapshot {
    let session = connection.session.borrow();
    let facts = &connection.facts;
    let account = session
        .identity
        .as_ref()
        .map(|identity| identity.account.name.clone());
    let subscriptions = if subscriptions {
        let name = account.as_deref().unwrap_or_default();
        conn.all_subscriptions()
            .iter()
            .map(|sub| subscription(sub, name, conn.id()))
            .collect()
    } else {
        Vec::new()
    };
    ConnSnapshot {
        cid: conn.id(),
        kind: if facts.ws.is_some() {
            ClientKind::Websocket
        } else {
            ClientKind::Nats
        },
        ip: facts.peer.ip().to_string(),
        port: facts.peer.port(),
        start: facts.started_at,
        last_activity: wall_clock(connection.last_activity.get()),
        end: None,
        rtt: session.rtt,
        pending_bytes: conn.pending_bytes(),
        traffic: convert(conn.traffic()),
        stalls: connection.stalls.get(),
        subscription_count: conn.subscription_count(),
        subscriptions,
        name: session.options.name.clone(),
        lang: session.options.lang.clone(),
        version: session.options.version.clone(),
        tls: facts.tls.as_ref().map(|tls| TlsSnapshot {
            version: tls.version.to_owned(),
            cipher_suite: tls.cipher.clone(),
            first: facts.tls_first,
            peer_certificates: tls.peer.iter().map(certificate).collect(),
        }),
        authorized_user: session.shown_user(),
        account,
        mqtt_client: None,
    }
}

fn certificate(peer: &mainstem_net::tls::PeerCertificate) -> PeerCertificate {
    PeerCertificate {
        subject: peer.subjects.last().cloned().unwrap_or_default(),
        spki_sha256: peer.spki_sha256.clone(),
        cert_sha256: peer.certificate_sha256.clone(),
    }
}

fn subscription(subscription: &Subscription, account: &str, cid: u64) -> SubSnapshot {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    SubSnapshot {
        account: account.to_owned(),
        subject: text(subscription.filter()),
        queue: subscription.queue().map(text),
        sid: text(subscription.id()),
        messages: subscription.delivered(),
        max: (subscription.max() > 0).then(|| subscription.max()),
        cid,
    }
}

fn wall_clock(instant: Instant) -> SystemTime {
    SystemTime::now()
        .checked_sub(instant.elapsed())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
