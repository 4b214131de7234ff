//! A fault-injecting proxy between the service and PostgreSQL.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// A running proxy. It stops with the runtime of its test.
pub struct Proxy {
    pub port: u16,
    faults: watch::Sender<Faults>,
}

/// The faults that are injected into connections.
#[derive(Clone, Default)]
struct Faults {
    /// How many times all connections were reset.
    cuts: usize,
    /// Whether new connections are reset.
    refuses: bool,
    /// Whether all data is held back in both directions.
    stalls: bool,
    /// The delay in each direction.
    delay: Duration,
    /// The fault for a connection that sends these bytes to PostgreSQL.
    fault: Option<(&'static [u8], StatementFault)>,
}

/// A fault of the connection on which a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementFault {
    /// Half of the statement is delivered, then the connection is reset.
    ResetInStatement,
    /// Half of the statement is delivered, then nothing more.
    StopInStatement,
    /// The statement is delivered, but only half of the response. Then the connection is reset.
    ResetInAnswer,
}

impl Proxy {
    /// Starts a proxy for the PostgreSQL whose socket is in this folder.
    pub async fn start(folder: &Path) -> Self {
        let socket = folder.join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = watch::Sender::new(Faults::default());
        let of_connections = faults.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_connection(client, socket.clone(), of_connections.subscribe()));
            }
        });
        Self { port, faults }
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.cuts += 1);
    }

    /// Resets all connections and starts or stops resetting new ones.
    pub fn refuse(&self, refuses: bool) {
        self.faults.send_modify(|faults| faults.refuses = refuses);
        self.cut();
    }

    /// Starts or stops holding back all data.
    pub fn stall(&self, stalls: bool) {
        self.faults.send_modify(|faults| faults.stalls = stalls);
    }

    /// Delays all data.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Injects a fault into the next connection that sends these bytes.
    pub fn fault(&self, bytes: &'static str, fault: StatementFault) {
        self.faults.send_modify(|faults| faults.fault = Some((bytes.as_bytes(), fault)));
    }

    /// Stops injecting the fault.
    pub fn clear_fault(&self) {
        self.faults.send_modify(|faults| faults.fault = None);
    }
}

async fn serve_connection(mut client: TcpStream, socket: PathBuf, faults: watch::Receiver<Faults>) {
    let mut cut = faults.clone();
    let cuts = cut.borrow().cuts;
    tokio::select! {
        _ = cut.wait_for(|faults| faults.refuses || faults.cuts > cuts) => {}
        _ = forward(&mut client, &socket, faults) => {}
    }
    // Makes the close a reset.
    client.set_zero_linger().unwrap();
}

/// Forwards bytes until either end closes or the connection is to be reset.
async fn forward(
    client: &mut TcpStream,
    socket: &Path,
    mut faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    until_open(&mut faults).await;
    let mut server = UnixStream::connect(socket).await?;
    let (mut to_server, mut to_client) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut breaks = false;
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let sent = &to_server[..read?];
                until_open(&mut faults).await;
                let fault = faults.borrow().fault.and_then(|(bytes, fault)| contains(sent, bytes).then_some(fault));
                match fault {
                    None => server.write_all(sent).await?,
                    Some(StatementFault::ResetInAnswer) => {
                        breaks = true;
                        server.write_all(sent).await?;
                    }
                    Some(StatementFault::ResetInStatement) => return server.write_all(&sent[..sent.len() / 2]).await,
                    Some(StatementFault::StopInStatement) => {
                        server.write_all(&sent[..sent.len() / 2]).await?;
                        tokio::io::copy(&mut server, client).await?;
                    }
                }
                if sent.is_empty() {
                    return Ok(());
                }
            }
            read = server.read(&mut to_client) => {
                let sent = &to_client[..read?];
                until_open(&mut faults).await;
                if breaks {
                    return client.write_all(&sent[..sent.len() / 2]).await;
                }
                client.write_all(sent).await?;
                if sent.is_empty() {
                    return Ok(());
                }
            }
        }
    }
}

/// Waits until data may pass.
async fn until_open(faults: &mut watch::Receiver<Faults>) {
    let delay = faults.wait_for(|faults| !faults.stalls).await.map(|faults| faults.delay);
    // The sender is gone once the test has ended.
    sleep(delay.unwrap_or_default()).await;
}

fn contains(sent: &[u8], bytes: &[u8]) -> bool {
    sent.windows(bytes.len()).any(|window| window == bytes)
}
