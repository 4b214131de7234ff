//! What the system says of this process.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// What it uses.
#[derive(Debug)]
pub(super) struct Process {
    /// Processor time in seconds.
    pub(super) cpu: f64,
    /// When it began, in seconds since 1970.
    pub(super) start: f64,
    /// Memory in bytes.
    pub(super) resident: u64,
    /// Addresses in bytes.
    pub(super) r#virtual: u64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    pub(super) max_files: u64,
}

/// Reads `/proc`, by `proc(5)`; `None` where there is none.
pub(super) fn read() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program comes before, and may have anything in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // As the manual counts, from the state, which is the third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system, threads, begun, r#virtual, pages) =
        (field(14)?, field(15)?, field(20)?, field(22)?, field(23)?, field(24)?);

    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
    let ticks = u32::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let page = u64::try_from(sysconf(SysconfVar::PAGE_SIZE).ok()??).ok()?;
    // They reach what a float has no room for after some ten thousand years.
    #[allow(clippy::cast_precision_loss)]
    let seconds = |count: u64| count as f64 / f64::from(ticks);
    Some(Process {
        cpu: seconds(user + system),
        start: boot + seconds(begun),
        resident: pages * page,
        r#virtual,
        threads,
        open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        max_files: getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
    })
}
