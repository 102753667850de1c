//! The lab on this machine's own kernel: namespaces of its own for network, processes and mounts, and for users too if
//! the caller is not root. Whatever happens in them ends with them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal};
use rustix::thread::UnshareFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::inside::{self, Session};
use super::keeper::Job;
use super::terminal::Modes;
use super::{BROKEN, LabError, Request};
use crate::kernel::Support;
use crate::kernel::namespace::DIRECTORY;

/// The name of the hidden command that asks whether the lab can be here.
pub const PROBE: &str = "lab-probe";
/// The name of the hidden command that goes into the namespaces.
pub const OUTER: &str = "lab-outer";
/// The name of the hidden command that is process 1 in them.
pub const INNER: &str = "lab-inner";

/// Where the inner parts write why they could not do their work.
const FAILURE: &str = "failure";

/// Why the lab cannot be on this kernel; `None` if it can. Asked in a process of its own, since the namespaces that it
/// tries cannot be left again.
pub fn obstacle() -> Option<String> {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error.to_string()),
    };
    let asked = Command::new(program).arg(PROBE).stdin(Stdio::null()).stderr(Stdio::null()).output();
    match asked {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(crate::model::text::harmless_bytes(output.stdout.trim_ascii())),
        Err(error) => Some(error.to_string()),
    }
}

/// The answer to [`obstacle`], in the process made for it.
///
/// # Errors
/// The obstacle.
pub fn probe() -> Result<(), String> {
    isolate(UnshareFlags::NEWNET).map_err(|error| format!("it lets this user make no namespaces ({error})"))?;
    let support = Support::ask();
    match (support.esp, support.ah) {
        (Some(true), Some(true)) => Ok(()),
        (None, _) | (_, None) => Err("it does not say whether it has ESP and AH".to_owned()),
        (esp, ah) => {
            let both = [(esp, "ESP"), (ah, "AH")];
            let missing: Vec<&str> =
                both.iter().filter(|(has, _)| *has == Some(false)).map(|(_, name)| *name).collect();
            Err(format!("it has no {}", missing.join(" and no ")))
        }
    }
}

/// Goes into new namespaces; as somebody who is not root, as root of a user namespace.
fn isolate(flags: UnshareFlags) -> std::io::Result<()> {
    if geteuid().is_root() {
        return crate::sys::unshare(flags);
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    crate::sys::unshare(flags | UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Runs the lab here.
pub(super) fn run(request: &Request) -> Result<u8, LabError> {
    if let (Some(obstacle), false) = (obstacle(), request.profile == super::Profile::None) {
        return Err(LabError::NoGround(obstacle));
    }
    let ended = [SIGTERM, SIGHUP].map(|signal| (signal, Arc::new(AtomicBool::new(false))));
    for (signal, flag) in &ended {
        catch(*signal, flag)?;
    }
    // Ctrl-C is for the command: this process only must not die of it.
    for signal in [SIGINT, SIGQUIT] {
        catch(signal, &Arc::default())?;
    }
    let modes = Modes::now();
    let mut job = Job::begin(request)?;
    let child = Command::new(request.program()).arg(OUTER).arg(job.folder()).spawn();
    let mut child = child.map_err(LabError::io("starting the lab"))?;
    job.watch(&child);
    let status = loop {
        if let Some((signal, _)) = ended.iter().find(|(_, flag)| flag.load(Ordering::Acquire)) {
            let _ = child.kill();
            let _ = child.wait();
            if let Some(modes) = &modes {
                modes.give_back(true);
            }
            return Err(LabError::Signal(*signal));
        }
        match child.try_wait().map_err(LabError::io("waiting for the lab"))? {
            Some(status) => break status,
            // A signal may have come in between; a waiting call would sleep on.
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    match (fs::read_to_string(job.folder().join(FAILURE)), status.code()) {
        (Ok(why), _) => Err(LabError::Inside(why)),
        (Err(_), Some(code)) => Ok(u8::try_from(code).unwrap_or(BROKEN)),
        (Err(_), None) => Ok(u8::try_from(128 + status.signal().unwrap_or(0)).unwrap_or(BROKEN)),
    }
}

fn catch(signal: i32, flag: &Arc<AtomicBool>) -> Result<(), LabError> {
    let registered = signal_hook::flag::register(signal, Arc::clone(flag));
    registered.map(drop).map_err(LabError::io("catching signals"))
}

/// The outer of the two processes inside: it makes the namespaces, and process 1 for them. Returns the command's status.
pub fn outer(folder: &Path) -> u8 {
    guarded(folder, || {
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(LabError::os("binding to the front"))?;
        for signal in [SIGINT, SIGQUIT] {
            catch(signal, &Arc::default())?;
        }
        let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS;
        isolate(flags).map_err(LabError::io("making namespaces"))?;
        let program = std::env::current_exe().map_err(LabError::io("finding this program's own file"))?;
        let child = Command::new(program).arg(INNER).arg(folder).spawn();
        let status = child.and_then(|mut child| child.wait()).map_err(LabError::io("starting process 1"))?;
        let killed = status.signal().map(|signal| 128 + signal);
        Ok(status.code().or(killed).and_then(|status| u8::try_from(status).ok()).unwrap_or(BROKEN))
    })
}

/// Process 1 of the lab. Returns the command's status.
pub fn inner(folder: &Path) -> u8 {
    guarded(folder, || {
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(LabError::os("binding to the front"))?;
        let text = fs::read_to_string(folder.join("request")).map_err(LabError::io("reading the lab's request"))?;
        let request = Request::from_text(&text)?;
        prepare_mounts()?;
        let _hosts = inside::up(&request)?;
        let mut command = inside::command(&request, &folder.join("bin"), "host", Session::Callers);
        let child = command.spawn().map_err(LabError::io("starting the command"))?;
        inside::wait_for(child.id())
    })
}

/// Names of network namespaces that nobody outside sees, and a /proc that shows the processes of the lab.
fn prepare_mounts() -> Result<(), LabError> {
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", all).map_err(LabError::os("making the mounts private"))?;
    // Where it is refused, the processes of the machine are seen, and nothing is worse.
    let _ = mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None);
    if fs::create_dir_all(DIRECTORY).is_err() {
        mount("run", "/run", "tmpfs", MountFlags::empty(), c"mode=755").map_err(LabError::os("mounting /run"))?;
        fs::create_dir_all(DIRECTORY).map_err(LabError::io(format!("making {DIRECTORY}")))?;
    }
    mount("netns", DIRECTORY, "tmpfs", MountFlags::empty(), c"mode=755")
        .map_err(LabError::os(format!("mounting {DIRECTORY}")))
}

/// Writes down what went wrong, for the front to say.
fn guarded(folder: &Path, work: impl FnOnce() -> Result<u8, LabError>) -> u8 {
    work().unwrap_or_else(|error| {
        let why = match error {
            LabError::Inside(why) => why,
            other => other.to_string(),
        };
        let _ = fs::write(folder.join(FAILURE), why);
        BROKEN
    })
}
