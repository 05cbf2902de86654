//! Sockets to listen on, made as Go makes them: all interfaces means both families of addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on `address`: `host:port`, where no host, `0.0.0.0` and `[::]` all mean every address of the machine, of
/// IPv6 where there is any, and of IPv4.
///
/// # Errors
/// When the address cannot be listened on.
pub(super) async fn listen(address: &str) -> io::Result<TcpListener> {
    let wildcard = match address.strip_prefix(':') {
        Some(port) => {
            Some(port.parse::<u16>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?)
        }
        None => address.parse::<SocketAddr>().ok().filter(|at| at.ip().is_unspecified()).map(|at| at.port()),
    };
    if let Some(port) = wildcard {
        return match bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            // IPv6 is off: in the kernel, or on all interfaces.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            }
            bound => bound,
        };
    }
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for address in lookup_host(address).await? {
        match bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // Whatever the system's default is.
        rustix::net::sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn all_interfaces_are_those_of_both_families() {
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        for address in [":0", "0.0.0.0:0", "[::]:0"] {
            let listener = listen(address).await.expect(address);
            let port = listener.local_addr().expect("bound").port();
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect(address);
            if has_ipv6 {
                TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect(address);
            }
        }
    }

    #[tokio::test]
    async fn one_address_is_no_other_one() {
        let listener = listen("127.0.0.1:0").await.expect("bind");
        assert!(listener.local_addr().expect("bound").is_ipv4());
        let taken = listener.local_addr().expect("bound").port();
        let error = listen(&format!(":{taken}")).await.expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        listen(":x").await.expect_err("no port");
    }
}
