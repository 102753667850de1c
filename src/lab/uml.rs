//! The lab on a User-Mode Linux kernel: found, given a place for its memory, pinned to one CPU, booted.
//!
//! Three things matter. It gets pipes, never a terminal: with one, output can hang and input can die. It runs on one
//! CPU: every system call of its processes is two switches, and across CPUs each is six times dearer. And its whole
//! process group is killed at the end, since its helpers do not all die with it.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, OFlags, StatVfsMountFlags, flock, open, statvfs};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::keeper::{Job, UML_ID};
use super::{LabError, Request, front};

/// The library that corrects the kernel's way of restoring registers (`src/sys/uml_ptrace.rs`).
const PTRACE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ptrace.so"));
/// Variables of the guest's init, by way of the kernel's command line.
pub(super) const JOB_VARIABLE: &str = "ESPIAL_LAB_JOB";
/// Where the guest finds its kernel's modules.
pub(super) const MODULES_VARIABLE: &str = "ESPIAL_LAB_MODULES";
/// The file that the kernel's own messages go to.
const KERNEL_LOG: &str = "kernel.log";
/// Less than this the host must not be left with, whatever the guest is given.
const LEAST_AVAILABLE_MIB: u64 = 160;

/// Boots a kernel and runs the lab in it.
pub(super) fn run(request: &Request, memory_mib: u32) -> Result<u8, LabError> {
    let kernel = find("linux.uml").ok_or_else(|| missing("a User-Mode Linux kernel (linux.uml)", "user-mode-linux"))?;
    find("modprobe").ok_or_else(|| missing("modprobe", "kmod"))?;
    let modules = modules_of(&kernel)?;
    check_memory(memory_mib)?;
    let memory_folder = memory_folder(memory_mib)?;
    let mut job = Job::begin(request)?;
    let (child, line) = boot(&kernel, &modules, &memory_folder, memory_mib, &job)?;
    job.watch(&child);
    let result = front::relay(request, line);
    match result {
        Err(LabError::KernelDied(_)) => {
            let words = last_words(job.folder());
            // -ENOMEM, of its own memory.
            let is_refused = words.contains("setup_physmem") && words.contains("-12");
            Err(if is_refused { LabError::NoMapping { mib: memory_mib } } else { LabError::KernelDied(words) })
        }
        Err(LabError::NotThere { seconds, .. }) => Err(LabError::NotThere { seconds, words: last_words(job.folder()) }),
        other => other,
    }
}

fn missing(what: &str, package: &'static str) -> LabError {
    LabError::Missing { what: what.to_owned(), package }
}

/// A program in the search path, or where such programs are.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn modules_of(kernel: &Path) -> Result<PathBuf, LabError> {
    let output = Command::new(kernel).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(LabError::io(format!("running {}", kernel.display())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().last().unwrap_or_default().trim().to_owned();
    let folder = Path::new("/usr/lib/uml/modules").join(&version);
    if folder.is_dir() && !version.is_empty() {
        Ok(folder)
    } else {
        Err(missing(&format!("the modules of its kernel {version:?} in /usr/lib/uml/modules"), "user-mode-linux"))
    }
}

fn check_memory(mib: u32) -> Result<(), LabError> {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    let Some(available) = kib.map(|kib| kib / 1024) else {
        return Ok(());
    };
    // The guest takes its memory as it touches it, and a lab touches little of it.
    let needed = LEAST_AVAILABLE_MIB.min(u64::from(mib));
    if available < needed { Err(LabError::NoMemory { needed, available }) } else { Ok(()) }
}

/// A folder for the file that is the guest's memory: it is mapped with execute rights.
fn memory_folder(mib: u32) -> Result<PathBuf, LabError> {
    let asked = env::var_os("TMPDIR").map(PathBuf::from);
    let usual = ["/dev/shm", "/tmp", "/var/tmp"].map(PathBuf::from);
    roomy(&asked.into_iter().chain(usual).collect::<Vec<_>>(), mib)
}

fn roomy(folders: &[PathBuf], mib: u32) -> Result<PathBuf, LabError> {
    let fits = |folder: &&PathBuf| {
        statvfs(folder.as_path()).is_ok_and(|facts| {
            let free = u128::from(facts.f_bavail) * u128::from(facts.f_frsize);
            !facts.f_flag.contains(StatVfsMountFlags::NOEXEC) && free >= u128::from(mib) << 20
        }) && tempfile::tempfile_in(folder).is_ok()
    };
    folders.iter().find(fits).cloned().ok_or_else(|| LabError::NoRoom {
        mib,
        tried: folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
    })
}

/// The two ends of the line that stay outside.
pub(super) struct Line {
    /// What the inside says.
    pub from_inside: File,
    /// What is said to it.
    pub to_inside: File,
}

fn boot(
    kernel: &Path,
    modules: &Path,
    memory_folder: &Path,
    memory_mib: u32,
    job: &Job,
) -> Result<(Child, Line), LabError> {
    let folder = job.folder();
    let init = folder.join("init");
    std::os::unix::fs::symlink(folder.join("bin/espial"), &init).map_err(LabError::io("preparing the boot"))?;
    let log = File::create(folder.join(KERNEL_LOG)).map_err(LabError::io("making the kernel's log"))?;
    // The kernel's ends are inherited by it under their own numbers; ours are not.
    let (guest_reads, to_inside) = line_pipe(Inherited::Read)?;
    let (from_inside, guest_writes) = line_pipe(Inherited::Write)?;
    let console = inherited(&log).map_err(LabError::os("preparing the boot"))?;
    let (folder_text, modules_text) = (folder.display(), modules.display());
    let arguments = [
        "root=/dev/root rootfstype=hostfs rootflags=/ ro".to_owned(),
        format!("init={}", init.display()),
        format!("mem={memory_mib}M umid={UML_ID} uml_dir={folder_text}/"),
        format!("{JOB_VARIABLE}={folder_text} {MODULES_VARIABLE}={modules_text}"),
        // Only the first line is used; the kernel's own console goes to the log.
        format!("con=null ssl=null con0=null ssl0=fd:{},fd:{}", guest_reads.as_raw_fd(), guest_writes.as_raw_fd()),
        format!("console=ttyS2 ssl2=null,fd:{}", console.as_raw_fd()),
        // Randomness is the host's: waiting for a guest's own would take a minute.
        "random.trust_cpu=on quiet loglevel=4 panic=-1".to_owned(),
    ];
    let mut command = Command::new(kernel);
    command.args(arguments.iter().flat_map(|line| line.split(' ')));
    command.env("TMPDIR", memory_folder);
    let library = ptrace_library(memory_folder)?;
    command.env("LD_PRELOAD", format!("/proc/self/fd/{}", library.as_raw_fd()));
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(LabError::io("preparing the boot"))?).stderr(log);
    let _cpu = pinned();
    let child = command.spawn().map_err(LabError::io(format!("booting {}", kernel.display())))?;
    Ok((child, Line { from_inside: from_inside.into(), to_inside: to_inside.into() }))
}

#[derive(Clone, Copy)]
enum Inherited {
    Read,
    Write,
}

/// A pipe of which one end is inherited by programs that are started.
fn line_pipe(inherited: Inherited) -> Result<(OwnedFd, OwnedFd), LabError> {
    let pipe = || {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let inherit = |end: OwnedFd| {
            rustix::io::fcntl_setfd(&end, rustix::io::FdFlags::empty())?;
            Ok::<_, rustix::io::Errno>(end)
        };
        match inherited {
            Inherited::Read => Ok((inherit(read)?, write)),
            Inherited::Write => Ok((read, inherit(write)?)),
        }
    };
    pipe().map_err(|errno: rustix::io::Errno| LabError::os("making the line to the lab")(errno))
}

/// The file of a library that needs no name: the kernel inherits it, and it goes with it.
fn ptrace_library(folder: &Path) -> Result<OwnedFd, LabError> {
    let written = tempfile::tempfile_in(folder).and_then(|mut file| {
        file.write_all(PTRACE)?;
        Ok(inherited(&file)?)
    });
    written.map_err(LabError::io("preparing the boot"))
}

fn inherited(file: &File) -> rustix::io::Result<OwnedFd> {
    let copy = rustix::io::dup(file)?;
    rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty())?;
    Ok(copy)
}

/// While this lives, this thread and what it starts run on one CPU; the lock marks it as taken by a lab.
struct Pinned {
    before: Option<CpuSet>,
    _lock: Option<OwnedFd>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = sched_setaffinity(None, before);
        }
    }
}

/// Pins this thread to a CPU that no other lab has taken, if there is one, or else to any.
fn pinned() -> Pinned {
    let Ok(before) = sched_getaffinity(None) else {
        return Pinned { before: None, _lock: None };
    };
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu)).collect();
    let free = allowed.iter().find_map(|cpu| Some((*cpu, lock_cpu(*cpu)?)));
    let (cpu, lock) = match free {
        Some((cpu, lock)) => (Some(cpu), Some(lock)),
        None => (allowed.first().copied(), None),
    };
    if let Some(cpu) = cpu {
        let mut one = CpuSet::new();
        one.set(cpu);
        let _ = sched_setaffinity(None, &one);
    }
    // The kernel that is started keeps the lock: it inherits the descriptor.
    Pinned { before: Some(before), _lock: lock }
}

/// A lock on the folder that stands for a CPU: nothing is written anywhere, and it goes with the last holder.
fn lock_cpu(cpu: usize) -> Option<OwnedFd> {
    let folder = open(format!("/sys/devices/system/cpu/cpu{cpu}"), OFlags::RDONLY, rustix::fs::Mode::empty()).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(folder)
}

/// What the kernel said before it died.
fn last_words(folder: &Path) -> String {
    let log = fs::read(folder.join(KERNEL_LOG)).unwrap_or_default();
    let text =
        crate::model::text::harmless(&String::from_utf8_lossy(&log).replace('\n', "\u{0}")).replace("\\x00", "\n");
    let telling = |line: &&str| {
        let line = line.to_lowercase();
        ["panic", "not permitted", "cannot", "failed", "out of mem", "no space"].iter().any(|word| line.contains(word))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let chosen = lines.iter().copied().find(|line| line.to_lowercase().contains("panic"));
    let chosen = chosen.or_else(|| lines.iter().copied().find(telling)).or(lines.last().copied());
    chosen.unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_needs_room_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let both = [missing.clone(), folder.path().to_owned()];
        assert_eq!(roomy(&both, 1).unwrap(), folder.path());
        let error = roomy(&both, u32::MAX).unwrap_err();
        assert_eq!(error.status(), 125);
        let words = error.to_string();
        assert!(words.contains("no folder with 4294967295 MiB free") && words.contains("missing"), "{words}");
    }
}
