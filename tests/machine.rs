//! The machine around the process: service manager, first process of a container, open files, clocks and other programs'
//! environment variables.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use customer_groups::testing::GroupId;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::{Calls, Program, TestDatabase, eventually, named};

/// The program, started by a shell after some commands.
fn after(commands: &str, settings: &[(&str, &str)]) -> Command {
    let program = Program::command(settings);
    let mut shell = Command::new("sh");
    shell.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.arg("-c").arg(format!("{commands} exec \"$0\"")).arg(program.get_program());
    shell
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_is_told_when_the_service_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let told = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let url = TestDatabase::create().await.url();
    let settings = [("DATABASE_URL", &*url), ("NOTIFY_SOCKET", socket.to_str().unwrap())];
    let mut program = Program::serve(&settings);
    assert_eq!(told(), "READY=1\n");
    program.signal(Signal::SIGTERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert!(program.wait().success());
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_first_process_of_a_container_it_reaps_orphans_and_passes_signals_on() {
    /// The state and the parent of each process.
    fn processes() -> Vec<(u32, char, u32)> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = all.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(") ")?.1.split(' ');
            Some((pid, fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
        });
        stats.collect()
    }
    let children = |parent| processes().into_iter().filter(move |(_, _, of)| *of == parent);

    let url = TestDatabase::create().await.url();
    let settings = [("DATABASE_URL", &*url)];
    let namespace = if nix::unistd::geteuid().is_root() { "" } else { "--user --map-root-user" };
    // The shell is the first process. Its background process becomes an orphan, and the program takes the shell's place.
    let orphan = "(sleep 0.2 &) ; (sleep 0.3 &) ;";
    let mut unshare = after(
        &format!("exec unshare {namespace} --pid --fork --kill-child sh -c '{orphan} exec \"$0\"' \"$0\" ;"),
        &settings,
    );
    let mut program = Program::serve_by(&mut unshare);
    let first = children(program.pid()).next().unwrap().0;
    let send = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.try_into().unwrap()), signal);
    // `unshare` itself ignores the signal that stops it at the end of a failed test.
    let kill = scopeguard::guard((), |()| send(Signal::SIGKILL).unwrap());
    let only_the_program_is_left = async { while children(first).count() != 1 {} };
    eventually("the orphans are reaped", only_the_program_is_left).await;
    program.client().await.create(named("Export")).await.unwrap();

    send(Signal::SIGTERM).unwrap();
    program.log_line(|line| line["message"] == "stopped");
    assert!(program.wait().success());
    scopeguard::ScopeGuard::into_inner(kill);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_open_files_are_logged_once_a_second() {
    let url = TestDatabase::create().await.url();
    let program = Program::serve_by(&mut after("ulimit -n 100;", &[("DATABASE_URL", &url)]));
    let mut open = Vec::new();
    for _ in 0..120 {
        open.push(TcpStream::connect(program.address).await.unwrap());
    }
    let is_failure = |line: &Value| {
        line["message"] == "connections not accepted"
            && line["error"].as_str().unwrap().contains("open files")
    };
    let time = || {
        let line = program.log_line(is_failure);
        let time: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    };
    let (first, second) = (time(), time());
    assert!(second - first >= 990, "{first} {second}");
    drop(open);
    eventually("calls are served again", async { program.client().await.list(None, None).await.unwrap() })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_ids_follow_stored_ones_but_not_those_of_a_clock_that_jumped() {
    let database = TestDatabase::create().await;
    let (url, sql) = (database.url(), database.sql().await);
    let store = async |ahead: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let milliseconds = u128::from(ahead) + now.as_millis();
        let id = Uuid::from_u128(milliseconds << 80 | 7 << 76 | 2 << 62);
        let insert = "insert into customer_group (id, updated_at, is_group, customer_group_name)
                      values ($1, now(), false, 'ahead')";
        sql.execute(insert, &[&id]).await.unwrap();
        GroupId::from_uuid(id).unwrap()
    };
    let create = async || {
        let program = Program::serve(&[("DATABASE_URL", &url)]);
        let created = program.client().await.create(named("new")).await.unwrap();
        (GroupId::parse(&created.id).unwrap(), program)
    };

    let soon = store(5_000).await;
    let (next, _first) = create().await;
    assert!(next > soon && next.created_at().milliseconds() < soon.created_at().milliseconds() + 1_000);

    let tomorrow = store(86_400_000).await;
    let program = Program::spawn(Program::command(&[("DATABASE_URL", &url)]).stdout(Stdio::null()));
    let warning = program.log_line(|line| {
        line["level"] == "WARN"
            && line["message"].as_str().is_some_and(|text| text.contains("synchronise the clocks"))
    });
    assert!(warning["milliseconds"].as_u64().unwrap() > 80_000_000, "{warning}");
    let (now, _second) = create().await;
    assert!(
        now < tomorrow && now.created_at().milliseconds() < tomorrow.created_at().milliseconds() - 80_000_000
    );
}

#[test]
fn variables_of_opentelemetry_and_libpq_are_honoured_or_refused() {
    const URL: (&str, &str) = ("DATABASE_URL", "postgres://user@127.0.0.1:1/groups");
    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let refused = |settings: &[(&str, &str)]| {
        let output = Program::run(&["serve"], settings);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for settings in [
        [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), COLLECTOR],
        [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"), COLLECTOR],
        [("OTEL_METRICS_EXPORTER", "otlp"), URL],
        [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:4317"), ("OTEL_TRACES_EXPORTER", "none")],
        [("OTEL_TRACES_EXPORTER", "zipkin"), COLLECTOR],
        [("OTEL_SDK_DISABLED", "yes"), COLLECTOR],
        [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:4317"), COLLECTOR],
        [("PGSSLMODE", "verify-full"), URL],
        [("PGPASSWORD", "secret"), URL],
        [("PGHOST", "db.example"), COLLECTOR],
    ] {
        let (code, said) = refused(&settings);
        assert_eq!(code, Some(2), "{settings:?} {said}");
        assert!(said.contains(&format!("{}: ", settings[0].0)) && !said.contains("secret"), "{said}");
    }
    // Disabled traces need no collector and no other setting. The only problem is the database.
    for disabled in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let (code, said) = refused(&[disabled, ("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere"), URL]);
        assert!(code == Some(1) && said.contains("cannot be reached"), "{said}");
    }
    // An editor ends a file with a new line.
    let (code, said) = refused(&[("DATABASE_URL", &format!("{}\n", URL.1))]);
    assert!(code == Some(1) && said.contains("127.0.0.1:1/groups cannot be used"), "{said}");
    let (code, said) = refused(&[("DATABASE_URL", "mysql://user:secret@db/groups?ssl=on")]);
    assert!(code == Some(2) && said.contains("mysql://") && !said.contains("secret"), "{said}");
}
