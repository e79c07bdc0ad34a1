//! From what was said to [`Options`]: defaults, checks across keys, and warnings.

use std::path::{Path, PathBuf};

use front_nats::config::NatsConfig;
use mainstem_admin::config::AdminConfig;
use mainstem_core::config::{AuthConfig, CoreLimits, Credential, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, UserConfig};
use mainstem_net::config::{ListenAddr, TlsConfig};

use super::draft::{DEFAULT_HOST, Draft, port};
use super::duration;
use super::reading::split_host_port;
use super::tls::{self, Tls};
use crate::options::{LogFormat, LogOptions, Options, Personality, StreamsOptions};

const DEFAULT_PORT: u16 = 4222;
const DEFAULT_AUTH_TIMEOUT_MS: u64 = 2_000;
/// What TLS adds to the time a login may take.
const TLS_AUTH_EXTRA_MS: u64 = 1_000;
/// Above this nats-server warns.
const DISCOURAGED_PAYLOAD_BYTES: usize = 8 << 20;
/// What the front can take at most.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Least bytes that may wait for one connection.
const MIN_PENDING_BYTES: usize = 64 << 10;
/// Whom connections without credentials become when only the system account has users.
const ANONYMOUS_USER: &str = "nats-anonymous";

/// Checks the draft as nats-server does before it starts, and fills in defaults.
///
/// # Errors
/// One line in nats-server's words, without the program's name.
pub(super) fn options(mut draft: Draft) -> Result<Options, String> {
    check_routes(&draft)?;
    let tls = listener_tls(&mut draft)?;
    let mut warnings = Vec::new();
    let limits = core_limits(&draft, &mut warnings)?;
    let nats = nats(&draft, tls, limits.max_pending_bytes, &mut warnings)?;
    let admin = admin(&draft, nats.tls.is_some())?;
    let auth = auth(&mut draft, nats.tls.as_ref(), &mut warnings)?;
    let user_exists = |name: &str| check_no_auth_user(name, &auth.users);
    draft.websocket.check(user_exists)?;
    check_store_dir(&draft)?;
    let streams = streams(&draft, &auth)?;
    Ok(Options {
        personality: Personality::NatsServer,
        nats: NatsConfig {
            websocket: draft.websocket.resolve()?,
            ..nats
        },
        auth,
        admin,
        limits,
        log: LogOptions {
            format: LogFormat::NatsServer,
            file: path(&draft.log_file),
            debug: draft.debug,
            trace: draft.trace,
            time: !draft.no_log_time,
            utc: draft.log_time_utc,
            ..LogOptions::default()
        },
        data_dir: path(&draft.store_dir).unwrap_or_else(|| std::env::temp_dir().join("nats")),
        pid_file: path(&draft.pid_file),
        ports_file_dir: path(&draft.ports_file_dir),
        streams,
        warnings,
        ..Options::default()
    })
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn check_routes(draft: &Draft) -> Result<(), String> {
    if !draft.routes.is_empty() && !draft.has_cluster {
        return Err("solicited routes require cluster capabilities, e.g. --cluster".into());
    }
    Ok(())
}

/// The listener's TLS: the flags' certificate with what else the file says.
fn listener_tls(draft: &mut Draft) -> Result<Option<TlsConfig>, String> {
    let file = draft.tls.take();
    let flags = &draft.flag_tls;
    if flags.on == Some(false) {
        return Ok(None);
    }
    if !flags.given {
        return file.map(Tls::for_listener).transpose();
    }
    if flags.cert_file.is_empty() {
        return Err("TLS Server certificate must be present and valid".into());
    }
    if flags.key_file.is_empty() {
        return Err("TLS Server private key must be present and valid".into());
    }
    let mut tls = file.unwrap_or_default();
    tls.config.cert_file = PathBuf::from(&flags.cert_file);
    tls.config.key_file = PathBuf::from(&flags.key_file);
    tls.config.ca_file = path(&flags.ca_file);
    tls.config.verify = flags.verify;
    tls::check_files(&tls.config)?;
    tls.for_listener().map(Some)
}

fn core_limits(draft: &Draft, warnings: &mut Vec<String>) -> Result<CoreLimits, String> {
    let default = CoreLimits::default();
    let max_pending = match draft.max_pending {
        0 => default.max_pending_bytes,
        bytes => usize::try_from(bytes).unwrap_or(0),
    };
    let max_payload = if draft.max_payload == 0 {
        1 << 20
    } else {
        draft.max_payload
    };
    if max_payload > 0 && usize::try_from(max_payload).is_ok_and(|bytes| bytes > max_pending) {
        let written = if draft.max_pending == 0 {
            max_pending as i64
        } else {
            draft.max_pending
        };
        return Err(format!(
            "max_payload ({max_payload}) cannot be higher than max_pending ({written})"
        ));
    }
    if max_pending < MIN_PENDING_BYTES {
        warnings.push(format!("max_pending is at least {MIN_PENDING_BYTES} bytes here"));
    }
    Ok(CoreLimits {
        max_pending_bytes: max_pending.max(MIN_PENDING_BYTES),
        ..default
    })
}

fn nats(
    draft: &Draft,
    tls: Option<TlsConfig>,
    max_pending_bytes: usize,
    warnings: &mut Vec<String>,
) -> Result<NatsConfig, String> {
    let default = NatsConfig::default();
    let or = |ns: i64, default_ms: u64| if ns <= 0 { default_ms } else { duration::to_ms(ns) };
    let lame_duck_duration_ms = or(draft.lame_duck_duration_ns, default.lame_duck_duration_ms);
    let lame_duck_grace_ms = or(draft.lame_duck_grace_ns, default.lame_duck_grace_ms);
    if lame_duck_grace_ms >= lame_duck_duration_ms {
        let show = |ms: u64| duration::show(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        return Err(format!(
            "lame duck grace period ({}) should be strictly lower than lame duck duration ({})",
            show(lame_duck_grace_ms),
            show(lame_duck_duration_ms)
        ));
    }
    if draft.server_name.contains(' ') {
        return Err("server name cannot contain spaces".into());
    }
    check_advertise(&draft.client_advertise)?;
    let max_payload_bytes = match draft.max_payload {
        0 => default.max_payload_bytes,
        // Any negative number: no limit but what one connection may hold.
        bytes => usize::try_from(bytes).unwrap_or(max_pending_bytes.min(MAX_PAYLOAD_BYTES)),
    };
    if max_payload_bytes > MAX_PAYLOAD_BYTES {
        return Err(format!(
            "max_payload ({max_payload_bytes}) cannot be higher than {MAX_PAYLOAD_BYTES}"
        ));
    }
    if max_payload_bytes > DISCOURAGED_PAYLOAD_BYTES {
        let line =
            "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance";
        warnings.push(line.into());
    }
    // Below zero there is no limit, for which the front has 0.
    let limit = |number: i64| usize::try_from(number).unwrap_or(0);
    let tls_timeout_ms = tls.as_ref().map_or(tls::DEFAULT_TIMEOUT_MS, |tls| tls.timeout_ms);
    Ok(NatsConfig {
        listen: ListenAddr {
            host: set(&draft.host).unwrap_or_else(|| DEFAULT_HOST.into()),
            port: if draft.port == 0 {
                DEFAULT_PORT
            } else {
                port(draft.port)?
            },
        },
        client_advertise: set(&draft.client_advertise),
        server_name: draft.server_name.clone(),
        allow_non_tls: draft.allow_non_tls,
        max_payload_bytes,
        max_control_line_bytes: match limit(draft.max_control_line) {
            0 => default.max_control_line_bytes,
            bytes => bytes,
        },
        max_connections: if draft.max_connections == 0 {
            default.max_connections
        } else {
            limit(draft.max_connections)
        },
        max_subscriptions: limit(draft.max_subscriptions),
        max_subject_tokens: limit(draft.max_subscription_tokens),
        ping_interval_ms: or(draft.ping_interval_ns, default.ping_interval_ms),
        max_pings_out: match u32::try_from(draft.ping_max) {
            Ok(0) | Err(_) => default.max_pings_out,
            Ok(pings) => pings,
        },
        write_deadline_ms: or(draft.write_deadline_ns, default.write_deadline_ms),
        auth_timeout_ms: match duration::seconds_to_ms(draft.auth_timeout_seconds) {
            0 if tls.is_some() => tls_timeout_ms + TLS_AUTH_EXTRA_MS,
            0 => DEFAULT_AUTH_TIMEOUT_MS,
            ms => ms,
        },
        no_header_support: draft.no_header_support,
        lame_duck_duration_ms,
        lame_duck_grace_ms,
        no_advertise: draft.no_advertise,
        trace: draft.trace,
        tls,
        ..default
    })
}

/// A host, with or without a port.
fn check_advertise(advertise: &str) -> Result<(), String> {
    let is_host = !advertise.contains(':') || (advertise.starts_with('[') && advertise.ends_with(']'));
    let reason = match split_host_port(advertise) {
        _ if is_host => return Ok(()),
        Some((_, port)) if port.trim().parse::<i64>().is_ok() => return Ok(()),
        Some(_) => "invalid port",
        None => "too many colons in address",
    };
    Err(format!(
        "Error setting server INFO with ClientAdvertise value of {advertise}, err=address {advertise}: {reason}"
    ))
}

fn admin(draft: &Draft, has_tls: bool) -> Result<AdminConfig, String> {
    let (http, https) = (draft.http_port, draft.https_port);
    if http != 0 && https != 0 {
        let reason = format!("can't specify both HTTP ({http}) and HTTPs ({https}) ports");
        return Err(format!("Can't start monitoring: {reason}"));
    }
    if https != 0 && !has_tls {
        return Err("Can't start monitoring: TLS cert and key required for HTTPS".into());
    }
    let host = [&draft.http_host, &draft.host]
        .into_iter()
        .find(|host| !host.is_empty());
    Ok(AdminConfig {
        host: host.map_or_else(|| DEFAULT_HOST.to_owned(), String::clone),
        port: match http + https {
            0 => None,
            number => Some(port(number)?),
        },
        metrics_port: None,
        tls: https != 0,
        base_path: base_path(&draft.http_base_path),
    })
}

/// `/a/b` of `a//b/`, and nothing of `/`.
fn base_path(written: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().map(|part| format!("/{part}")).collect()
}

fn auth(
    draft: &mut Draft,
    tls: Option<&TlsConfig>,
    warnings: &mut Vec<String>,
) -> Result<AuthConfig, String> {
    let mut users = std::mem::take(&mut draft.users);
    let accounts = std::mem::take(&mut draft.accounts);
    if !draft.no_auth_user.is_empty() {
        check_no_auth_user(&draft.no_auth_user, &users)?;
    }
    let mut no_auth_user = set(&draft.no_auth_user);
    let mut token = None;
    if users.is_empty() {
        if !draft.user.is_empty() {
            users.push(global_user(&draft.user, &draft.password));
        } else if !draft.password.is_empty() && draft.token.is_empty() {
            return Err("a password without a user would let everyone in".into());
        }
        token = set(&draft.token);
    }
    let has_system = accounts.iter().any(|account| account.name == SYSTEM_ACCOUNT);
    let system_account = set(&draft.system_account).or_else(|| has_system.then(|| SYSTEM_ACCOUNT.to_owned()));
    if let Some(name) = &system_account {
        let is_known = name == SYSTEM_ACCOUNT || accounts.iter().any(|account| account.name == *name);
        if !is_known {
            return Err("error resolving system account: account missing".into());
        }
        // A system account alone does not mean that all others have to log in.
        let is_alone = accounts.iter().all(|account| account.name == *name);
        if is_alone && has_system_user(&users, name) && no_auth_user.is_none() && !draft.has_authorization {
            let mut anonymous = ANONYMOUS_USER.to_owned();
            while users.iter().any(|user| user.name == anonymous) {
                anonymous.push('-');
            }
            users.push(global_user(&anonymous, ""));
            no_auth_user = Some(anonymous);
        }
    }
    if has_plain_password(&users, no_auth_user.as_deref()) {
        warnings.push("Plaintext passwords detected, use nkeys or bcrypt".into());
    }
    if tls.is_some_and(|tls| tls.verify_and_map) {
        users.iter_mut().for_each(use_certificate);
    }
    Ok(AuthConfig {
        accounts: accounts
            .into_iter()
            .filter(|account| account.name != SYSTEM_ACCOUNT)
            .collect(),
        users,
        token,
        no_auth_user,
        system_account,
    })
}

fn global_user(name: &str, password: &str) -> UserConfig {
    UserConfig {
        name: name.to_owned(),
        credential: Credential::Password(password.to_owned()),
        account: GLOBAL_ACCOUNT.to_owned(),
        permissions: None,
        allowed_connection_types: None,
    }
}

fn has_system_user(users: &[UserConfig], system_account: &str) -> bool {
    users.iter().any(|user| user.account == system_account)
}

/// Where certificates name the users, one without a password has no other way in.
fn use_certificate(user: &mut UserConfig) {
    if user.credential == Credential::Password(String::new()) {
        user.credential = Credential::Certificate;
    }
}

fn has_plain_password(users: &[UserConfig], no_auth_user: Option<&str>) -> bool {
    users.iter().any(|user| match &user.credential {
        Credential::Password(password) => !is_bcrypt(password) && no_auth_user != Some(user.name.as_str()),
        Credential::Nkey | Credential::Certificate => false,
    })
}

fn is_bcrypt(secret: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|prefix| secret.starts_with(prefix))
}

fn check_no_auth_user(name: &str, users: &[UserConfig]) -> Result<(), String> {
    if users.is_empty() {
        return Err(format!(
            "no_auth_user: \"{name}\" present, but users/nkeys are not defined"
        ));
    }
    if users.iter().any(|user| user.name == name) {
        return Ok(());
    }
    Err(format!(
        "no_auth_user: \"{name}\" not present as user or nkey in authorization block or account configuration"
    ))
}

/// Where there is no account but the global one, that has streams; else those that say so.
fn streams(draft: &Draft, auth: &AuthConfig) -> Result<StreamsOptions, String> {
    let system = auth.system_account.as_deref().unwrap_or(SYSTEM_ACCOUNT);
    if draft
        .jetstream
        .accounts
        .iter()
        .any(|account| account.enabled && account.name == system)
    {
        return Err(format!(
            "Can't start JetStream: jetstream can not be enabled on the system account {system:?}"
        ));
    }
    let others_enabled = auth.accounts.iter().all(|account| account.name == system);
    let jetstream = &draft.jetstream;
    // Below zero, and zero where it was not said, mean what there is.
    let limit = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
    Ok(StreamsOptions {
        enabled: jetstream.enabled,
        max_store_bytes: limit(jetstream.max_store),
        max_memory_bytes: limit(jetstream.max_memory),
        domain: set(&jetstream.domain),
        strict: jetstream.strict,
        accounts: jetstream.accounts.clone(),
        others_enabled,
        ..StreamsOptions::default()
    })
}

/// A store that is a file stops the start, also before there is anything to store.
fn check_store_dir(draft: &Draft) -> Result<(), String> {
    if draft.jetstream.enabled && !draft.store_dir.is_empty() && Path::new(&draft.store_dir).is_file() {
        return Err("Can't start JetStream: storage directory is not a directory".into());
    }
    Ok(())
}
