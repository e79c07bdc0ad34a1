//! Alone in its process, because it uses up all file descriptors.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use common::Server;
use mainstem_net::Security;
use tokio::sync::mpsc;

/// Sends each log line.
struct Lines(mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_is_survived() {
    let (lines, mut logged) = mpsc::channel(1024);
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(Lines(lines)))
        .init();
    let mut server = Server::start(Security::default());
    let client = tokio::net::TcpSocket::new_v4().unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    let client = client.connect(server.addr).await.unwrap();
    let line = logged.recv().await.unwrap();
    assert!(
        line.contains("accept error") && line.contains("sleeping 10 ms"),
        "{line}"
    );
    assert!(server.accepted.try_recv().is_err());
    drop(hoard);
    assert_eq!(server.next().await.peer, client.local_addr().unwrap());
}
