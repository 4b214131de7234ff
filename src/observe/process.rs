//! Resource usage of this process.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

#[derive(Debug)]
pub(super) struct ProcessStats {
    /// Processor time in seconds.
    pub(super) cpu: f64,
    /// Start time, in seconds since 1970.
    pub(super) start: f64,
    /// Memory in bytes.
    pub(super) resident: u64,
    pub(super) r#virtual: u64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    pub(super) max_files: u64,
}

/// Reads `/proc` (`proc(5)`); `None` on systems without it.
pub(super) fn read() -> Option<ProcessStats> {
    let content = fs::read_to_string("/proc/self/stat").ok()?;
    // The program name before it may contain anything.
    let (_, rest) = content.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // The manual counts from 1. The first field here is its third, the state.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system, threads, begun, r#virtual, pages) =
        (field(14)?, field(15)?, field(20)?, field(22)?, field(23)?, field(24)?);

    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
    let ticks = u32::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let page = u64::try_from(sysconf(SysconfVar::PAGE_SIZE).ok()??).ok()?;
    // Exact for some ten thousand years.
    #[allow(clippy::cast_precision_loss)]
    let seconds = |count: u64| count as f64 / f64::from(ticks);
    Some(ProcessStats {
        cpu: seconds(user + system),
        start: boot + seconds(begun),
        resident: pages * page,
        r#virtual,
        threads,
        open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        max_files: getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
    })
}
