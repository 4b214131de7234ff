//! The start of the embedded PostgreSQL on unusual folders, and after an interruption.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use nix::sys::signal::Signal;

use crate::embedded::{refusal, refusal_in};
use crate::support::{Program, data_dir};

#[test]
fn the_binaries_of_the_version_that_created_the_cluster_are_preferred() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    fs::write(folder.path().join("postgres/PG_VERSION"), "14\n").unwrap();
    let older = folder.path().join("older");
    fs::create_dir(&older).unwrap();
    let script =
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'postgres (PostgreSQL) 14.9'; else exit 1; fi\n";
    for program in ["postgres", "initdb"] {
        fs::write(older.join(program), script).unwrap();
        fs::set_permissions(older.join(program), Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", std::env::var("PATH").unwrap(), older.display());
    let said = refusal(&[("DATA_DIR", folder.path().to_str().unwrap()), ("PATH", &path)]);
    assert!(said.contains("PostgreSQL did not start") && !said.contains("created by"), "{said}");
}

#[test]
fn a_first_start_that_is_killed_can_be_repeated_at_once() {
    let folder = data_dir();
    let mut first = Program::spawn(
        Program::command(&[("DATA_DIR", folder.path().to_str().unwrap())]).stdout(Stdio::null()),
    );
    let base = folder.path().join("postgres.new/base");
    while !base.exists() {
        std::thread::yield_now();
    }
    first.signal(Signal::SIGKILL);
    first.wait();
    let _second = Program::serve_in(folder.path());
    assert!(!folder.path().join("initdb.log").exists());
}

#[test]
fn a_data_folder_may_have_any_name_but_must_be_a_folder() {
    let folder = data_dir();
    Program::serve_in(&folder.path().join("a \"quoted\", odd name"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal_in(&file);
    assert!(
        said.contains(&format!("DATA_DIR {}", file.display())) && said.contains("ot a directory"),
        "{said}"
    );
    let output = Program::run(&["keys", "list"], &[("DATA_DIR", file.to_str().unwrap())]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("DATA_DIR {}", file.display())) && said.contains("ot a directory"),
        "{said}"
    );
}
