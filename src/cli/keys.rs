//! The `keys` command.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::shared::{at, on_database};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::KeysSettings;
use crate::domain::{Key, KeyId, Mode, Name, Scope, Secret};
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

pub(super) async fn run(arguments: KeysArguments, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let (config, mode) = arguments.settings.parse()?;
    prepare_process(config.log, exposed);
    let (database, command) = (config.database, arguments.command);
    on_database(&database, async |address| {
        let store = Store::open(address, &database.options).await.map_err(|error| at(address, &error))?;
        match command {
            KeysCommand::Create { name, read_only } => create(&store, mode, name, read_only).await,
            KeysCommand::List => list(&store).await,
            KeysCommand::Revoke { id } => revoke(&store, id).await,
        }
    })
    .await?;
    Ok(true)
}

async fn create(store: &Store, mode: Mode, name: Name, read_only: bool) -> Result<(), BoxError> {
    let mut out = io::stdout();
    let scope = if read_only { Scope::Read } else { Scope::Write };
    let secret = Secret::generate(mode)?;
    let key = new_key(name.into(), scope, mode);
    store.insert_key(&key, secret.digest()).await?;
    if let Err(error) = writeln!(out, "{}", secret.expose()).and_then(|()| out.flush()) {
        // Nobody has seen the key, so nobody can use it.
        store.revoke_key(key.id).await?;
        return Err(error.into());
    }
    print(format_args!("The key {} is not shown again.", key.id));
    Ok(())
}

pub(super) fn new_key(name: String, scope: Scope, mode: Mode) -> Key {
    Key { id: KeyId::generate(), name, scope, mode, revoked_at: None }
}

async fn list(store: &Store) -> Result<(), BoxError> {
    let mut out = io::stdout();
    writeln!(out, "{:<30}  {:<5}  {:<4}  {:<24}  {:<24}  NAME", "ID", "SCOPE", "MODE", "CREATED", "REVOKED")?;
    for Key { id, name, scope, mode, revoked_at } in store.list_keys().await? {
        let (scope, mode, created) = (scope.name(), mode.name(), id.created_at().to_string());
        let revoked = revoked_at.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let id = id.to_string();
        writeln!(out, "{id:<30}  {scope:<5}  {mode:<4}  {created:<24}  {revoked:<24}  {name}")?;
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
