//! What `--help` and `--help_tls` print.

use super::tls::{CIPHER_SUITES, CURVES};

/// Answer to `--version`.
pub(super) const VERSION: &str = "nats-server: v2.14.5\n";

/// Answer to `--help`, and to a wrong flag.
pub(super) const USAGE: &str = "
Usage: nats-server [options]

This is Mainstem in the manner of nats-server. Flags take one dash or two; they override the file.

Server:
    -a, --addr, --net <host>          Host to bind to (default 0.0.0.0)
    -p, --port <port>                 Port for clients (default 4222; -1: any free one)
    -n, --name, --server_name <name>  Name of this server (default: its id)
        --client_advertise <address>  Address that clients are told instead of the one bound
    -m, --http_port <port>            Port for monitoring
    -ms, --https_port <port>          Port for monitoring over TLS
    -c, --config <file>               Configuration file
    -t                                Check the configuration file and leave
    -P, --pid <file>                  File to write the process id to
        --ports_file_dir <folder>     Folder to write a file with the ports in use to
    -sl, --signal <signal>[=<pid>]    Send ldm, stop, quit, term, reopen or reload to a process, named by its id
                                      or by the file that holds it, and leave

Log:
    -l, --log <file>                  File to log to
    -T, --logtime                     Time stamps (default true)
        --logtime_utc                 Time stamps in UTC
    -D, --debug                       Debug lines
    -V, --trace                       Each line of the protocol
    -DV, -VV, -DVV                    Both, and more

Streams (not built yet):
    -js, --jetstream                  Enable JetStream
    -sd, --store_dir <folder>         Folder of what is stored

Login:
        --user <name> --pass <word>   User that every client has to be
        --auth <token>                Token that every client has to show

TLS:
        --tls                         Use TLS
        --tlscert <file>              Certificate
        --tlskey <file>               Its key
        --tlsverify                   Clients have to show a certificate
        --tlscacert <file>            Authorities that vouch for clients

Cluster (not built yet):
        --cluster, --cluster_listen <url>, --cluster_name <name>, --routes <url,url>,
        --cluster_advertise <address>, --connect_retries <number>, --no_advertise

Other:
    -h, --help                        This text
    -v, --version                     The version
        --help_tls                    What a tls block holds

";

/// Answer to `--help_tls`.
pub(super) fn tls() -> String {
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("    {name}\n"))
            .collect::<String>()
    };
    format!(
        "A tls block in the configuration file:\n\n    \
         tls {{\n        cert_file: \"server-cert.pem\"\n        key_file: \"server-key.pem\"\n        \
         ca_file: \"ca.pem\"\n        verify: true\n        verify_and_map: false\n        \
         handshake_first: false\n        min_version: \"1.2\"\n        timeout: \"2s\"\n    }}\n\n\
         Names that cipher_suites may list:\n{}\nNames that curve_preferences may list:\n{}",
        list(&CIPHER_SUITES),
        list(&CURVES)
    )
}
