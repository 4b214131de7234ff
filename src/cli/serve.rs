//! The `serve` command.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf, absolute};
use std::pin::{Pin, pin};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::keys::new_key;
use super::shared::at;
use super::{ExposedSecrets, Failure, prepare_process};
use crate::auth::KeyCache;
use crate::config::{Config, DatabaseSource, ServeSettings};
use crate::domain::{Key, Mode, Scope, Secret, Timestamp};
use crate::embedded::{Embedded, EmbeddedOptions};
use crate::error::BoxError;
use crate::listen::{ListenAddress, Server};
use crate::store::{Database, Store};
use crate::telemetry::traces;

pub(super) async fn run(settings: ServeSettings, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let (config, log) = Config::parse(settings);
    // Before the problems of the settings are reported, so that they have the format of the log.
    if let Some(log) = log {
        prepare_process(log, exposed);
    }
    serve(&config?).await?;
    Ok(true)
}

/// Serves until SIGTERM or SIGINT.
async fn serve(config: &Config) -> Result<(), BoxError> {
    let stop = pin!(stop_signal()?);
    raise_open_files_limit(config.server.limits.connections);
    let exporter = config.traces.clone().map(traces::start).transpose()?;
    let served = match &config.database.source {
        DatabaseSource::External(database) => serve_on(config, database, stop).await,
        DatabaseSource::Embedded(options) => serve_embedded(config, options, stop).await,
    };
    if let Some(exporter) = exporter {
        exporter.finish().await;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

async fn serve_embedded(
    config: &Config,
    options: &EmbeddedOptions,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), BoxError> {
    let mut embedded = tokio::select! {
        started = Embedded::start(options) => started?,
        () = &mut stop => return Ok(()),
    };
    let database = embedded.database().clone();
    let served = tokio::select! {
        served = serve_on(config, &database, stop) => served,
        () = embedded.exited() => Err("the private PostgreSQL stopped; see postgres.log in DATA_DIR".into()),
    };
    served.and(embedded.stop().await)
}

async fn serve_on(
    config: &Config,
    database: &Database,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), BoxError> {
    let store = tokio::select! {
        opened = Store::open(database, &config.database.options) => opened.map_err(|error| at(database, &error))?,
        () = &mut stop => return Ok(()),
    };
    let store = match &config.replica {
        Some(replica) => store.with_replica(replica).map_err(|error| at(replica, &error))?,
        None => store,
    };
    let keys = KeyCache::new(store.clone(), config.mode, config.api_key.as_ref());
    let server = Server::bind(config.server.clone(), store.clone(), keys).await?;
    store.follow_newest_id().await?;
    tracing::info!(%database, mode = config.mode.name(), "the database is up to date");
    announce(config, &store, server.address()).await?;
    server.run(stop).await;
    store.close();
    Ok(())
}

/// Prints where the service is and where to find an API key.
async fn announce(config: &Config, store: &Store, address: &ListenAddress) -> Result<(), BoxError> {
    let (place, url) = place(config, address);
    let key = match config.api_key {
        Some(_) => "the value of API_KEY".to_owned(),
        None => provide_key(config, store, &url).await?,
    };
    if let Err(error) = writeln!(io::stdout(), "{place}\nAPI key:  {key}") {
        tracing::warn!(%error, "the address of the service cannot be printed");
    }
    Ok(())
}

/// Returns the URL of the explorer, or the path of the Unix socket, and the arguments by which `curl` on this machine
/// finds the service.
fn place(config: &Config, address: &ListenAddress) -> (String, String) {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    match address {
        ListenAddress::Tcp(first, _) => {
            let host = if first.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { first.ip() };
            let url = format!("{scheme}://{}", SocketAddr::new(host, first.port()));
            (format!("Explorer: {url}/"), url)
        }
        ListenAddress::Unix(path) => {
            let path = path.display();
            (format!("Socket:   {path}"), format!("--unix-socket {path} {scheme}://localhost"))
        }
    }
}

/// Returns where to find an API key. A private PostgreSQL that never had a key of the mode gets one. Any other database
/// does not: its operator decides about its keys.
async fn provide_key(config: &Config, store: &Store, url: &str) -> Result<String, BoxError> {
    const CREATE: &str = "`customer-groups keys create --name …`";
    let mode = config.mode;
    let is_embedded = matches!(config.database.source, DatabaseSource::Embedded(_));
    let path = absolute(key_file(&config.database.data_dir, mode))?;
    if is_embedded {
        separate_live_key(&config.database.data_dir)?;
    }
    let keys: Vec<Key> = store.list_keys().await?.into_iter().filter(|key| key.mode == mode).collect();
    if is_embedded && keys.is_empty() {
        create_first_key(mode, store, &path, url).await?;
        return Ok(path.display().to_string());
    }
    let now = Timestamp::now();
    if !keys.iter().any(|key| key.is_valid(now)) {
        let mode = mode.name();
        tracing::warn!("no API key for {mode} mode; create one with {CREATE}, or set API_KEY");
        return Ok(format!("none for {mode} mode; {CREATE} creates one"));
    }
    if is_embedded && has_active_key(&path, mode, store).await? {
        return Ok(path.display().to_string());
    }
    Ok(format!("one of `customer-groups keys list`; {CREATE} creates another"))
}

/// The file with the first key of a mode.
fn key_file(data_dir: &Path, mode: Mode) -> PathBuf {
    data_dir.join(match mode {
        Mode::Test => "api-key",
        Mode::Live => "api-key-live",
    })
}

/// Renames the file of a live key that an earlier release wrote: it had one file for both modes.
fn separate_live_key(data_dir: &Path) -> Result<(), BoxError> {
    let (of_both, of_live) = (key_file(data_dir, Mode::Test), key_file(data_dir, Mode::Live));
    let is_live = fs::read_to_string(&of_both).is_ok_and(|text| Mode::of(&text) == Some(Mode::Live));
    if is_live && !of_live.exists() {
        fs::rename(&of_both, &of_live)
            .map_err(|error| format!("{} cannot be renamed: {error}", of_both.display()))?;
    }
    Ok(())
}

async fn has_active_key(path: &Path, mode: Mode, store: &Store) -> Result<bool, BoxError> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(false) };
    let Ok(secret) = Secret::parse(mode, text.trim()) else { return Ok(false) };
    Ok(store.find_key(secret.digest()).await?.is_some())
}

async fn create_first_key(mode: Mode, store: &Store, path: &Path, url: &str) -> Result<(), BoxError> {
    let secret = Secret::generate(mode)?;
    // Written first: a key that is only in the table is of no use.
    let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{}", secret.expose())?;
    store.insert_key(&new_key("first".to_owned(), Scope::Write, mode, None), secret.digest()).await?;
    writeln!(
        io::stdout(),
        "There was no API key for {} mode, so one was created. Try it:

    curl {url}/api/setup/customer-group -H 'Authorization: Bearer {}'

In a clone of the repository, this adds some customer groups while the service runs:

    cargo run -q --release --locked -- import examples/sample.csv
",
        mode.name(),
        secret.expose()
    )?;
    Ok(())
}

/// Raises the limit of open files to the maximum. Warns when it is too low, since each connection is an open file.
fn raise_open_files_limit(connections: NonZeroUsize) {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    match allowed {
        Ok(files) if files > connections.get() as u64 => {}
        Ok(files) => tracing::warn!(
            "the limit of {files} open files is too low for MAX_CONNECTIONS={connections}; raise `ulimit -n`, or lower \
             MAX_CONNECTIONS"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

/// Completes when the process receives SIGTERM or SIGINT.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
