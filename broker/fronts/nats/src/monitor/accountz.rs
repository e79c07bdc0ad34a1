//! `/accountz` and `/accstatz`: accounts and their traffic.

use std::time::SystemTime;

use serde::Serialize;

use super::BadRequest;
use super::format::{is_default, timestamp};
use super::snapshot::{AccountSnapshot, ServerSnapshot};
use super::subsz::SublistStats;

/// The answer of `/accountz`: names, or one account.
#[derive(Clone, Debug, Serialize)]
pub struct Accountz {
    server_id: String,
    now: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<AccountInfo>,
}

#[derive(Clone, Debug, Serialize)]
struct AccountInfo {
    account_name: String,
    update_time: String,
    #[serde(skip_serializing_if = "is_default")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: usize,
    client_connections: usize,
    subscriptions: usize,
    name_tag: String,
    sublist_stats: SublistStats,
}

/// The answer of `/accstatz`.
#[derive(Clone, Debug, Serialize)]
pub struct AccountStatz {
    server_id: String,
    now: String,
    account_statz: Vec<AccountStat>,
}

#[derive(Clone, Debug, Serialize)]
struct AccountStat {
    acc: String,
    name: String,
    conns: usize,
    leafnodes: usize,
    total_conns: usize,
    num_subscriptions: usize,
    sent: DataStats,
    received: DataStats,
    slow_consumers: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct DataStats {
    #[serde(flatten)]
    all: MsgBytes,
    gateways: MsgBytes,
    routes: MsgBytes,
    leafs: MsgBytes,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct MsgBytes {
    msgs: u64,
    bytes: u64,
}

/// All names, or one account's details; an unknown name is an error.
pub fn accountz(
    server: &ServerSnapshot,
    now: SystemTime,
    accounts: &[AccountSnapshot],
    wanted: Option<&str>,
) -> Result<Accountz, BadRequest> {
    let mut answer = Accountz {
        server_id: server.server_id.clone(),
        now: timestamp(now),
        system_account: server.system_account.clone(),
        accounts: Vec::new(),
        account_detail: None,
    };
    match wanted {
        None => answer.accounts = accounts.iter().map(|account| account.name.clone()).collect(),
        Some(name) => {
            let account = accounts.iter().find(|account| account.name == name);
            let account = account.ok_or_else(|| BadRequest(format!("Account {name} does not exist")))?;
            answer.account_detail = Some(detail(account));
        }
    }
    Ok(answer)
}

fn detail(account: &AccountSnapshot) -> AccountInfo {
    AccountInfo {
        account_name: account.name.clone(),
        update_time: timestamp(account.updated),
        is_system: account.is_system,
        expired: false,
        complete: true,
        jetstream_enabled: account.jetstream,
        leafnode_connections: 0,
        client_connections: account.connections,
        subscriptions: account.interest.subscriptions,
        name_tag: account.name.clone(),
        sublist_stats: SublistStats::sum([&account.interest].into_iter()),
    }
}

/// Traffic of the accounts that have connections, or of all.
#[must_use]
pub fn accstatz(
    server_id: &str,
    now: SystemTime,
    accounts: &[AccountSnapshot],
    unused: bool,
) -> AccountStatz {
    let shown = accounts
        .iter()
        .filter(|account| unused || account.connections > 0);
    AccountStatz {
        server_id: server_id.into(),
        now: timestamp(now),
        account_statz: shown.map(traffic).collect(),
    }
}

fn traffic(account: &AccountSnapshot) -> AccountStat {
    let traffic = &account.traffic;
    AccountStat {
        acc: account.name.clone(),
        name: account.name.clone(),
        conns: account.connections,
        leafnodes: 0,
        total_conns: account.connections,
        num_subscriptions: account.interest.subscriptions,
        sent: DataStats::clients(traffic.out_messages, traffic.out_bytes),
        received: DataStats::clients(traffic.in_messages, traffic.in_bytes),
        slow_consumers: account.slow_consumers,
    }
}

impl DataStats {
    fn clients(msgs: u64, bytes: u64) -> Self {
        let none = MsgBytes::default();
        Self {
            all: MsgBytes { msgs, bytes },
            gateways: none,
            routes: none,
            leafs: none,
        }
    }
}
