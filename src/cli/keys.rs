//! The `keys` command.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::{Span, SpanRelativeTo};

use super::shared::{at, on_database};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::KeysSettings;
use crate::domain::{Key, KeyId, Mode, Name, Scope, Secret, Timestamp};
use crate::error::BoxError;
use crate::store::Store;
use crate::telemetry::print;

#[derive(Debug, Args)]
pub(super) struct KeysArguments {
    #[command(subcommand)]
    command: KeysCommand,

    #[command(flatten)]
    settings: KeysSettings,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Create a key and print it; it is not shown again
    Create {
        /// Name of the key, for people: 1 to 255 characters
        #[arg(long, value_parser = parse_name)]
        name: Name,
        /// Permit reading only
        #[arg(long)]
        read_only: bool,
        /// Time until the key expires, such as 12h, 90d or 1y, from 1m to 10y [default: valid until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
        expires_in: Option<Duration>,
    },
    /// List all keys, without their text
    List,
    /// Revoke a key, on every replica within two seconds
    Revoke {
        /// The id that `keys list` shows
        #[arg(value_parser = |text: &str| KeyId::parse(text).ok_or("it is not the id of a key; see `keys list`"))]
        id: KeyId,
    },
}

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse("the name", text).map_err(|violation| violation.description)
}

/// A day has 24 hours here, a week 7 days, and a year 365.
fn parse_lifetime(text: &str) -> Result<Duration, String> {
    const MIN: Duration = Duration::from_mins(1);
    const MAX: Duration = Duration::from_hours(10 * 365 * 24);
    let days = |span: Span| {
        let days = span.get_days() + i32::from(span.get_years()) * 365;
        span.years(0).try_days(days).ok()
    };
    let span = text.parse().ok().and_then(days);
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    time.and_then(|time| Duration::try_from(time).ok()).filter(|time| (MIN..=MAX).contains(time)).ok_or_else(
        || format!("{text:?} is not a valid time; use one such as 12h, 90d or 1y, from 1m to 10y"),
    )
}

pub(super) async fn run(arguments: KeysArguments, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let (config, mode) = arguments.settings.parse()?;
    prepare_process(config.log, exposed);
    let (database, command) = (config.database, arguments.command);
    on_database(&database, async |address| {
        let store = Store::open(address, &database.options).await.map_err(|error| at(address, &error))?;
        match command {
            KeysCommand::Create { name, read_only, expires_in } => {
                let scope = if read_only { Scope::Read } else { Scope::Write };
                create(&store, new_key(name.into(), scope, mode, expires_in)).await
            }
            KeysCommand::List => list(&store).await,
            KeysCommand::Revoke { id } => revoke(&store, id).await,
        }
    })
    .await?;
    Ok(true)
}

async fn create(store: &Store, key: Key) -> Result<(), BoxError> {
    let mut out = io::stdout();
    let secret = Secret::generate(key.mode)?;
    store.insert_key(&key, secret.digest()).await?;
    if let Err(error) = writeln!(out, "{}", secret.expose()).and_then(|()| out.flush()) {
        // Nobody has seen the key, so nobody can use it.
        store.revoke_key(key.id).await?;
        return Err(error.into());
    }
    print(format_args!("The key {} is not shown again.", key.id));
    Ok(())
}

pub(super) fn new_key(name: String, scope: Scope, mode: Mode, expires_in: Option<Duration>) -> Key {
    let expires_at = expires_in.map(|time| Timestamp::now().after(time));
    Key { id: KeyId::generate(), name, scope, mode, expires_at, last_used_at: None, revoked_at: None }
}

async fn list(store: &Store) -> Result<(), BoxError> {
    let mut out = io::stdout();
    let mut write = |id: &str, scope, mode, times: [String; 4], name: &str| {
        let times = times.map(|time| format!("{time:<24}")).join("  ");
        writeln!(out, "{id:<30}  {scope:<5}  {mode:<4}  {times}  {name}")
    };
    let titles = ["CREATED", "LAST USED", "EXPIRES", "REVOKED"].map(str::to_owned);
    write("ID", "SCOPE", "MODE", titles, "NAME")?;
    let shown = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    for Key { id, name, scope, mode, expires_at, last_used_at, revoked_at } in store.list_keys().await? {
        let times = [Some(id.created_at()), last_used_at, expires_at, revoked_at].map(shown);
        write(&id.to_string(), scope.name(), mode.name(), times, &name)?;
    }
    Ok(())
}

async fn revoke(store: &Store, id: KeyId) -> Result<(), BoxError> {
    if !store.revoke_key(id).await? {
        return Err(format!("no key has the id {id}; `keys list` shows all keys").into());
    }
    print(format_args!("Revoked; every replica rejects the key within two seconds."));
    Ok(())
}
