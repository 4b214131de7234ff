//! The duties of the first process of a container (PID 1).

use std::env;
use std::process::{Command, ExitCode, id};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::BoxError;
use crate::telemetry::print;

/// The signals that are passed on to the program.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// As the first process, runs the program in a second one, passes signals on to it, and reaps the orphans that the system
/// hands to the first process. Returns its exit code; `None` when this is not the first process, or there cannot be a
/// second one.
pub fn run_as_init() -> Option<ExitCode> {
    if id() != 1 {
        // The second process inherits what the first one has blocked.
        unblock();
        return None;
    }
    match start() {
        Ok(program) => Some(reap(program).unwrap_or_else(|error| {
            print(format_args!("error: {error}"));
            ExitCode::FAILURE
        })),
        Err(error) => {
            print(format_args!("orphans are not reaped: {error}"));
            unblock();
            None
        }
    }
}

fn start() -> Result<Pid, BoxError> {
    // Blocked before the program starts, so that none is lost.
    watched().thread_block()?;
    let program = Command::new(env::current_exe()?).args(env::args_os().skip(1)).spawn()?;
    Ok(Pid::from_raw(program.id().try_into()?))
}

fn unblock() {
    if let Err(error) = watched().thread_unblock() {
        print(format_args!("signals cannot be unblocked: {error}"));
    }
}

fn watched() -> SigSet {
    [Signal::SIGCHLD].into_iter().chain(PASSED_ON).collect()
}

fn reap(program: Pid) -> Result<ExitCode, BoxError> {
    loop {
        match watched().wait()? {
            Signal::SIGCHLD => {
                if let Some(code) = reap_ended(program)? {
                    return Ok(code);
                }
            }
            // It may have ended; then its own signal follows.
            signal => match kill(program, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// Reaps all processes that have ended. Returns the exit code of the program if it is one of them.
fn reap_ended(program: Pid) -> Result<Option<ExitCode>, BoxError> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                ended = Some(ExitCode::from(u8::try_from(code)?));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                // The convention of shells.
                ended = Some(ExitCode::from(128 + u8::try_from(signal as i32)?));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(ended),
            Ok(_another) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
