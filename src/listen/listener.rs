//! The sockets that the server listens on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use socket2::{SockRef, Socket};
use tokio::net;
use tokio_util::either::Either;

/// The connections that wait to be accepted; the system reduces it to its own limit (`net.core.somaxconn`). Any more are
/// dropped, and their clients wait a second and longer before they try again.
const BACKLOG: i32 = 65_535;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address with a port, and the other addresses of the same host. Port 0 selects a free one.
    Tcp(SocketAddr, Vec<SocketAddr>),
    /// The path of a Unix socket. Whoever may write to it may connect.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(first, others) => {
                write!(formatter, "{first}")?;
                others.iter().try_for_each(|other| write!(formatter, ", {other}"))
            }
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// The bound sockets of an address. The file of a Unix socket is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    address: ListenAddress,
    sockets: Vec<ListeningSocket>,
}

/// A socket that listens on one address.
#[derive(Debug)]
pub(super) enum ListeningSocket {
    Tcp(net::TcpListener),
    Unix(net::UnixListener),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    socket: Socket,
    /// `None` over a Unix socket.
    address: Option<SocketAddr>,
}

/// The stream of a connection.
pub(super) type CallerSocket = Either<net::TcpStream, net::UnixStream>;

impl Listener {
    /// Fails if an address is in use or the port is reserved for root.
    pub(super) fn bind(address: &ListenAddress) -> io::Result<Self> {
        let (sockets, address) = match address {
            ListenAddress::Tcp(first, others) => bind_tcp(*first, others)?,
            ListenAddress::Unix(path) => {
                remove_unused(path)?;
                let socket = std::os::unix::net::UnixListener::bind(path)?;
                prepare(&SockRef::from(&socket))?;
                let socket = ListeningSocket::Unix(net::UnixListener::from_std(socket)?);
                (vec![socket], address.clone())
            }
        };
        Ok(Self { address, sockets })
    }

    /// Returns the address, with the selected port.
    pub(super) fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn sockets(&self) -> &[ListeningSocket] {
        &self.sockets
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenAddress::Unix(path) = &self.address
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "the Unix socket is not removed");
        }
    }
}

/// Binds to all addresses that this machine has. The port that the first one selects is also that of the others.
fn bind_tcp(first: SocketAddr, others: &[SocketAddr]) -> io::Result<(Vec<ListeningSocket>, ListenAddress)> {
    let socket = bind_one(first)?;
    let first = socket.local_addr()?;
    let (mut sockets, mut bound) = (vec![ListeningSocket::Tcp(socket)], Vec::new());
    for other in others {
        let other = SocketAddr::new(other.ip(), first.port());
        match bind_one(other) {
            Ok(socket) => {
                sockets.push(ListeningSocket::Tcp(socket));
                bound.push(other);
            }
            // `::1` where IPv6 is disabled.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                tracing::debug!(address = %other, "this machine does not have the address");
            }
            Err(error) => return Err(error),
        }
    }
    Ok((sockets, ListenAddress::Tcp(first, bound)))
}

fn bind_one(address: SocketAddr) -> io::Result<net::TcpListener> {
    // The standard library lets a restart use the port at once.
    let socket = std::net::TcpListener::bind(address)?;
    prepare(&SockRef::from(&socket))?;
    net::TcpListener::from_std(socket)
}

/// Sets the options that the runtime needs, and a longer backlog than the standard library does.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)
}

/// Removes the socket of a server that has ended without doing so.
fn remove_unused(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    match UnixStream::connect(path) {
        Err(error) if is_socket && error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Binding tells what else is wrong.
        Ok(_) | Err(_) => Ok(()),
    }
}

impl ListeningSocket {
    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok(Arrival { socket: stream.into_std()?.into(), address: Some(address) })
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok(Arrival { socket: stream.into_std()?.into(), address: None })
            }
        }
    }

    /// Accepts a connection that already waits. Calls the system directly: the runtime may not have been notified of it
    /// yet, and would register each connection with this thread.
    pub(super) fn accept_waiting(&self) -> io::Result<Option<Arrival>> {
        let listener = match self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Unix(socket) => SockRef::from(socket),
        };
        match listener.accept() {
            Ok((socket, address)) => {
                socket.set_nonblocking(true)?;
                Ok(Some(Arrival { socket, address: address.as_socket() }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Arrival {
    /// The address of the caller; over a Unix socket, that of this machine.
    pub(super) fn address(&self) -> IpAddr {
        self.address.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
    }

    /// Registers the connection with the runtime of this thread.
    pub(super) fn into_stream(self) -> io::Result<CallerSocket> {
        Ok(match self.address {
            Some(_) => Either::Left(net::TcpStream::from_std(self.socket.into())?),
            None => Either::Right(net::UnixStream::from_std(self.socket.into())?),
        })
    }
}
