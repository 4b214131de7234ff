use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: ServeSettings,
}

fn parse(flags: &[&str]) -> Result<Config, Vec<String>> {
    Config::parse(Line::parse_from([&["customer-groups"], flags].concat()).settings).0
}

/// The settings in the order in which their mistakes are reported.
const SETTINGS: [&str; 37] = [
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
    "IDLE_TIMEOUT",
    "MAX_CONNECTION_AGE",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "MAX_STREAMS",
    "MAX_CALLS",
    "MAX_CALLS_PER_KEY",
    "MAX_REQUEST_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_BUFFERED_BYTES",
    "RATE_LIMIT",
    "MAX_LONG_LISTS_PER_KEY",
    "MAX_SEARCHES_PER_KEY",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_SAMPLER",
    "TLS_CERT",
    "TLS_KEY",
    "LOG_FORMAT",
    "RUST_LOG",
    "AUDIT_REQUIRED",
];

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
        "--idle-timeout=0",
        "--max-connection-age=old",
        "--max-connections=0",
        "--max-connections-per-address=0",
        "--max-streams=many",
        "--max-calls=-1",
        "--max-calls-per-key=0",
        "--max-long-lists-per-key=0",
        "--max-searches-per-key=0",
        "--max-buffered-bytes=1",
        "--max-request-bytes=1023",
        "--max-header-bytes=8191",
        "--rate-limit=100",
        "--tls-cert=/",
        "--tls-key=/nowhere",
        "--otel-sdk-disabled=perhaps",
        "--otel-traces-exporter=zipkin",
        "--otel-exporter-otlp-endpoint=collector:4317",
        "--otel-traces-sampler=sometimes",
        "--otel-traces-sampler-arg=1.5",
        "--log-format=xml",
        "--log=customer_groups=loud",
        "--audit-required=maybe",
    ])
    .unwrap_err();
    let names: Vec<&str> = problems.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, SETTINGS);
}

#[test]
fn an_empty_database_url_does_not_select_the_private_postgresql() {
    let problems = parse(&["--database-url="]).unwrap_err();
    assert!(problems[0].contains("or unset it for the private PostgreSQL"), "{problems:?}");
}

#[test]
fn the_address_of_the_metrics_can_be_empty() {
    let address = |flags: &[&str]| parse(flags).unwrap().server.admin;
    assert_eq!(address(&[]), Some(vec!["127.0.0.1:9090".parse().unwrap()]));
    assert_eq!(address(&["--admin-listen=[::]:0"]), Some(vec!["[::]:0".parse().unwrap()]));
    assert_eq!(address(&["--admin-listen="]), None);
}

#[test]
fn the_service_listens_on_an_address_on_all_of_a_host_or_on_a_unix_socket() {
    let listen = |flag: &str| parse(&[flag]).map(|config| config.server.listen.to_string());
    assert_eq!(listen("--listen=[::]:0").unwrap(), "[::]:0");
    assert!(listen("--listen=localhost:8080").unwrap().starts_with("127.0.0.1:8080"));
    assert_eq!(listen("--listen=unix:/run/api.sock").unwrap(), "unix:/run/api.sock");
    for (flag, problem) in
        [("--listen=unix:", "the path is missing"), ("--listen=localhost", "use one such as")]
    {
        assert!(listen(flag).unwrap_err()[0].contains(problem), "{flag}");
    }
}

#[test]
fn traces_need_a_collector() {
    let traces = |flags: &[&str]| parse(flags).unwrap().traces;
    assert!(traces(&["--otel-exporter-otlp-endpoint=", "--otel-traces-sampler=xray"]).is_none());
    let collector = "--otel-exporter-otlp-endpoint=http://collector:4317";
    let sampler = |flags: &[&str]| format!("{:?}", traces(&[&[collector], flags].concat()).unwrap().sampler);
    assert_eq!(sampler(&[]), "ParentBased(AlwaysOn)");
    let ratio = ["--otel-traces-sampler=parentbased_traceidratio", "--otel-traces-sampler-arg=0.01"];
    assert_eq!(sampler(&ratio), "ParentBased(TraceIdRatioBased(0.01))");
    assert_eq!(sampler(&["--otel-traces-sampler=always_off"]), "AlwaysOff");
    let nothing = ["--otel-traces-sampler=", "--otel-traces-sampler-arg=", "--otel-service-name="];
    assert_eq!(sampler(&nothing), "ParentBased(AlwaysOn)");
    let problems = parse(&["--otel-exporter-otlp-endpoint=https://collector:4317"]).unwrap_err();
    assert!(problems[0].contains("http://localhost:4317"), "{problems:?}");
}

#[test]
fn read_replicas_need_a_primary() {
    let (primary, standby) =
        ("--database-url=postgres://user@a/groups", "--database-read-url=postgres://user@b,c/groups");
    let config = parse(&[primary, standby]).unwrap();
    assert_eq!(config.replica.unwrap().to_string(), "b:5432,c:5432/groups");
    assert!(parse(&[primary]).unwrap().replica.is_none());
    for (wrong, what) in
        [(&[standby][..], "set DATABASE_URL"), (&[primary, "--database-read-url="], "unset it")]
    {
        let problems = parse(wrong).unwrap_err();
        assert!(problems[0].starts_with("DATABASE_READ_URL: ") && problems[0].contains(what), "{problems:?}");
    }
}

#[test]
fn a_key_that_is_too_short_is_rejected_with_a_way_to_generate_one() {
    let problems = parse(&["--mode=live", "--api-key=sk_live_short"]).unwrap_err();
    assert!(problems[0].contains("at least 24 characters"), "{problems:?}");
    assert!(problems[0].contains("sk_live_$(openssl rand -hex 16)"), "{problems:?}");
    assert!(!problems[0].contains("short"), "{problems:?}");
}

#[test]
fn a_database_on_a_unix_socket_can_be_written_in_three_forms() {
    for url in [
        "postgres://user@%2Fvar%2Frun%2Fpostgresql/groups",
        "postgres://user@/groups?host=/var/run/postgresql",
        "host=/var/run/postgresql user=user dbname=groups",
    ] {
        let source = parse(&["--database-url", url]).unwrap().database.source;
        let DatabaseSource::External(database) = source else { panic!() };
        assert_eq!(database.to_string(), "/var/run/postgresql/groups");
    }
}

#[test]
fn a_certificate_needs_its_key() {
    for flags in [&["--tls-cert=a"][..], &["--tls-key=a"], &["--tls-cert=a", "--tls-client-ca=a"]] {
        let problems = parse(flags).unwrap_err();
        assert!(problems[0].starts_with("TLS_CERT and TLS_KEY: one is set without"), "{problems:?}");
    }
    let problems = parse(&["--tls-client-ca=a"]).unwrap_err();
    assert!(problems[0].starts_with("TLS_CLIENT_CA: it needs TLS_CERT and TLS_KEY"), "{problems:?}");
}

#[test]
fn mistakes_in_the_encryption_to_postgresql_are_named() {
    for (parameters, what) in [
        ("sslmode=verify-full", "needs a sslrootcert"),
        ("sslmode=verify-ca", "needs a sslrootcert"),
        ("sslmode=always", "\"always\" is not a valid sslmode; use disable, prefer"),
        ("sslmode=require&sslrootcert=system", "use it with sslmode=verify-full"),
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
