//! The keys at the top of the file.

use nats_conf::{Map, Node, Value};

use super::draft::Draft;
use super::duration::{self, SECOND};
use super::reading::{
    Read, Report, complaint, duration_ns, go_type, host_port, map_or, switch, text, texts, whole,
};
use super::schema;
use super::{accounts, authorization, jetstream, tls, unbuilt, websocket};

/// Shortest lame duck mode.
const MIN_LAME_DUCK_NS: i64 = 30 * SECOND;

/// Reads a whole file over what `draft` holds.
pub(super) fn read(draft: &mut Draft, file: &Map, report: &mut Report) {
    report.each_key(file, |report, key, written, node| {
        let is_read = listeners(draft, key, node, report)?
            || logging(draft, key, node, report)?
            || limits(draft, key, node, report)?
            || identities(draft, key, node, report)?
            || blocks(draft, key, node, report)?
            || without_effect(key, node, report)?;
        if !is_read {
            report.unknown_field(written, node);
        }
        Ok(())
    });
}

/// Each of these functions says whether the key is one of its own.
fn listeners(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "listen" => {
            let address = host_port(node)?;
            (draft.host, draft.port) = (address.host, address.port);
        }
        "port" => draft.port = whole(node)?,
        "host" | "net" => draft.host = text(node)?.to_owned(),
        "client_advertise" => draft.client_advertise = text(node)?.to_owned(),
        "server_name" if text(node)?.contains(' ') => {
            return Err(complaint(node, "server name cannot contain spaces"));
        }
        "server_name" => draft.server_name = text(node)?.to_owned(),
        "http" => {
            let address = host_port(node)?;
            (draft.http_host, draft.http_port) = (address.host, address.port);
        }
        "https" => {
            let address = host_port(node)?;
            (draft.http_host, draft.https_port) = (address.host, address.port);
        }
        "http_port" | "monitor_port" => draft.http_port = whole(node)?,
        "https_port" => draft.https_port = whole(node)?,
        "http_base_path" => draft.http_base_path = text(node)?.to_owned(),
        "tls" => draft.tls = Some(tls::block(node, report)?),
        "allow_non_tls" => draft.allow_non_tls = switch(node)?,
        "websocket" | "ws" => websocket::directive(&mut draft.websocket, node, report)?,
        "proxy_protocol" if switch(node)? => report.refuse(node, "the PROXY protocol"),
        "proxy_protocol" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn logging(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "debug" => draft.debug = switch(node)?,
        "trace" => draft.trace = switch(node)?,
        "trace_verbose" | "trace_headers" => {
            draft.trace = switch(node)?;
            if draft.trace {
                report.not_built(node, "more than plain tracing");
            }
        }
        "logtime" => draft.no_log_time = !switch(node)?,
        "logtime_utc" => draft.log_time_utc = switch(node)?,
        "logfile" | "log_file" => draft.log_file = text(node)?.to_owned(),
        "pidfile" | "pid_file" => draft.pid_file = text(node)?.to_owned(),
        "ports_file_dir" => draft.ports_file_dir = text(node)?.to_owned(),
        "logfile_size_limit" | "log_size_limit" | "logfile_max_num" | "log_max_num" => {
            whole(node)?;
            report.not_built(node, "rotating the log file");
        }
        "syslog" => {
            if switch(node)? {
                report.not_built(node, "syslog");
            }
        }
        "remote_syslog" => {
            text(node)?;
            report.not_built(node, "syslog");
        }
        "max_traced_msg_len" => {
            whole(node)?;
            report.not_built(node, "a bound on traced messages");
        }
        "prof_port" => {
            whole(node)?;
            report.not_built(node, "a profiling port");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn limits(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "max_control_line" => draft.max_control_line = small(key, node)?,
        "max_payload" => draft.max_payload = small(key, node)?,
        "max_pending" => draft.max_pending = whole(node)?,
        "max_connections" | "max_conn" => {
            draft.max_connections = match whole(node)? {
                0 => -1,
                limit => limit,
            }
        }
        "max_subscriptions" | "max_subs" => draft.max_subscriptions = whole(node)?,
        "max_sub_tokens" | "max_subscription_tokens" => {
            draft.max_subscription_tokens = match whole(node)? {
                256.. => return Err(complaint(node, format_args!("{key} value is too big"))),
                ..=0 => return Err(complaint(node, format_args!("{key} value can not be negative"))),
                tokens => tokens,
            }
        }
        "ping_interval" => draft.ping_interval_ns = duration_ns(key, node, report)?,
        "ping_max" => draft.ping_max = whole(node)?,
        "write_deadline" => draft.write_deadline_ns = duration_ns(key, node, report)?,
        "write_timeout" => {
            if schema::write_policy(node)? == "retry" {
                report.not_built(node, "keeping slow consumers connected");
            }
        }
        "lame_duck_duration" => draft.lame_duck_duration_ns = lame_duck_duration(node)?,
        "lame_duck_grace_period" => draft.lame_duck_grace_ns = lame_duck_grace(node)?,
        "no_header_support" => draft.no_header_support = switch(node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Numbers that nats-server keeps in 32 bits.
fn small(key: &str, node: &Node) -> Read<i64> {
    let number = whole(node)?;
    if number > i64::from(i32::MAX) {
        return Err(complaint(node, format_args!("{key} value is too big")));
    }
    Ok(number)
}

fn lame_duck_duration(node: &Node) -> Read<i64> {
    let ns = duration::parse(text(node)?)
        .map_err(|error| complaint(node, format_args!("error parsing lame_duck_duration: {error}")))?;
    if ns < MIN_LAME_DUCK_NS {
        let found = duration::show(ns);
        let reason = format!("invalid lame_duck_duration of {found}, minimum is 30 seconds");
        return Err(complaint(node, reason));
    }
    Ok(ns)
}

fn lame_duck_grace(node: &Node) -> Read<i64> {
    let ns = duration::parse(text(node)?).map_err(|error| {
        complaint(
            node,
            format_args!("error parsing lame_duck_grace_period: {error}"),
        )
    })?;
    if ns < 0 {
        return Err(complaint(
            node,
            "invalid lame_duck_grace_period, needs to be positive",
        ));
    }
    Ok(ns)
}

fn identities(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "authorization" => authorization::directive(draft, node, report)?,
        "accounts" => accounts::directive(draft, node, report)?,
        "no_auth_user" => draft.no_auth_user = text(node)?.to_owned(),
        "system_account" | "system" => match &node.value {
            Value::String(name) => draft.system_account.clone_from(name),
            _ => return Err(complaint(node, "system account name must be a string")),
        },
        "no_system_account" | "no_system" | "no_sys_acc" => {
            switch(node)?;
        }
        "operator"
        | "operators"
        | "roots"
        | "root"
        | "root_operators"
        | "root_operator"
        | "resolver"
        | "account_resolver"
        | "accounts_resolver"
        | "resolver_tls"
        | "resolver_preload"
        | "resolver_pinned_accounts"
        | "trusted"
        | "trusted_keys"
        | "default_sentinel" => {
            report.refuse(node, "authentication by JWT");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn blocks(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "jetstream" => jetstream::directive(draft, node, report)?,
        "store_dir" | "storedir" => draft.set_store_dir(node, text(node)?)?,
        "cluster" => unbuilt::cluster(draft, node, report)?,
        "gateway" => unbuilt::gateway(node, report)?,
        "leaf" | "leafnodes" => unbuilt::leafnodes(node, report)?,
        "mqtt" => unbuilt::mqtt(node, report)?,
        "ocsp" => ocsp(node, report)?,
        "ocsp_cache" => ocsp_cache(node, report)?,
        "mappings" | "maps" => accounts::mappings(node, report)?,
        "proxies" => {
            map_or(node, "expected proxies to be a map/struct, got %T")?;
            report.not_built(node, "trusting proxies");
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn ocsp(node: &Node, report: &mut Report) -> Read<()> {
    let is_off = match &node.value {
        Value::Bool(on) => !on,
        Value::Map(map) => map.get("mode").is_some_and(
            |mode| matches!(&mode.value, Value::String(mode) if mode.eq_ignore_ascii_case("never")),
        ),
        other => {
            let found = go_type(other);
            return Err(complaint(
                node,
                format_args!("error parsing ocsp config: unsupported type {found}"),
            ));
        }
    };
    if !is_off {
        report.refuse(node, "OCSP stapling");
    }
    Ok(())
}

fn ocsp_cache(node: &Node, report: &mut Report) -> Read<()> {
    if !matches!(node.value, Value::Bool(_)) {
        map_or(node, "error parsing tags: unsupported type %T")?;
    }
    report.not_built(node, "OCSP");
    Ok(())
}

/// Keys that tune or describe what nats-server does inside, or say something only to features that are not there.
fn without_effect(key: &str, node: &Node, report: &mut Report) -> Read<bool> {
    match key {
        "disable_sublist_cache" | "no_sublist_cache" | "no_fast_producer_stall" => {
            switch(node)?;
        }
        "connect_error_reports" | "reconnect_error_reports" | "max_closed_clients" | "prof_block_rate" => {
            whole(node)?;
        }
        "server_tags" => {
            texts("tags", node, report)?;
        }
        "server_metadata" => {
            map_or(node, "error parsing metadata: unsupported type %T")?;
        }
        "feature_flags" => {
            map_or(node, "error parsing feature flags: unsupported type %T")?;
        }
        "default_js_domain" => {
            map_or(node, "error default_js_domain config: unsupported type %T")?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
