//! The same figures as metrics.

use mainstem_admin::metrics::{Family, Value};

use super::snapshot::{AccountSnapshot, ServerSnapshot};

/// Metrics of the server and of each account. Accounts come from the configuration, so their number is bounded.
#[must_use]
pub fn families(server: &ServerSnapshot, accounts: &[AccountSnapshot]) -> Vec<Family> {
    let mut families = of_server(server);
    families.extend(of_accounts(accounts));
    families
}

fn of_server(server: &ServerSnapshot) -> Vec<Family> {
    let traffic = &server.traffic;
    let counter =
        |name: &'static str, help: &'static str, value: u64| Family::counter(name, help).with(&[], value);
    let gauge =
        |name: &'static str, help: &'static str, value: usize| Family::gauge(name, help).with(&[], value);
    let of_connections = "mainstem_nats_connections";
    vec![
        Family::gauge("mainstem_nats_info", "The NATS front: always 1.").with(
            &[
                ("server_id", server.server_id.as_str()),
                ("server_name", &server.server_name),
                ("version", &server.version),
            ],
            1_u64,
        ),
        gauge(of_connections, "Open client connections.", server.connections),
        gauge(
            "mainstem_nats_max_connections",
            "Client connections at most; 0: no limit.",
            server.nats.max_connections,
        ),
        gauge(
            "mainstem_nats_subscriptions",
            "Subscriptions.",
            server.subscriptions,
        ),
        counter(
            "mainstem_nats_connections_total",
            "Client connections accepted.",
            server.total_connections,
        ),
        counter(
            "mainstem_nats_in_messages_total",
            "Messages received from clients.",
            traffic.in_messages,
        ),
        counter(
            "mainstem_nats_in_bytes_total",
            "Bytes of messages received from clients.",
            traffic.in_bytes,
        ),
        counter(
            "mainstem_nats_out_messages_total",
            "Messages delivered to clients.",
            traffic.out_messages,
        ),
        counter(
            "mainstem_nats_out_bytes_total",
            "Bytes of messages delivered to clients.",
            traffic.out_bytes,
        ),
        counter(
            "mainstem_nats_slow_consumers_total",
            "Clients cut for reading too slowly.",
            server.slow_consumers,
        ),
        counter(
            "mainstem_nats_stale_connections_total",
            "Clients cut for not answering PING.",
            server.stale_connections,
        ),
        counter(
            "mainstem_nats_stalled_publishers_total",
            "Times that a publisher was held back for a slow subscriber.",
            server.stalled_clients,
        ),
    ]
}

fn of_accounts(accounts: &[AccountSnapshot]) -> Vec<Family> {
    let family = |family: Family, value: fn(&AccountSnapshot) -> Value| {
        accounts.iter().fold(family, |family, account| {
            family.with(&[("account", &account.name)], value(account))
        })
    };
    vec![
        family(
            Family::gauge("mainstem_account_connections", "Open connections of an account."),
            |account| account.connections.into(),
        ),
        family(
            Family::gauge("mainstem_account_subscriptions", "Subscriptions of an account."),
            |account| account.interest.subscriptions.into(),
        ),
        family(
            Family::counter(
                "mainstem_account_in_messages_total",
                "Messages an account's clients sent.",
            ),
            |account| account.traffic.in_messages.into(),
        ),
        family(
            Family::counter("mainstem_account_in_bytes_total", "Bytes of those messages."),
            |account| account.traffic.in_bytes.into(),
        ),
        family(
            Family::counter(
                "mainstem_account_out_messages_total",
                "Messages an account's clients were sent.",
            ),
            |account| account.traffic.out_messages.into(),
        ),
        family(
            Family::counter("mainstem_account_out_bytes_total", "Bytes of those messages."),
            |account| account.traffic.out_bytes.into(),
        ),
    ]
}
