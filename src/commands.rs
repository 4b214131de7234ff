//! What the command line can do.

mod files;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::pin::{Pin, pin};

use clap::Subcommand;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::{Key, KeyRing, Mode, Scope, Secret};
use crate::config::{Config, Source};
use crate::domain::{KeyId, Name};
use crate::embedded::{self, Embedded};
use crate::error::Cause;
use crate::server::Server;
use crate::store::{self, Database, OpenError, Store};
use crate::traces;

pub use files::{ExportArguments, ImportArguments, export, import};

/// What `keys` can do.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, once
    Create {
        /// What the key is for, for people: 1 to 255 characters
        #[arg(long, value_parser = parse_name)]
        name: Name,
        /// Let it read, but not write
        #[arg(long)]
        read_only: bool,
    },
    /// List all keys, without their text
    List,
    /// End a key, on every replica within two seconds
    Revoke {
        /// The id that `keys list` shows
        #[arg(value_parser = |text: &str| KeyId::parse(text).ok_or("it is no id of a key; see `keys list`"))]
        id: KeyId,
    },
}

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse("the name", text).map_err(|violation| violation.description)
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// Why it could not start, or had to stop.
pub async fn serve(config: Config) -> Result<(), Cause> {
    let stop = pin!(stop_signal()?);
    allow_open_files(config.server.limits.connections);
    let export = config.traces.clone().map(traces::start).transpose()?;
    let served = match &config.source {
        Source::Given(database) => serve_on(&config, database, stop).await,
        Source::Embedded(options) => serve_embedded(&config, options, stop).await,
    };
    if let Some(export) = export {
        export.finish().await;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

async fn serve_embedded(
    config: &Config,
    options: &embedded::Options,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Cause> {
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
) -> Result<(), Cause> {
    let store = tokio::select! {
        opened = Store::open(database, &config.limits) => opened.map_err(|error| at(database, &error))?,
        () = &mut stop => return Ok(()),
    };
    let store = match &config.standby {
        Some(standby) => store.with_standby(standby).map_err(|error| at(standby, &error))?,
        None => store,
    };
    let keys = KeyRing::new(store.clone(), config.mode, config.api_key.as_ref());
    let server = Server::bind(config.server.clone(), store.clone(), keys).await?;
    tracing::info!(%database, mode = config.mode.name(), "the database is up to date");
    if config.api_key.is_none() {
        provide_key(config, &store, server.address()).await?;
    }
    server.run(stop).await;
    store.close();
    Ok(())
}

/// Works with the keys, whether the service runs or not.
///
/// # Errors
///
/// Why it could not.
pub async fn keys(config: Config, command: KeysCommand) -> Result<(), Cause> {
    on_database(&config, async |database| keys_on(&config, database, command).await).await
}

/// Checks the whole database, whether the service runs or not, and prints a line for each thing that is wrong, or
/// one when nothing is. Answers whether nothing is.
///
/// # Errors
///
/// Why it could not be checked.
pub async fn verify(config: Config) -> Result<bool, Cause> {
    let check = async |database: &Database| {
        store::verify(database, &config.limits).await.map_err(|error| at(database, &error))
    };
    let report = on_database(&config, check).await?;
    let mut out = std::io::stdout().lock();
    if report.findings.is_empty() {
        writeln!(out, "{} customer groups were checked, and nothing is wrong", report.groups)?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    out.flush()?;
    Ok(report.findings.is_empty())
}

/// Works on the database of the settings, whether the service runs or not.
async fn on_database<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Database) -> Result<T, Cause>,
) -> Result<T, Cause> {
    match &config.source {
        Source::Given(database) => work(database).await,
        Source::Embedded(options) => {
            let embedded = Embedded::start_or_join(options).await?;
            let done = work(embedded.database()).await;
            let stopped = embedded.stop().await;
            done.and_then(|done| stopped.map(|()| done))
        }
    }
}

async fn keys_on(config: &Config, database: &Database, command: KeysCommand) -> Result<(), Cause> {
    let store = Store::open(database, &config.limits).await.map_err(|error| at(database, &error))?;
    let mut out = std::io::stdout();
    match command {
        KeysCommand::Create { name, read_only } => {
            let scope = if read_only { Scope::Read } else { Scope::Write };
            let secret = Secret::generate(config.mode)?;
            let key = new_key(name.into(), scope, config.mode);
            store.insert_key(&key, secret.digest()).await?;
            if let Err(error) = writeln!(out, "{}", secret.expose()).and_then(|()| out.flush()) {
                // A key that nobody has seen is of use to nobody.
                store.revoke_key(key.id).await?;
                return Err(error.into());
            }
            eprintln!("This is the only time that the key {} is shown.", key.id);
        }
        KeysCommand::List => {
            writeln!(
                out,
                "{:<30}  {:<5}  {:<4}  {:<24}  {:<24}  NAME",
                "ID", "SCOPE", "MODE", "CREATED", "REVOKED"
            )?;
            for Key { id, name, scope, mode, revoked_at } in store.list_keys().await? {
                let (scope, mode, created) = (scope.name(), mode.name(), id.created_at().to_string());
                let revoked = revoked_at.map_or_else(|| "-".to_owned(), |time| time.to_string());
                let id = id.to_string();
                writeln!(out, "{id:<30}  {scope:<5}  {mode:<4}  {created:<24}  {revoked:<24}  {name}")?;
            }
        }
        KeysCommand::Revoke { id } => {
            if !store.revoke_key(id).await? {
                return Err(format!("no key has the id {id}; `keys list` shows those that there are").into());
            }
            eprintln!("Revoked; every replica refuses it within two seconds.");
        }
    }
    Ok(())
}

fn new_key(name: String, scope: Scope, mode: Mode) -> Key {
    Key { id: KeyId::generate(), name, scope, mode, revoked_at: None }
}

/// Makes a key where there never was one of the mode, for someone who has just started the service on a database
/// of its own. Someone else's database gets no key that nobody asked for, but its operator is told.
async fn provide_key(config: &Config, store: &Store, address: SocketAddr) -> Result<(), Cause> {
    let mode = config.mode;
    let keys: Vec<Key> = store.list_keys().await?.into_iter().filter(|key| key.mode == mode).collect();
    if let (Source::Embedded(_), []) = (&config.source, keys.as_slice()) {
        return make_first_key(config, store, address).await;
    }
    if keys.iter().all(|key| key.revoked_at.is_some()) {
        let mode = mode.name();
        tracing::warn!(
            "no API key for {mode} mode; make one with `customer-groups keys create --name …`, or set API_KEY"
        );
    }
    Ok(())
}

async fn make_first_key(config: &Config, store: &Store, address: SocketAddr) -> Result<(), Cause> {
    let mode = config.mode;
    let secret = Secret::generate(mode)?;
    let path = config.data_dir.join("api-key");
    // Written first: a key that is in the table but nowhere else would be of no use.
    let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{}", secret.expose())?;
    store.insert_key(&new_key("first".to_owned(), Scope::Write, mode), secret.digest()).await?;

    let (key, path, mode) = (secret.expose(), path.display(), mode.name());
    let host = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let address = SocketAddr::new(host, address.port());
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    writeln!(
        std::io::stdout(),
        "There was no API key for {mode} mode, so one was made. It is kept in {path}. Try it:

    curl {scheme}://{address}/api/setup/customer-group -H 'Authorization: Bearer {key}'

In a clone, this adds some customer groups to look at, while the service runs:

    cargo run -q --release --locked -- import examples/sample.csv
"
    )?;
    Ok(())
}

/// Takes as many open files as the system lets it, since each connection is one, and says so when they are too few.
fn allow_open_files(connections: NonZeroUsize) {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most).map(|()| most));
    match allowed {
        Ok(files) if files > connections.get() as u64 => {}
        Ok(files) => tracing::warn!(
            "{files} files may be open, too few for MAX_CONNECTIONS={connections}; raise `ulimit -n`, or lower it"
        ),
        Err(error) => tracing::warn!(%error, "it is not known how many files may be open"),
    }
}

/// Keeps what is in memory, API keys among it, out of files when the process crashes. A limit of one byte is too little
/// for a file, and Linux hands nothing to a program either, as it would with none ([core(5)]).
///
/// [core(5)]: https://man7.org/linux/man-pages/man5/core.5.html
pub fn write_no_core() {
    let limited = getrlimit(Resource::RLIMIT_CORE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_CORE, most.min(1), most.min(1)));
    if let Err(error) = limited {
        tracing::warn!(%error, "a crash may leave a core file with API keys in it");
    }
}

/// Ends when the process is asked to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says which database it is that something is wrong with.
fn at(database: &Database, error: &OpenError) -> Cause {
    format!("the database {database} cannot be used: {error}").into()
}
