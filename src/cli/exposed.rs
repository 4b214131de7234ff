//! Secrets that were given as flags.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::store::Database;

/// The flags with a secret on the command line, where `ps` shows it to every user of the machine.
#[derive(Debug, Default)]
pub(super) struct ExposedSecrets(Vec<Flag>);

#[derive(Debug)]
struct Flag {
    flag: &'static str,
    variable: &'static str,
}

impl ExposedSecrets {
    /// Finds them in the arguments of the innermost command, which contain those of the outer commands.
    pub(super) fn find(matches: &ArgMatches) -> Self {
        let mut command = matches;
        while let Some((_, inner)) = command.subcommand() {
            command = inner;
        }
        // The ids are the names of the fields. `value_source` panics with an id that the command does not have.
        let is_flag = |id: &str| command.value_source(id) == Some(ValueSource::CommandLine);
        let given = command.ids().map(clap::Id::as_str).filter(|id| is_flag(id));
        Self(given.filter_map(|id| Flag::of(command, id)).collect())
    }

    /// Warns of each. The log must be ready.
    pub(super) fn warn(&self) {
        for Flag { flag, variable } in &self.0 {
            tracing::warn!(
                "{flag} contains a secret, and every user of this machine can see it with `ps`; set {variable} instead"
            );
        }
    }
}

impl Flag {
    /// Returns the flag of this id if its value contains a secret.
    fn of(command: &ArgMatches, id: &str) -> Option<Self> {
        let has_password = || {
            let url = command.try_get_one::<String>(id).ok().flatten();
            url.is_some_and(|url| url.parse::<Database>().is_ok_and(|database| database.has_password()))
        };
        match id {
            "api_key" => Some(Self { flag: "--api-key", variable: "API_KEY" }),
            "database_url" if has_password() => {
                Some(Self { flag: "--database-url", variable: "DATABASE_URL" })
            }
            "database_read_url" if has_password() => {
                Some(Self { flag: "--database-read-url", variable: "DATABASE_READ_URL" })
            }
            _ => None,
        }
    }
}
