//! Settings: flags and environment variables to one typed [`Config`], every mistake reported at once.

mod bounds;
mod parse;
mod tls;
mod traces;

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use nix::unistd::geteuid;
use tracing_subscriber::EnvFilter;

use crate::auth::{Mode, Secret};
use crate::embedded;
use crate::server::{self, Origins, Timeouts};
use crate::store::{Database, Limits};
use crate::telemetry::{DEFAULT_FILTER, LogFormat};
use bounds::Bounds;
use tls::Encryption;
use traces::Traces;

/// The settings as they were given, each a flag with an environment variable.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// PostgreSQL 14 or newer, as postgres://user:password@host:port/database; without it a private
    /// PostgreSQL is started in the data folder. On a Unix socket:
    /// postgres://user@%2Fvar%2Frun%2Fpostgresql/database
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Folder of the private PostgreSQL and the first API key [default: ./data, for root
    /// /var/lib/customer-groups]
    #[arg(long, env = "DATA_DIR", global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// Folder of postgres and initdb [default: the newest of /usr/lib/postgresql/*/bin, then PATH]
    #[arg(long, env = "PG_BIN_DIR", global = true, value_name = "FOLDER")]
    pg_bin_dir: Option<PathBuf>,

    /// Which API keys are taken: test (sk_test_…) or live (sk_live_…)
    #[arg(long, env = "MODE", global = true, default_value = "test", value_name = "MODE")]
    mode: String,

    /// How long connecting to PostgreSQL may take, such as 5s or 500ms; all times are from 1ms to 24h
    #[arg(long, env = "CONNECT_TIMEOUT", global = true, default_value = "5s", value_name = "TIME")]
    connect_timeout: String,

    /// Form of the log on standard error: pretty or json
    #[arg(long, env = "LOG_FORMAT", global = true, default_value = "pretty", value_name = "FORMAT")]
    log_format: String,

    /// What is logged, as in info,customer_groups=debug
    #[arg(long, env = "RUST_LOG", global = true, default_value = DEFAULT_FILTER, value_name = "FILTER")]
    log: String,

    #[command(flatten)]
    serving: Serving,
}

/// Those of the settings that only serving needs. Other commands take them too, and have no use for them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings for serving")]
struct Serving {
    /// Standbys of DATABASE_URL, in the same form, from which lists are read; without it all is read from DATABASE_URL
    #[arg(long, env = "DATABASE_READ_URL", global = true, hide_env_values = true, value_name = "URL")]
    database_read_url: Option<String>,

    /// Address and port to listen on; port 0 takes a free one, which is logged
    #[arg(long, env = "LISTEN", global = true, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,

    /// Address and port of the metrics, at /metrics, for those who may see them without a key; port 0 takes a free one,
    /// which is logged, and an empty one switches them off
    #[arg(
        long,
        env = "ADMIN_LISTEN",
        global = true,
        default_value = "127.0.0.1:9090",
        value_name = "ADDRESS"
    )]
    admin_listen: String,

    /// One more API key that may write and is kept in no table: 24 characters or more that begin with
    /// sk_test_, or sk_live_ in live mode
    #[arg(long, env = "API_KEY", global = true, hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,

    /// Origins whose pages may call the service from a browser, with commas between them, or * for all
    #[arg(long, env = "CORS_ORIGINS", global = true, value_name = "ORIGINS")]
    cors_origins: Option<String>,

    /// Threads that serve connections, 1 to 1000 [default: one for each core]
    #[arg(long, env = "WORKERS", global = true, value_name = "NUMBER")]
    workers: Option<String>,

    /// The most connections to PostgreSQL for calls, 1 to 1000; more are used: one for health and keys, and two
    /// of each worker for reads of one group and of ancestors
    #[arg(long, env = "POOL_SIZE", global = true, default_value = "16", value_name = "NUMBER")]
    pool_size: String,

    /// The most calls that wait for a free connection, 1 to 1000000; those that come when there are so many are refused
    #[arg(long, env = "POOL_QUEUE", global = true, default_value = "2048", value_name = "NUMBER")]
    pool_queue: String,

    /// How long a call waits for a free connection
    #[arg(long, env = "POOL_TIMEOUT", global = true, default_value = "5s", value_name = "TIME")]
    pool_timeout: String,

    /// How long a call may take; a caller may ask for less, and a long list that has begun may take longer, but not
    /// stand still for so long
    #[arg(long, env = "REQUEST_TIMEOUT", global = true, default_value = "30s", value_name = "TIME")]
    request_timeout: String,

    /// How long calls that are under way may take when the service is stopped
    #[arg(long, env = "DRAIN_TIMEOUT", global = true, default_value = "25s", value_name = "TIME")]
    drain_timeout: String,

    /// How long the handshake of TLS may take, the headers of a request, and the first request of a connection to begin
    #[arg(long, env = "HEADER_TIMEOUT", global = true, default_value = "10s", value_name = "TIME")]
    header_timeout: String,

    #[command(flatten)]
    bounds: Bounds,

    #[command(flatten)]
    encryption: Encryption,

    #[command(flatten)]
    traces: Traces,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Source {
    /// At a server that someone else runs.
    Given(Database),
    /// In a private PostgreSQL.
    Embedded(embedded::Options),
}

/// The settings as they are used.
#[derive(Debug)]
pub struct Config {
    /// Where the database is.
    pub source: Source,
    /// Standbys of it.
    pub standby: Option<Database>,
    /// The folder of the private PostgreSQL and the first API key.
    pub data_dir: PathBuf,
    /// Which keys are taken.
    pub mode: Mode,
    /// The key that is in no table.
    pub api_key: Option<Secret>,
    /// Connections, and how long is waited for them.
    pub limits: Limits,
    /// How the server serves.
    pub server: server::Options,
    /// Where traces go, if anywhere.
    pub traces: Option<crate::traces::Options>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: EnvFilter,
}

/// What is wrong with the settings.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Keeps what is wrong with the setting of that name.
    fn check<T>(&mut self, name: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|problem| self.0.push(format!("{name}: {problem}"))).ok()
    }

    fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        self.check(name, parse::duration(text))
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, a line each.
    pub fn parse(settings: Settings) -> Result<Self, Vec<String>> {
        let serving = &settings.serving;
        let mut problems = Problems::default();
        let listen = problems.check("LISTEN", parse::address(&serving.listen));
        let admin = problems.check("ADMIN_LISTEN", parse::admin(&serving.admin_listen));
        let origins = serving.cors_origins.as_deref().map(Origins::from_str).transpose();
        let origins = problems.check("CORS_ORIGINS", origins);
        let workers = problems.check("WORKERS", parse::workers(serving.workers.as_deref()));
        let mode = problems.check("MODE", parse::mode(&settings.mode));
        let api_key = match (&serving.api_key, mode) {
            (Some(text), mode) => {
                // With a mode that is no mode, the key may still be one of either.
                let mode = mode.or(Mode::of(text)).unwrap_or(Mode::Test);
                problems.check("API_KEY", parse::key(mode, text)).map(Some)
            }
            (None, _) => Some(None),
        };
        let pool_size =
            problems.check("POOL_SIZE", parse::number("connections", 1..=1000, &serving.pool_size));
        let pool_queue =
            problems.check("POOL_QUEUE", parse::number("calls", 1..=1_000_000, &serving.pool_queue));
        let database = settings.database_url.as_deref().map(parse::database).transpose();
        let database = problems.check("DATABASE_URL", database);
        let standby = serving.database_read_url.as_deref();
        let standby = standby.map(|url| parse::standby(url, settings.database_url.as_deref())).transpose();
        let standby = problems.check("DATABASE_READ_URL", standby);
        let pool_timeout = problems.duration("POOL_TIMEOUT", &serving.pool_timeout);
        let connect_timeout = problems.duration("CONNECT_TIMEOUT", &settings.connect_timeout);
        let request = problems.duration("REQUEST_TIMEOUT", &serving.request_timeout);
        let drain = problems.duration("DRAIN_TIMEOUT", &serving.drain_timeout);
        let header = problems.duration("HEADER_TIMEOUT", &serving.header_timeout);
        let bounds = serving.bounds.parse(&mut problems);
        let traces = serving.traces.endpoint().map(|url| serving.traces.parse(url, &mut problems).ok_or(()));
        let tls = settings.serving.encryption.parse();
        let tls = tls.map_err(|found| problems.0.extend(found)).ok();
        let log_format = problems.check("LOG_FORMAT", parse::log_format(&settings.log_format));
        let log_filter = problems.check("RUST_LOG", EnvFilter::from_str(&settings.log));

        let config = || {
            let data_dir = settings.data_dir.unwrap_or_else(default_data_dir);
            let (pool_size, workers, request) = (pool_size?, workers?, request?);
            let source = match database? {
                Some(database) => Source::Given(database),
                None => Source::Embedded(embedded::Options {
                    data_dir: data_dir.clone(),
                    bin_dir: settings.pg_bin_dir,
                    connections: embedded_connections(pool_size, workers),
                }),
            };
            let is_embedded = matches!(source, Source::Embedded(_));
            let limits = Limits {
                pool_size,
                pool_queue: pool_queue?,
                pool_timeout: pool_timeout?,
                connect_timeout: connect_timeout?,
                statement_timeout: request,
            };
            Some(Self {
                source,
                standby: standby?,
                data_dir,
                mode: mode?,
                api_key: api_key?,
                limits,
                server: server::Options {
                    listen: listen?,
                    tls: tls?,
                    admin: admin?,
                    is_embedded,
                    workers,
                    timeouts: Timeouts { header: header?, request, drain: drain? },
                    limits: bounds?,
                    origins: origins?,
                },
                traces: traces.transpose().ok()?,
                log_format: log_format?,
                log_filter: log_filter?,
            })
        };
        config().ok_or(problems.0)
    }
}

/// Root's own folders are closed to the user that PostgreSQL then runs as.
fn default_data_dir() -> PathBuf {
    if geteuid().is_root() { "/var/lib/customer-groups".into() } else { "./data".into() }
}

/// The pool's, two of each worker, and some for health, for people, for `keys` and for `pgbench`.
fn embedded_connections(pool_size: usize, workers: NonZeroUsize) -> usize {
    pool_size + 2 * workers.get() + 32
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(flags: &[&str]) -> Result<Config, Vec<String>> {
        Config::parse(Line::parse_from([&["customer-groups"], flags].concat()).settings)
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let problems = parse(&[
            "--listen=nowhere",
            "--admin-listen=9090",
            "--cors-origins=shop.example",
            "--workers=0",
            "--database-url=postgres://",
            "--database-read-url=postgres://",
            "--api-key=sk_live_0123456789abcdef",
            "--mode=test",
            "--pool-size=0",
            "--pool-queue=0",
            "--pool-timeout=5",
            "--connect-timeout=0s",
            "--request-timeout=-1s",
            "--drain-timeout=25h",
            "--header-timeout=never",
            "--max-connections=0",
            "--max-streams=many",
            "--max-calls=-1",
            "--max-request-bytes=1023",
            "--max-header-bytes=8191",
            "--rate-limit=100",
            "--tls-cert=/",
            "--tls-key=/nowhere",
            "--otel-exporter-otlp-endpoint=collector:4317",
            "--otel-traces-sampler=sometimes",
            "--otel-traces-sampler-arg=1.5",
            "--log-format=xml",
            "--log=customer_groups=loud",
        ])
        .unwrap_err();
        let names: Vec<&str> = problems.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(
            names,
            [
                "LISTEN",
                "ADMIN_LISTEN",
                "CORS_ORIGINS",
                "WORKERS",
                "API_KEY",
                "POOL_SIZE",
                "POOL_QUEUE",
                "DATABASE_URL",
                "DATABASE_READ_URL",
                "POOL_TIMEOUT",
                "CONNECT_TIMEOUT",
                "REQUEST_TIMEOUT",
                "DRAIN_TIMEOUT",
                "HEADER_TIMEOUT",
                "MAX_CONNECTIONS",
                "MAX_STREAMS",
                "MAX_CALLS",
                "MAX_REQUEST_BYTES",
                "MAX_HEADER_BYTES",
                "RATE_LIMIT",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_TRACES_SAMPLER_ARG",
                "OTEL_TRACES_SAMPLER",
                "TLS_CERT",
                "TLS_KEY",
                "LOG_FORMAT",
                "RUST_LOG"
            ]
        );
    }

    #[test]
    fn a_database_that_is_set_to_nothing_is_not_taken_for_the_private_one() {
        let problems = parse(&["--database-url="]).unwrap_err();
        assert!(problems[0].contains("it is empty; unset it for the private PostgreSQL"), "{problems:?}");
    }

    #[test]
    fn metrics_are_told_on_an_address_or_nowhere() {
        let address = |flags: &[&str]| parse(flags).unwrap().server.admin;
        assert_eq!(address(&[]), Some("127.0.0.1:9090".parse().unwrap()));
        assert_eq!(address(&["--admin-listen=[::]:0"]), Some("[::]:0".parse().unwrap()));
        assert_eq!(address(&["--admin-listen="]), None);
    }

    #[test]
    fn there_are_traces_when_there_is_a_collector_for_them() {
        let traces = |flags: &[&str]| parse(flags).unwrap().traces;
        assert!(traces(&["--otel-exporter-otlp-endpoint=", "--otel-traces-sampler=xray"]).is_none());
        let collector = "--otel-exporter-otlp-endpoint=http://collector:4317";
        let sampler =
            |flags: &[&str]| format!("{:?}", traces(&[&[collector], flags].concat()).unwrap().sampler);
        assert_eq!(sampler(&[]), "ParentBased(AlwaysOn)");
        let ratio = ["--otel-traces-sampler=parentbased_traceidratio", "--otel-traces-sampler-arg=0.01"];
        assert_eq!(sampler(&ratio), "ParentBased(TraceIdRatioBased(0.01))");
        assert_eq!(sampler(&["--otel-traces-sampler=always_off"]), "AlwaysOff");
        let problems = parse(&["--otel-exporter-otlp-endpoint=https://collector:4317"]).unwrap_err();
        assert!(problems[0].contains("http://localhost:4317"), "{problems:?}");
    }

    #[test]
    fn standbys_are_set_beside_their_primary() {
        let (primary, standby) =
            ("--database-url=postgres://user@a/groups", "--database-read-url=postgres://user@b,c/groups");
        let config = parse(&[primary, standby]).unwrap();
        assert_eq!(config.standby.unwrap().to_string(), "b:5432,c:5432/groups");
        assert!(parse(&[primary]).unwrap().standby.is_none());
        for (wrong, what) in
            [(&[standby][..], "set DATABASE_URL"), (&[primary, "--database-read-url="], "unset it")]
        {
            let problems = parse(wrong).unwrap_err();
            assert!(
                problems[0].starts_with("DATABASE_READ_URL: ") && problems[0].contains(what),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_key_that_is_too_short_comes_with_the_way_to_a_longer_one() {
        let problems = parse(&["--mode=live", "--api-key=sk_live_short"]).unwrap_err();
        assert!(problems[0].contains("at least 24 characters"), "{problems:?}");
        assert!(problems[0].contains("sk_live_$(openssl rand -hex 16)"), "{problems:?}");
        assert!(!problems[0].contains("short"), "{problems:?}");
    }

    #[test]
    fn a_database_on_a_unix_socket_is_taken_in_each_form() {
        for url in [
            "postgres://user@%2Fvar%2Frun%2Fpostgresql/groups",
            "postgres://user@/groups?host=/var/run/postgresql",
            "host=/var/run/postgresql user=user dbname=groups",
        ] {
            let Source::Given(database) = parse(&["--database-url", url]).unwrap().source else { panic!() };
            assert_eq!(database.to_string(), "/var/run/postgresql/groups");
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        for flags in [&["--tls-cert=a"][..], &["--tls-key=a"], &["--tls-cert=a", "--tls-client-ca=a"]] {
            let problems = parse(flags).unwrap_err();
            assert!(problems[0].starts_with("TLS_CERT and TLS_KEY: one is set without"), "{problems:?}");
        }
        let problems = parse(&["--tls-client-ca=a"]).unwrap_err();
        assert!(problems[0].starts_with("TLS_CLIENT_CA: it needs TLS_CERT and TLS_KEY"), "{problems:?}");
    }

    #[test]
    fn what_the_encryption_to_postgresql_lacks_is_told() {
        for (parameters, what) in [
            ("sslmode=verify-full", "needs a sslrootcert"),
            ("sslmode=verify-ca", "needs a sslrootcert"),
            ("sslmode=always", "\"always\" is no sslmode; give disable, prefer"),
            ("sslmode=require&sslrootcert=system", "give it with sslmode=verify-full"),
            ("sslmode=require&sslrootcert=/nowhere", "sslrootcert: /nowhere cannot be read"),
            ("sslcert=/nowhere", "sslcert and sslkey"),
        ] {
            for setting in ["DATABASE_URL", "DATABASE_READ_URL"] {
                let flag = setting.to_lowercase().replace('_', "-");
                let given = format!("--{flag}=postgres://db.example/groups?{parameters}");
                let flags = [given.as_str(), "--database-url=postgres://db.example/groups"];
                let problems = parse(&flags[..if setting == "DATABASE_URL" { 1 } else { 2 }]).unwrap_err();
                assert!(problems[0].starts_with(setting) && problems[0].contains(what), "{problems:?}");
            }
        }
    }

    #[test]
    fn neither_a_password_nor_a_key_shows_in_a_debug_output() {
        let url = "--database-url=postgres://user:hunter2@db.example/groups";
        let config = parse(&[url, "--api-key=sk_test_0123456789abcdef"]).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("0123456789abcdef"), "{shown}");
        assert!(shown.contains("db.example:5432/groups"), "{shown}");
    }
}
