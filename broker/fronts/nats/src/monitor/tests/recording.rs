//! Recorded answers of nats-server, read back into snapshots.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainstem_net::config::{ListenAddr, TlsConfig, WebsocketConfig};
use serde_json::Value;

use crate::config::NatsConfig;
use crate::monitor::snapshot::*;

pub(super) struct Recording {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) value: Value,
}

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        /// The recording of this name. Go escapes three characters that JSON leaves alone.
        pub(super) fn recording(name: &str) -> Recording {
            let (name, text) = match name {
                $($name => ($name, include_str!(concat!("../golden/", $name, ".json"))),)*
                other => panic!("no recording {other}"),
            };
            let text = text.trim_end().replace("\\u003e", ">").replace("\\u003c", "<").replace("\\u0026", "&");
            Recording { name, value: serde_json::from_str(&text).unwrap(), text }
        }
    };
}

recordings!(
    "accountz",
    "accountz_a",
    "accstatz",
    "accstatz_unused",
    "connz_any",
    "connz_auth_detail",
    "connz_auth_subs",
    "connz_cid0",
    "connz_closed",
    "connz_page",
    "connz_raw",
    "subsz_acc",
    "subsz_detail",
    "subsz_test",
    "varz",
    "varz_rich",
);

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn some_text(value: &Value) -> Option<String> {
    value.as_str().map(Into::into)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    number(value).try_into().unwrap()
}

fn port(value: &Value) -> u16 {
    number(value).try_into().unwrap()
}

fn millis(nanos: &Value) -> u64 {
    number(nanos) / 1_000_000
}

/// A time of 2026 or later in RFC 3339, by counting days.
pub(super) fn time(value: &Value) -> SystemTime {
    let text = value.as_str().unwrap();
    let part = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (year, month) = (part(0, 4), part(5, 7));
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let days: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum::<u64>()
        + lengths.iter().take(month as usize - 1).sum::<u64>()
        + part(8, 10)
        - 1;
    let seconds = days * 86_400 + part(11, 13) * 3600 + part(14, 16) * 60 + part(17, 19);
    let fraction = text[19..].trim_start_matches('.').trim_end_matches('Z');
    UNIX_EPOCH + Duration::new(seconds, format!("{fraction:0<9}").parse().unwrap())
}

fn rtt(value: &Value) -> Duration {
    let text = value.as_str().unwrap();
    let (digits, nanos) = match (text.strip_suffix("µs"), text.strip_suffix("ms")) {
        (Some(digits), _) => (digits, 1e3),
        (_, Some(digits)) => (digits, 1e6),
        _ => panic!("unexpected {text}"),
    };
    Duration::from_nanos((digits.parse::<f64>().unwrap() * nanos).round() as u64)
}

fn reason(name: &str) -> &'static str {
    let known = ["Client Closed", "Authentication Failure", "Protocol Violation"];
    known.into_iter().find(|known| *known == name).unwrap()
}

pub(super) fn account(name: &str, interest: InterestSnapshot) -> AccountSnapshot {
    AccountSnapshot {
        name: name.into(),
        updated: UNIX_EPOCH,
        is_system: false,
        jetstream: false,
        connections: 0,
        traffic: Traffic::default(),
        slow_consumers: 0,
        interest,
    }
}

impl Recording {
    /// Without the lines from `first` up to the next that is `last`.
    pub(super) fn without(mut self, first: &str, last: &str) -> Self {
        let mut skipping = false;
        let kept = self.text.lines().filter(|line| {
            skipping |= *line == first;
            let skip = skipping;
            skipping &= *line != last;
            !skip
        });
        self.text = kept.collect::<Vec<_>>().join("\n");
        self
    }

    pub(super) fn server_id(&self) -> String {
        text(&self.value["server_id"])
    }

    pub(super) fn now(&self) -> SystemTime {
        time(&self.value["now"])
    }

    pub(super) fn connections(&self) -> Vec<ConnSnapshot> {
        self.value["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| self.connection(value))
            .collect()
    }

    fn connection(&self, value: &Value) -> ConnSnapshot {
        let closed = !value["stop"].is_null();
        let account = some_text(&value["account"]).or_else(|| some_text(&value["name_tag"]));
        let mut subscriptions = self.subscriptions(&value["subscriptions_list_detail"]);
        subscriptions.extend(
            texts(&value["subscriptions_list"])
                .into_iter()
                .map(|subject| SubSnapshot {
                    subject,
                    account: account.clone().unwrap_or_default(),
                    ..SubSnapshot::default()
                }),
        );
        ConnSnapshot {
            cid: number(&value["cid"]),
            kind: if value["type"] == "websocket" {
                ClientKind::Websocket
            } else {
                ClientKind::Nats
            },
            ip: text(&value["ip"]),
            port: port(&value["port"]),
            start: time(&value["start"]),
            last_activity: time(&value["last_activity"]),
            end: closed.then(|| End {
                at: time(&value["stop"]),
                reason: reason(&text(&value["reason"])),
            }),
            rtt: Some(rtt(&value["rtt"])),
            pending_bytes: size(&value["pending_bytes"]),
            traffic: traffic(value),
            stalls: 0,
            subscription_count: size(&value["subscriptions"]),
            subscriptions,
            name: text(&value["name"]),
            lang: text(&value["lang"]),
            version: text(&value["version"]),
            tls: some_text(&value["tls_version"]).map(|version| TlsSnapshot {
                version,
                cipher_suite: text(&value["tls_cipher_suite"]),
                first: false,
                peer_certificates: Vec::new(),
            }),
            authorized_user: some_text(&value["authorized_user"]),
            account,
            mqtt_client: None,
        }
    }

    pub(super) fn subscriptions(&self, list: &Value) -> Vec<SubSnapshot> {
        let read = |value: &Value| SubSnapshot {
            account: text(&value["account"]),
            subject: text(&value["subject"]),
            queue: some_text(&value["qgroup"]),
            sid: text(&value["sid"]),
            messages: number(&value["msgs"]),
            max: value["max"].as_u64(),
            cid: number(&value["cid"]),
        };
        list.as_array().into_iter().flatten().map(read).collect()
    }

    pub(super) fn interest(&self, stats: &Value) -> InterestSnapshot {
        let cached = size(&stats["num_cache"]);
        let average = stats["avg_fanout"].as_f64().unwrap();
        InterestSnapshot {
            subscriptions: size(&stats["num_subscriptions"]),
            cached,
            inserts: number(&stats["num_inserts"]),
            removes: number(&stats["num_removes"]),
            matches: number(&stats["num_matches"]),
            cache_hits: (stats["cache_hit_rate"].as_f64().unwrap() * number(&stats["num_matches"]) as f64)
                as u64,
            max_fanout: size(&stats["max_fanout"]),
            total_fanout: (average * cached as f64) as usize,
        }
    }

    pub(super) fn accounts_by_name(&self) -> Vec<AccountSnapshot> {
        texts(&self.value["accounts"])
            .iter()
            .map(|name| account(name, InterestSnapshot::default()))
            .collect()
    }

    pub(super) fn account_traffic(&self) -> Vec<AccountSnapshot> {
        let read = |value: &Value| {
            let subscriptions = size(&value["num_subscriptions"]);
            AccountSnapshot {
                connections: size(&value["conns"]),
                traffic: Traffic {
                    in_messages: number(&value["received"]["msgs"]),
                    in_bytes: number(&value["received"]["bytes"]),
                    out_messages: number(&value["sent"]["msgs"]),
                    out_bytes: number(&value["sent"]["bytes"]),
                },
                ..account(
                    &text(&value["acc"]),
                    InterestSnapshot {
                        subscriptions,
                        ..InterestSnapshot::default()
                    },
                )
            }
        };
        self.value["account_statz"]
            .as_array()
            .unwrap()
            .iter()
            .map(read)
            .collect()
    }

    /// The counts by path, whose names must live as long as the program.
    pub(super) fn requests(&self) -> BTreeMap<&'static str, u64> {
        let known = [
            "/",
            "/varz",
            "/connz",
            "/subsz",
            "/accountz",
            "/accstatz",
            "/healthz",
        ];
        let stats = &self.value["http_req_stats"];
        known
            .into_iter()
            .filter_map(|path| Some((path, stats[path].as_u64()?)))
            .collect()
    }

    pub(super) fn server(&self) -> ServerSnapshot {
        let value = &self.value;
        ServerSnapshot {
            server_id: self.server_id(),
            server_name: text(&value["server_name"]),
            version: text(&value["version"]),
            git_commit: None,
            toolchain: text(&value["go"]),
            host: text(&value["host"]),
            port: port(&value["port"]),
            ip: None,
            auth_required: value["auth_required"] == true,
            connect_urls: Vec::new(),
            ws_connect_urls: Vec::new(),
            nats: self.configuration(),
            max_pending_bytes: size(&value["max_pending"]),
            monitoring: MonitoringAddress {
                host: text(&value["http_host"]),
                port: port(&value["http_port"]),
                tls: false,
                base_path: String::new(),
            },
            start: value["start"]
                .as_str()
                .map_or(UNIX_EPOCH, |_| time(&value["start"])),
            now: self.now(),
            usage: ResourceUsage {
                resident_bytes: number(&value["mem"]),
                cpu_percent: value["cpu"].as_f64().unwrap_or_default(),
                cores: size(&value["cores"]),
                workers: size(&value["gomaxprocs"]),
            },
            connections: size(&value["connections"]),
            total_connections: number(&value["total_connections"]),
            traffic: traffic(value),
            slow_consumers: number(&value["slow_consumers"]),
            stale_connections: number(&value["stale_connections"]),
            stalled_clients: number(&value["stalled_clients"]),
            subscriptions: size(&value["subscriptions"]),
            config_load_time: value["config_load_time"]
                .as_str()
                .map_or(UNIX_EPOCH, |_| time(&value["config_load_time"])),
            config_digest: text(&value["config_digest"]),
            tags: texts(&value["tags"]),
            metadata: value["metadata"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), text(v)))
                .collect(),
            system_account: some_text(&value["system_account"]),
            tls_cert_not_after: value["tls_cert_not_after"]
                .as_str()
                .map(|_| time(&value["tls_cert_not_after"])),
            jetstream: None,
        }
    }

    fn configuration(&self) -> NatsConfig {
        let value = &self.value;
        let websocket = &value["websocket"];
        NatsConfig {
            max_connections: size(&value["max_connections"]),
            max_subscriptions: size(&value["max_subscriptions"]),
            ping_interval_ms: millis(&value["ping_interval"]),
            max_pings_out: number(&value["ping_max"]).try_into().unwrap(),
            auth_timeout_ms: number(&value["auth_timeout"]) * 1000,
            max_control_line_bytes: size(&value["max_control_line"]),
            max_payload_bytes: size(&value["max_payload"]),
            write_deadline_ms: millis(&value["write_deadline"]),
            tls: value["tls_cert_not_after"].as_str().map(|_| TlsConfig {
                timeout_ms: number(&value["tls_timeout"]) * 1000,
                ..TlsConfig::default()
            }),
            allow_non_tls: true,
            websocket: websocket["host"].as_str().map(|host| WebsocketConfig {
                listen: ListenAddr {
                    host: host.into(),
                    port: port(&websocket["port"]),
                },
                tls: None,
                compression: websocket["compression"] == true,
                same_origin: websocket["same_origin"] == true,
                allowed_origins: texts(&websocket["allowed_origins"]),
                handshake_timeout_ms: millis(&websocket["handshake_timeout"]),
                advertise: some_text(&websocket["advertise"]),
                no_auth_user: some_text(&websocket["no_auth_user"]),
                ..WebsocketConfig::default()
            }),
            ..NatsConfig::default()
        }
    }
}

fn traffic(value: &Value) -> Traffic {
    Traffic {
        in_messages: number(&value["in_msgs"]),
        in_bytes: number(&value["in_bytes"]),
        out_messages: number(&value["out_msgs"]),
        out_bytes: number(&value["out_bytes"]),
    }
}
