//! One listener for every face, and the threads that serve it.

mod admin;
mod admit;
mod call;
mod cors;
mod endpoints;
mod faces;
mod health;
mod limits;
mod meter;
mod pace;
mod process;
mod received;
mod scrape;
mod span;
mod tls;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};

use crate::auth::KeyRing;
use crate::error::Cause;
use crate::store::Store;
use admin::Admin;
pub use cors::Origins;
use endpoints::Endpoints;
use faces::Common;
use health::Health;
use limits::Refusals;
pub use limits::{Limits, Rate};
use meter::Meters;
use scrape::Scrape;
pub use tls::{Tls, TlsFiles};
use worker::Worker;

/// How the server serves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How its connections are encrypted; without it they are not.
    pub tls: Option<Tls>,
    /// The address to tell the metrics on, if anywhere; port 0 takes a free one.
    pub admin: Option<SocketAddr>,
    /// Whether the database is the private one, which the metrics say.
    pub is_embedded: bool,
    /// How many threads serve connections.
    pub workers: NonZeroUsize,
    /// How long it works on things.
    pub timeouts: Timeouts,
    /// How much it takes on.
    pub limits: Limits,
    /// The origins whose pages may call it.
    pub origins: Option<Origins>,
}

/// How long the server works on things.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The most time for the handshake of TLS, for the headers of a request, and for the first request of a
    /// connection to begin.
    pub header: Duration,
    /// The most time for one call; its own `grpc-timeout` may be shorter.
    pub request: Duration,
    /// The most time for calls that are under way when the server stops.
    pub drain: Duration,
}

/// How long a server that is stopping waits for callers who have not seen it yet: so long it still accepts after it
/// said so, and so long the last connections have for their first request.
const LAST_CALL: Duration = Duration::from_millis(200);

/// The server, bound to its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    drain: Duration,
    max_connections: NonZeroUsize,
    refusals: Arc<Refusals>,
    workers: Vec<Worker>,
    health: Health,
    keys: Arc<KeyRing>,
    admin: Option<(Admin, Scrape)>,
}

impl Server {
    /// Binds to an address. Nothing is served before [`Server::run`].
    ///
    /// # Errors
    ///
    /// That an address cannot be bound, or that the system has no threads left.
    pub async fn bind(options: Options, store: Store, keys: KeyRing) -> Result<Self, Cause> {
        let listen = options.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| format!("cannot listen on {listen}: {error}; set LISTEN to a free address"))?;
        let address = listener.local_addr()?;
        let (keys, health) = (Arc::new(keys), Health::new().await);
        let refusals = Arc::new(Refusals::default());
        let common = Common::new(&options, keys.clone(), &health, refusals.clone())?;
        let (drain, max_connections) = (options.timeouts.drain, options.limits.connections);
        let (timeouts, limits) = (options.timeouts, options.limits);
        let (mut workers, mut meters) = (Vec::new(), Meters::new(Endpoints::new()?));
        for _ in 0..options.workers.get() {
            let (common, store, meter) = (common.clone(), store.clone(), meters.add());
            let faces = move || Ok(common.over(store.reading_here()?, meter));
            workers.push(Worker::start(faces, timeouts, &limits, options.tls.clone()).await?);
        }
        let admin = match options.admin {
            Some(listen) => {
                let (refusals, health, is_embedded) = (refusals.clone(), health.clone(), options.is_embedded);
                let scrape = Scrape { meters, refusals, health, store, is_embedded };
                Some((Admin::bind(listen).await?, scrape))
            }
            None => None,
        };
        Ok(Self {
            listener,
            address,
            tls: options.tls,
            drain,
            max_connections,
            refusals,
            workers,
            health,
            keys,
            admin,
        })
    }

    /// The address that the server is bound to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that the metrics are told on, if anywhere.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(admin, _)| admin.address())
    }

    /// Serves until `stop` is done. Then it tells so to those who watch its health, soon accepts nothing more, and
    /// waits for the calls that are under way for as long as it may.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        // To the very end, and no longer.
        let _admin = self.admin.take().map(|(admin, scrape)| {
            tracing::info!(address = %admin.address(), "metrics are told");
            scopeguard::guard(tokio::spawn(admin.serve(scrape)), |admin| admin.abort())
        });
        self.health.beat(&self.keys).await;
        let heart = tokio::spawn(self.health.clone().watch(self.keys.clone()));
        self.warn_if_open();
        tracing::info!(address = %self.address, "serving");

        tokio::select! {
            () = self.accept(stop) => {}
            () = self.refusals.tell() => {}
            () = self.reload() => {}
        }
        heart.abort();
        // A beat that is under way may not tell of anything after the drain has.
        if let Err(error) = heart.await
            && error.is_panic()
        {
            tracing::error!(%error, "the database was not watched any more");
        }
        self.health.clone().drain().await;
        self.accept(tokio::time::sleep(LAST_CALL)).await;
        if let Err(error) = self.accept_waiting() {
            tracing::error!(%error, "the last connections were not accepted");
        }
        drop(self.listener);
        tracing::info!("stopping");
        let drained = join_all(self.workers.into_iter().map(Worker::drain)).await;
        if !drained.iter().all(|(in_time, _)| *in_time) {
            let seconds = self.drain.as_secs();
            tracing::warn!(seconds, "calls were cut off that took too long to finish");
        }
    }

    /// Tells the operator when API keys can be read on the way by others than this machine.
    fn warn_if_open(&self) {
        if self.tls.is_none() && !self.address.ip().to_canonical().is_loopback() {
            tracing::warn!(
                address = %self.address,
                "API keys and data are not encrypted on the way; set TLS_CERT and TLS_KEY, or put a proxy before the \
                 service that ends TLS"
            );
        }
    }

    /// Keeps to the certificates that are in the files, without an end.
    async fn reload(&self) {
        match &self.tls {
            Some(tls) => tls.clone().watch().await,
            None => std::future::pending().await,
        }
    }

    async fn accept(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = self.listener.accept() => accepted,
            };
            let handed_over = accepted.and_then(|(stream, _)| self.hand_over(stream));
            if let Err(error) = handed_over {
                // Such as too many open files, which pass when connections close.
                tracing::error!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Accepts what the system has taken already, and would reset when the listener is closed. It is asked directly,
    /// since the runtime may not know yet of the last ones.
    fn accept_waiting(&self) -> io::Result<()> {
        let listener = std::net::TcpListener::from(self.listener.as_fd().try_clone_to_owned()?);
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.hand_over(TcpStream::from_std(stream)?)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a connection to the worker that has the fewest; closes it when there are too many.
    fn hand_over(&self, stream: TcpStream) -> io::Result<()> {
        let alive = || self.workers.iter().filter_map(|worker| Some((worker.load()?, worker)));
        if alive().map(|(load, _)| load).sum::<usize>() >= self.max_connections.get() {
            self.refusals.count_connection();
            return Ok(());
        }
        let idlest = alive().min_by_key(|(load, _)| *load);
        let (_, worker) = idlest.ok_or_else(|| io::Error::other("no thread serves any more"))?;
        worker.take(stream)
    }
}
