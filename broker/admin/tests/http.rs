//! The monitoring server over real sockets.

#![allow(clippy::unwrap_used)]

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use mainstem_admin::config::AdminConfig;
use mainstem_admin::metrics::{Family, MetricSource};
use mainstem_admin::process::BuildInfo;
use mainstem_admin::{AdminError, BoxFuture, Registry, Reply, Serving, Unhealthy, handler, limits, serve};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

struct Connections;

impl MetricSource for Connections {
    fn collect(&self) -> BoxFuture<'_, Vec<Family>> {
        let family =
            Family::gauge("mainstem_connections", "Open connections.").with(&[("front", "nats")], 2_u64);
        Box::pin(async move { vec![family] })
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    let counts = registry.request_counts();
    registry.route(
        "/varz",
        handler(move |_| {
            let counts = counts.snapshot();
            async move { Reply::json(&json!({ "http_req_stats": counts })) }
        }),
    );
    registry.route(
        "/subsz",
        handler(|request| async move {
            let limit = request.query.int("limit")?;
            Ok::<_, mainstem_admin::BadQuery>(Reply::json(&json!({ "path": request.path, "limit": limit })))
        }),
    );
    registry.alias("/subscriptionsz", "/subsz");
    registry.metrics(Arc::new(Connections));
    registry.metrics(Arc::new(BuildInfo {
        version: "1.2.3".into(),
        revision: "abc".into(),
    }));
    registry
}

fn any_port() -> AdminConfig {
    AdminConfig {
        port: Some(0),
        ..AdminConfig::default()
    }
}

async fn start(config: AdminConfig, registry: Registry) -> (Serving, SocketAddr) {
    let serving = serve(&config, None, registry, pending()).await.unwrap();
    let addr = serving.addr.unwrap();
    (serving, addr)
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A TLS peer may close without saying so.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(addr: SocketAddr, path: &str) -> (String, String) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    split(&exchange(stream, &request).await)
}

fn split(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn json_endpoints_answer_in_nats_servers_manner() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let (head, body) = get(addr, "/subsz?limit=7").await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    assert_eq!(body, "{\n  \"limit\": 7,\n  \"path\": \"/subsz\"\n}");
}

#[tokio::test]
async fn a_bad_query_is_a_plain_sentence() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let (head, body) = get(addr, "/subsz?limit=x").await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    assert!(head.contains("content-type: text/plain; charset=utf-8"), "{head}");
    assert_eq!(
        body,
        r#"Error decoding int for 'limit': strconv.Atoi: parsing "x": invalid syntax"#
    );
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let (_serving, addr) = start(any_port(), registry()).await;
    for path in ["/nope", "/varz/", "//varz", "/varzz"] {
        let (head, body) = get(addr, path).await;
        assert!(head.starts_with("http/1.1 404"), "{path}: {head}");
        assert_eq!(body, "404 page not found\n");
    }
    let stream = TcpStream::connect(addr).await.unwrap();
    let answer = exchange(
        stream,
        "POST /varz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let answer = exchange(
        stream,
        "HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    let (head, body) = split(&answer);
    assert!(head.contains("content-length: 15"), "{head}");
    assert_eq!(body, "");
}

#[tokio::test]
async fn the_index_lists_endpoints_below_the_base_path() {
    let config = AdminConfig {
        base_path: "/nats/".into(),
        ..any_port()
    };
    let (_serving, addr) = start(config, registry()).await;
    let (head, page) = get(addr, "/nats").await;
    assert!(head.contains("content-type: text/html"), "{head}");
    for path in ["/varz", "/subsz", "/healthz", "/metrics"] {
        assert!(
            page.contains(&format!(r#"<a href="/nats{path}">{path}</a>"#)),
            "{page}"
        );
    }
    assert!(!page.contains("subscriptionsz"));
    assert!(get(addr, "/nats/healthz").await.0.starts_with("http/1.1 200"));
    assert!(get(addr, "/healthz").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn requests_are_counted_by_endpoint() {
    let (_serving, addr) = start(any_port(), registry()).await;
    for path in ["/", "/subsz", "/subscriptionsz", "/nope"] {
        get(addr, path).await;
    }
    let (_, body) = get(addr, "/varz").await;
    let varz: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(varz["http_req_stats"], json!({ "/": 1, "/subsz": 2, "/varz": 1 }));
}

#[tokio::test]
async fn health_fails_with_its_first_check() {
    let mut registry = registry();
    registry.health("CONNECTION", Arc::new(|_| Box::pin(async { Ok(()) })));
    registry.health(
        "JETSTREAM",
        Arc::new(|request| {
            Box::pin(async move {
                match request.query.bool("js-server-only") {
                    Ok(true) => Ok(()),
                    _ => Err(Unhealthy::unavailable("JetStream not enabled")),
                }
            })
        }),
    );
    let (_serving, addr) = start(any_port(), registry).await;
    let (head, body) = get(addr, "/healthz").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert_eq!(
        body,
        r#"{"status":"unavailable","error":"JetStream not enabled"}"#
    );
    let (head, body) = get(addr, "/healthz?js-server-only=true").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, r#"{"status":"ok"}"#);
}

#[tokio::test]
async fn metrics_on_both_ports_and_nothing_else_on_their_own() {
    let config = AdminConfig {
        metrics_port: Some(0),
        ..any_port()
    };
    let (serving, addr) = start(config, registry()).await;
    let own = serving.metrics_addr.unwrap();
    for addr in [addr, own] {
        let (head, text) = get(addr, "/metrics").await;
        assert!(
            head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
            "{head}"
        );
        assert!(
            text.contains("mainstem_connections{front=\"nats\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("mainstem_build_info{version=\"1.2.3\",revision=\"abc\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("mainstem_metrics_left_out_samples 0\n"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(
            text.contains("# TYPE process_cpu_seconds_total counter\n"),
            "{text}"
        );
    }
    assert!(get(own, "/healthz").await.0.starts_with("http/1.1 200"));
    assert!(get(own, "/varz").await.0.starts_with("http/1.1 404"));
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let twice = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(
        exchange(stream, twice)
            .await
            .matches(r#"{"status":"ok"}"#)
            .count(),
        2
    );
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "GET /varz?{} HTTP/1.1\r\n\r\n",
        "x".repeat(limits::MAX_HEAD_BYTES)
    );
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move { writer.write_all(request.as_bytes()).await });
    let mut answer = Vec::new();
    let _ = reader.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let _ = writing.await;
}

// Time is paused in the tests below: it jumps to the next timer whenever every task waits.

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut() {
    let (_serving, addr) = start(any_port(), registry()).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /varz HTTP/1.1\r\nHos").await.unwrap();
    assert_closed(stream).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_is_given_up() {
    let mut registry = registry();
    registry.route("/hang", handler(|_| pending::<Reply>()));
    let (_serving, addr) = start(any_port(), registry).await;
    let (head, body) = get(addr, "/hang").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert_eq!(body, "the answer took too long\n");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_cut_and_gives_its_turn_back() {
    let mut registry = registry();
    let delivered = Arc::new(Notify::new());
    let started = Arc::clone(&delivered);
    registry.route(
        "/big",
        handler(move |_| {
            started.notify_one();
            async {
                Reply::Text {
                    content_type: "text/plain",
                    body: "x".repeat(64 << 20),
                }
            }
        }),
    );
    let (_serving, addr) = start(any_port(), registry).await;
    let mut readers = Vec::new();
    for _ in 0..limits::MAX_REQUESTS {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream
            .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        delivered.notified().await;
        readers.push(stream);
    }
    let (head, body) = get(addr, "/healthz").await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert_eq!(body, "too many requests at once\n");
    tokio::time::sleep(limits::CONNECTION_AGE + limits::LINGER).await;
    assert!(get(addr, "/healthz").await.0.starts_with("http/1.1 200"));
}

async fn assert_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // Closed or reset: both end the reading.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_and_frees_the_port() {
    let (stop, stopping) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopping.await;
    };
    let serving = serve(&any_port(), None, registry(), shutdown).await.unwrap();
    let addr = serving.addr.unwrap();
    let idle = TcpStream::connect(addr).await.unwrap();
    assert!(get(addr, "/healthz").await.0.starts_with("http/1.1 200"));
    stop.send(()).unwrap();
    serving.stopped().await;
    assert_closed(idle).await;
    TcpListener::bind(addr).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = AdminConfig {
        port: Some(port),
        ..AdminConfig::default()
    };
    let error = serve(&config, None, registry(), pending()).await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Bind { address, .. } if *address == format!("127.0.0.1:{port}")),
        "{error}"
    );
}

#[tokio::test]
async fn off_means_off() {
    let config = AdminConfig {
        port: None,
        ..AdminConfig::default()
    };
    let serving = serve(&config, None, registry(), async {}).await.unwrap();
    assert_eq!((serving.addr, serving.metrics_addr), (None, None));
    serving.stopped().await;
}

mod tls {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio_rustls::TlsConnector;

    #[tokio::test]
    async fn monitoring_over_tls() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
        let config = AdminConfig {
            tls: true,
            ..any_port()
        };
        let serving = serve(&config, Some(Arc::new(server)), registry(), pending())
            .await
            .unwrap();

        let mut roots = rustls::RootCertStore::empty();
        roots.add(key.cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(serving.addr.unwrap()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(client))
            .connect(name, stream)
            .await
            .unwrap();
        let answer = exchange(
            stream,
            "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
    }

    #[tokio::test]
    async fn tls_needs_a_certificate() {
        let config = AdminConfig {
            tls: true,
            ..any_port()
        };
        let error = serve(&config, None, registry(), pending()).await.unwrap_err();
        assert!(matches!(error, AdminError::NoCertificate));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_has_a_time_limit() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        let config = AdminConfig {
            tls: true,
            ..any_port()
        };
        let serving = serve(&config, Some(Arc::new(server)), registry(), pending())
            .await
            .unwrap();
        assert_closed(TcpStream::connect(serving.addr.unwrap()).await.unwrap()).await;
    }
}

#[test]
fn starting_may_move_between_threads() {
    fn sent<T: Send>(_: T) {}
    sent(serve(&any_port(), None, registry(), pending()));
}
