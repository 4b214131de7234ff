//! A proxy between the service and PostgreSQL, which does what networks do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// It runs until the runtime of its test ends.
pub struct Proxy {
    pub port: u16,
    faults: watch::Sender<Faults>,
}

/// What it does to connections.
#[derive(Clone, Default)]
struct Faults {
    /// How often all were cut.
    cuts: usize,
    /// Whether new ones are reset.
    refuses: bool,
    /// Whether nothing goes either way. What was sent is kept.
    stalls: bool,
    /// How much later everything arrives, on each way.
    delay: Duration,
    /// What happens to a connection on which such bytes are sent to PostgreSQL.
    trap: Option<(&'static [u8], Trap)>,
}

/// What happens to the connection of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// Half of the statement arrives, and the connection is reset.
    ResetInStatement,
    /// Half of the statement arrives, and nothing more is sent.
    StopInStatement,
    /// The statement arrives, but only half of its answer, and the connection is reset.
    ResetInAnswer,
}

impl Proxy {
    /// Starts it before the PostgreSQL whose socket is in that folder.
    pub async fn start(folder: &Path) -> Self {
        let socket = folder.join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = watch::Sender::new(Faults::default());
        let of_connections = faults.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, socket.clone(), of_connections.subscribe()));
            }
        });
        Self { port, faults }
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.cuts += 1);
    }

    /// Resets all connections, and new ones too, or does not any more.
    pub fn refuse(&self, refuses: bool) {
        self.faults.send_modify(|faults| faults.refuses = refuses);
        self.cut();
    }

    /// Keeps everything to itself, or hands it on again.
    pub fn stall(&self, stalls: bool) {
        self.faults.send_modify(|faults| faults.stalls = stalls);
    }

    /// Lets everything arrive later by so much.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Waits for a statement with these bytes in it.
    pub fn trap(&self, bytes: &'static str, trap: Trap) {
        self.faults.send_modify(|faults| faults.trap = Some((bytes.as_bytes(), trap)));
    }

    /// Lets the statement pass.
    pub fn untrap(&self) {
        self.faults.send_modify(|faults| faults.trap = None);
    }
}

async fn carry(mut client: TcpStream, socket: PathBuf, faults: watch::Receiver<Faults>) {
    let mut cut = faults.clone();
    let cuts = cut.borrow().cuts;
    tokio::select! {
        _ = cut.wait_for(|faults| faults.refuses || faults.cuts > cuts) => {}
        _ = forward(&mut client, &socket, faults) => {}
    }
    // It is reset when it is closed.
    client.set_zero_linger().unwrap();
}

/// Carries bytes until either end has no more, or the connection is to be reset.
async fn forward(
    client: &mut TcpStream,
    socket: &Path,
    mut faults: watch::Receiver<Faults>,
) -> io::Result<()> {
    passable(&mut faults).await;
    let mut server = UnixStream::connect(socket).await?;
    let (mut to_server, mut to_client) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut breaks = false;
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let sent = &to_server[..read?];
                passable(&mut faults).await;
                let trap = faults.borrow().trap.and_then(|(bytes, trap)| contains(sent, bytes).then_some(trap));
                match trap {
                    None => server.write_all(sent).await?,
                    Some(Trap::ResetInAnswer) => {
                        breaks = true;
                        server.write_all(sent).await?;
                    }
                    Some(Trap::ResetInStatement) => return server.write_all(&sent[..sent.len() / 2]).await,
                    Some(Trap::StopInStatement) => {
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
                passable(&mut faults).await;
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

/// Waits until bytes may go on.
async fn passable(faults: &mut watch::Receiver<Faults>) {
    let delay = faults.wait_for(|faults| !faults.stalls).await.map(|faults| faults.delay);
    // The proxy of a test that has ended has nothing to wait for.
    sleep(delay.unwrap_or_default()).await;
}

fn contains(sent: &[u8], bytes: &[u8]) -> bool {
    sent.windows(bytes.len()).any(|window| window == bytes)
}
