//! Configuration: flags and environment variables, parsed to one typed value. Every mistake is reported at once.

mod database;
mod environment;
mod limits;
mod parse;
mod serve;
#[cfg(test)]
mod tests;
mod tls;
mod traces;

use std::fmt::Display;
use std::time::Duration;

use clap::Args;

use crate::domain::Mode;

pub(crate) use database::{CommandConfig, CommandSettings, DatabaseConfig, DatabaseSource, LogConfig};
pub(crate) use serve::{Config, ServeSettings};

const MODE: &str = "MODE";

/// The settings of `keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysSettings {
    #[command(flatten)]
    mode: ModeSettings,

    #[command(flatten)]
    command: CommandSettings,
}

impl KeysSettings {
    /// Returns every problem of the settings, one line each.
    pub(crate) fn parse(self) -> Result<(CommandConfig, Mode), Vec<String>> {
        let mut problems = Problems::default();
        let mode = self.mode.check(&mut problems);
        let config = self.command.check(&mut problems);
        problems.finish(config.zip(mode))
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "API keys")]
struct ModeSettings {
    /// Kind of API keys: test (sk_test_…) or live (sk_live_…)
    #[arg(long, env = MODE, global = true, default_value = "test", value_name = "MODE")]
    mode: String,
}

impl ModeSettings {
    fn check(&self, problems: &mut Problems) -> Option<Mode> {
        problems.check(MODE, parse::mode(&self.mode))
    }
}

/// A valid setting; `None` when its problem is recorded.
type Checked<T> = Option<T>;

/// The problems found so far, one line each. A line begins with the name of the environment variable.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Returns the value, or records the problem under the name of the setting.
    fn check<T>(&mut self, name: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|problem| self.0.push(format!("{name}: {problem}"))).ok()
    }

    /// Returns the settings if there is no problem.
    fn finish<T>(self, settings: Option<T>) -> Result<T, Vec<String>> {
        settings.filter(|_| self.0.is_empty()).ok_or(self.0)
    }

    fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        self.check(name, parse::duration(text))
    }
}
