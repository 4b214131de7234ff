//! Failover between the hosts of a database.
//!
//! The client library tries the hosts one after the other, and limits only the TCP connect of each. A host that accepts
//! connections and never answers would block all others. Here a host without an answer is joined by the next one.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error as PgError, Socket};

use super::Tls;
use crate::store::errors::{is_unavailable, is_wrong_server, tls_error};

/// The time without an answer after which the next host is tried, too. While a host is silent, those that refused are
/// tried again after this time, so that a promotion is noticed within a fraction of a second.
const PAUSE: Duration = Duration::from_millis(200);

/// The port of a host whose port is not given.
const DEFAULT_PORT: u16 = 5432;

/// A new connection, before its driver runs.
type Opened = (Client, Connection<Socket, <Tls as MakeTlsConnect<Socket>>::Stream>);

/// The index of the host to try first, shared by all pools of a database: the last one that was connected, or the next
/// one if that is silent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct PreferredHost(Arc<AtomicUsize>);

/// The hosts of a database. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// The settings for each host.
    configs: Arc<[Config]>,
    preferred: PreferredHost,
    /// Whether each connection uses the hosts in a random order.
    pub(super) is_random: bool,
    /// The longest time for one host: the TCP connect, TLS, the login, and the check of `target_session_attrs`.
    patience: Duration,
}

impl Hosts {
    /// Takes the hosts of a configuration. They share the time to connect, so that one that does not answer leaves time
    /// for the others.
    pub(super) fn new(config: &Config, preferred: &PreferredHost, connect_timeout: Duration) -> Self {
        let hosts = config.get_hosts();
        let patience = connect_timeout / u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
        let single = |(index, host)| single_host(config, index, host, patience);
        Self {
            configs: hosts.iter().enumerate().map(single).collect(),
            preferred: preferred.clone(),
            is_random: config.get_load_balance_hosts() == LoadBalanceHosts::Random,
            patience,
        }
    }

    /// Connects to the first host that accepts the login and has the wanted role, and returns its index. When none does,
    /// returns the error that explains most. Waits while no host answers at all: the pool limits the time.
    pub(super) async fn connect(&self, tls: &Tls) -> Result<(usize, Opened), PgError> {
        let attempt = |host| self.attempt(host, tls);
        let mut untried = self.in_order().into_iter();
        let mut attempts: FuturesUnordered<_> = untried.next().map(attempt).into_iter().collect();
        let (mut refused, mut failure) = (Vec::new(), None);
        while !attempts.is_empty() {
            match timeout(PAUSE, attempts.next()).await {
                Ok(Some((host, Ok(opened)))) => {
                    self.preferred.set(host);
                    return Ok((host, opened));
                }
                Ok(Some((host, Err(Some(error))))) => {
                    if !is_permanent(&error) {
                        refused.push(host);
                    }
                    failure = Some(more_serious(failure, error));
                }
                Ok(Some((_, Err(None))) | None) => {}
                Err(_elapsed) => match untried.as_slice().first() {
                    Some(next) => self.preferred.set(*next),
                    None => attempts.extend(refused.drain(..).map(attempt)),
                },
            }
            attempts.extend(untried.next().map(attempt));
        }
        match failure {
            Some(error) => Err(error),
            None => pending().await,
        }
    }

    /// Returns the indexes of the hosts in the order in which they are tried.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.configs.len()).collect();
        if self.is_random {
            order.sort_by_cached_key(|_| getrandom::u64().unwrap_or_default());
        } else {
            let first = self.preferred.get().min(order.len());
            order.rotate_left(first);
        }
        order
    }

    /// Connects to one host. Returns its index with the result; `None` as the error if it does not answer in time.
    async fn attempt(&self, host: usize, tls: &Tls) -> (usize, Result<Opened, Option<PgError>>) {
        let Some(config) = self.configs.get(host) else { return (host, Err(None)) };
        let opened = match timeout(self.patience, config.connect(tls.clone())).await {
            Ok(opened) => opened.map_err(Some),
            Err(_elapsed) => Err(None),
        };
        (host, opened)
    }
}

impl PreferredHost {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, host: usize) {
        self.0.store(host, Ordering::Relaxed);
    }
}

/// Returns the error that explains more: a refused login or a bad certificate rather than a host with the wrong role, and
/// that rather than a host that is down.
fn more_serious(first: Option<PgError>, second: PgError) -> PgError {
    let weight = |error: &PgError| (is_permanent(error), is_wrong_server(error));
    match first {
        Some(first) if weight(&first) > weight(&second) => first,
        Some(_) | None => second,
    }
}

/// Whether the error stays until somebody corrects the settings.
fn is_permanent(error: &PgError) -> bool {
    !is_unavailable(error) || tls_error(error).is_some()
}

/// Returns the port of a host.
pub(super) fn port(config: &Config, index: usize) -> u16 {
    let ports = config.get_ports();
    ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT)
}

/// Returns the configuration for one of several hosts.
fn single_host(config: &Config, index: usize, host: &Host, connect_timeout: Duration) -> Config {
    let mut single = Config::new();
    match host {
        Host::Tcp(name) => single.host(name),
        Host::Unix(folder) => single.host_path(folder),
    };
    config.get_hostaddrs().get(index).map(|address| single.hostaddr(*address));
    single.port(port(config, index));
    config.get_user().map(|user| single.user(user));
    config.get_password().map(|password| single.password(password));
    config.get_dbname().map(|dbname| single.dbname(dbname));
    config.get_options().map(|options| single.options(options));
    config.get_application_name().map(|name| single.application_name(name));
    config.get_tcp_user_timeout().map(|time| single.tcp_user_timeout(*time));
    config.get_keepalives_interval().map(|interval| single.keepalives_interval(interval));
    config.get_keepalives_retries().map(|retries| single.keepalives_retries(retries));
    single
        .connect_timeout(connect_timeout)
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .load_balance_hosts(config.get_load_balance_hosts());
    single
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every parameter that the client library knows, but the hosts.
    const OTHERS: &str = "user=u password=p dbname=d options=-cjit=off application_name=a sslmode=require \
         sslnegotiation=direct connect_timeout=3 tcp_user_timeout=4 keepalives=0 keepalives_idle=5 \
         keepalives_interval=6 keepalives_retries=7 target_session_attrs=read-write channel_binding=require \
         load_balance_hosts=random";

    fn config(hosts: &str) -> Config {
        format!("{hosts} {OTHERS}").parse().unwrap()
    }

    fn hosts(text: &str) -> Hosts {
        Hosts::new(&text.parse().unwrap(), &PreferredHost::default(), Duration::from_secs(1))
    }

    #[test]
    fn each_host_keeps_all_parameters() {
        let both = config("host=a,/b hostaddr=127.0.0.1,127.0.0.2 port=1,2");
        let hosts = Hosts::new(&both, &PreferredHost::default(), Duration::from_secs(6));
        let each = ["host=a hostaddr=127.0.0.1 port=1", "host=/b hostaddr=127.0.0.2 port=2"];
        assert!(*hosts.configs == each.map(config));
    }

    #[test]
    fn hosts_share_a_port() {
        let ports = |text: &str| -> Vec<_> {
            hosts(text).configs.iter().flat_map(|one| one.get_ports().to_vec()).collect()
        };
        assert_eq!((ports("host=a,b port=1"), ports("host=a,b")), (vec![1, 1], vec![5432, 5432]));
    }

    #[test]
    fn the_preferred_host_is_first() {
        let hosts = hosts("host=a,b,c");
        assert_eq!(hosts.in_order(), [0, 1, 2]);
        hosts.preferred.set(1);
        assert_eq!(hosts.in_order(), [1, 2, 0]);
    }

    #[test]
    fn load_balancing_begins_with_any_host() {
        let hosts = hosts("host=a,b load_balance_hosts=random");
        let firsts: BTreeSet<_> = (0..100).map(|_| hosts.in_order()[0]).collect();
        assert_eq!(firsts.len(), 2);
    }
}
