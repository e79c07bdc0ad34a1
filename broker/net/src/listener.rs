//! Binding a listening socket the way Go does, so that addresses in configurations mean the same.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenAddr;

/// Connections that wait in the kernel to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A bound socket that listens; connections wait until it runs.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    local_addr: SocketAddr,
}

impl Listener {
    /// Binds and listens. `0.0.0.0` and `::` (and an empty host) take IPv4 and IPv6 alike, as in Go; of a name's
    /// addresses the first IPv4 one is taken. The address may be one that was in use until just now.
    ///
    /// # Errors
    /// The name does not resolve, or the address is taken or not ours.
    pub fn bind(addr: &ListenAddr) -> io::Result<Self> {
        let wanted = resolve(addr)?;
        let socket = match wanted.ip().is_unspecified() {
            true => {
                listen(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), wanted.port())).or_else(|error| {
                    // A machine without IPv6.
                    if is_unsupported(&error) {
                        listen(wanted)
                    } else {
                        Err(error)
                    }
                })
            }
            false => listen(wanted),
        }?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            local_addr: SocketAddr::new(wanted.ip(), port),
        })
    }

    /// The address asked for, with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

fn resolve(addr: &ListenAddr) -> io::Result<SocketAddr> {
    let host = addr.host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), addr.port));
    }
    let found: Vec<SocketAddr> = (host, addr.port).to_socket_addrs()?.collect();
    let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
    first
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no address for host '{host}'")))
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// "Address family not supported by protocol" on Linux.
const EAFNOSUPPORT: i32 = 97;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn addr(host: &str) -> ListenAddr {
        ListenAddr {
            host: host.into(),
            port: 0,
        }
    }

    #[test]
    fn all_addresses_include_ipv6_where_there_is_any() {
        let listener = Listener::bind(&addr("0.0.0.0")).unwrap();
        let port = listener.local_addr().port();
        assert_eq!(listener.local_addr().ip().to_string(), "0.0.0.0");
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            TcpStream::connect(("::1", port)).unwrap();
        }
    }

    #[test]
    fn a_taken_port_and_an_unknown_host_are_errors() {
        let first = Listener::bind(&addr("127.0.0.1")).unwrap();
        let again = ListenAddr {
            host: "127.0.0.1".into(),
            port: first.local_addr().port(),
        };
        assert_eq!(
            Listener::bind(&again).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        assert!(Listener::bind(&addr("no such host.invalid")).is_err());
    }

    #[test]
    fn names_resolve_to_ipv4_first() {
        assert!(Listener::bind(&addr("localhost")).unwrap().local_addr().is_ipv4());
    }
}
