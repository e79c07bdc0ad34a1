//! `/connz`: connections, open and closed.

use std::time::SystemTime;

use mainstem_core::config::GLOBAL_ACCOUNT;
use mainstem_core::subject;
use serde::Serialize;

use super::connz_options::{ConnState, ConnzOptions, Subscriptions};
use super::format::{is_default, rtt, timestamp, uptime};
use super::snapshot::{ClientKind, ConnSnapshot, PeerCertificate, SubSnapshot};
use super::subsz::SubDetail;

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Connz {
    server_id: String,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<ConnInfo>,
}

#[derive(Clone, Debug, Serialize)]
struct ConnInfo {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    client_type: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    #[serde(skip_serializing_if = "is_default")]
    stalls: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(flatten)]
    tls: Option<TlsInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt_client: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct TlsInfo {
    tls_version: String,
    tls_cipher_suite: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<PeerCertInfo>,
    #[serde(skip_serializing_if = "is_default")]
    tls_first: bool,
}

#[derive(Clone, Debug, Serialize)]
struct PeerCertInfo {
    subject: String,
    spki_sha256: String,
    cert_sha256: String,
}

/// Picks, orders and pages `connections`.
#[must_use]
pub fn connz(
    server_id: &str,
    now: SystemTime,
    mut connections: Vec<ConnSnapshot>,
    options: &ConnzOptions,
) -> Connz {
    connections.retain(|connection| belongs(connection, options));
    let total = connections.len();
    connections.retain(|connection| matches(connection, options));
    options.sort.apply(&mut connections, now);
    let page = connections.into_iter().skip(options.offset).take(options.limit);
    let connections: Vec<ConnInfo> = page
        .map(|connection| describe(connection, now, options))
        .collect();
    Connz {
        server_id: server_id.into(),
        now: timestamp(now),
        num_connections: connections.len(),
        total,
        offset: options.offset,
        limit: options.limit,
        connections,
    }
}

/// What counts for `total`: state and account.
fn belongs(connection: &ConnSnapshot, options: &ConnzOptions) -> bool {
    let state = match options.state {
        ConnState::Open => connection.end.is_none(),
        ConnState::Closed => connection.end.is_some(),
        ConnState::Any => true,
    };
    state && (options.account.is_none() || options.account == connection.account)
}

fn matches(connection: &ConnSnapshot, options: &ConnzOptions) -> bool {
    let reached = |filter: &String| {
        let subscriptions = &connection.subscriptions;
        subscriptions
            .iter()
            .any(|sub| subject::collide(filter.as_bytes(), sub.subject.as_bytes()))
    };
    if let Some(cid) = options.cid {
        return connection.cid == cid;
    }
    (options.user.is_none() || options.user == connection.authorized_user)
        && (options.mqtt_client.is_none() || options.mqtt_client == connection.mqtt_client)
        && options.filter_subject.as_ref().is_none_or(reached)
}

fn describe(connection: ConnSnapshot, now: SystemTime, options: &ConnzOptions) -> ConnInfo {
    // A closed connection is shown as it was when it ended.
    let until = connection.end.as_ref().map_or(now, |end| end.at);
    let (subscriptions_list, subscriptions_list_detail) = subscriptions(&connection, options.subscriptions);
    let auth = options.auth;
    let account = connection.account.filter(|_| auth);
    let closed = connection.end.is_some();
    ConnInfo {
        cid: connection.cid,
        kind: "Client",
        client_type: match connection.kind {
            ClientKind::Nats => "nats",
            ClientKind::Websocket => "websocket",
            ClientKind::Mqtt => "mqtt",
        },
        ip: connection.ip,
        port: connection.port,
        start: timestamp(connection.start),
        last_activity: timestamp(connection.last_activity),
        stop: connection.end.as_ref().map(|end| timestamp(end.at)),
        reason: connection.end.map(|end| end.reason),
        rtt: rtt(connection.rtt),
        uptime: uptime(connection.start, until),
        idle: uptime(connection.last_activity, until),
        pending_bytes: connection.pending_bytes,
        in_msgs: connection.traffic.in_messages,
        out_msgs: connection.traffic.out_messages,
        in_bytes: connection.traffic.in_bytes,
        out_bytes: connection.traffic.out_bytes,
        stalls: connection.stalls,
        subscriptions: connection.subscription_count,
        name: connection.name,
        lang: connection.lang,
        version: connection.version,
        tls: connection.tls.map(|tls| TlsInfo {
            tls_version: tls.version,
            tls_cipher_suite: tls.cipher_suite,
            tls_peer_certs: if auth && !closed {
                tls.peer_certificates.into_iter().map(certificate).collect()
            } else {
                Vec::new()
            },
            tls_first: tls.first,
        }),
        authorized_user: connection.authorized_user.filter(|_| auth),
        // The account's name stands under two keys, and the global account only under the second, once it is
        // closed under none.
        name_tag: account.clone().filter(|name| !closed || name != GLOBAL_ACCOUNT),
        account: account.filter(|name| name != GLOBAL_ACCOUNT),
        subscriptions_list,
        subscriptions_list_detail,
        mqtt_client: connection.mqtt_client,
    }
}

fn subscriptions(connection: &ConnSnapshot, shown: Subscriptions) -> (Vec<String>, Vec<SubDetail>) {
    let detail = |subscription: &SubSnapshot| match connection.end {
        // Only the record of a closed connection names the account with each subscription.
        Some(_) => SubDetail::with_account(subscription),
        None => SubDetail::new(subscription),
    };
    match shown {
        Subscriptions::None => (Vec::new(), Vec::new()),
        Subscriptions::Subjects => (
            connection
                .subscriptions
                .iter()
                .map(|s| s.subject.clone())
                .collect(),
            Vec::new(),
        ),
        Subscriptions::Details => (Vec::new(), connection.subscriptions.iter().map(detail).collect()),
    }
}

fn certificate(certificate: PeerCertificate) -> PeerCertInfo {
    PeerCertInfo {
        subject: certificate.subject,
        spki_sha256: certificate.spki_sha256,
        cert_sha256: certificate.cert_sha256,
    }
}
