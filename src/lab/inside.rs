//! The lab from inside, whichever kernel it is on: the hosts, what protects them, who talks, and the command.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{WaitOptions, WaitStatus, ioctl_tiocsctty, setsid};
use rustix::thread::UnshareFlags;

use super::hosts::{Hosts, Plan};
use super::{HostName, LabError, Profile, Request, VARIABLE, talker};
use crate::kernel::namespace::Namespace;

/// The name of the hidden command that becomes the command on a host.
pub const COMMAND: &str = "lab-exec";

/// Makes the hosts, protects them and lets them talk.
pub(super) fn up(request: &Request) -> Result<Hosts, LabError> {
    let plan = Plan::article();
    let hosts = Hosts::up(&plan)?;
    let names = [HostName::Gouda.name(), HostName::Reblochon.name()];
    request.profile.install(&hosts, names)?;
    let talking = |host: &super::hosts::HostPlan| -> Vec<IpAddr> {
        let (own, behind) = (host.addresses.first(), host.lan.as_ref());
        let prefixes = match request.profile {
            // The tunnel protects the networks behind the hosts, not the hosts themselves.
            Profile::Tunnel => [None, behind],
            // Whatever the user is going to protect, somebody speaks there.
            Profile::None => [own, behind],
            Profile::Article | Profile::Gcm => [own, None],
        };
        prefixes.into_iter().flatten().map(|prefix| prefix.address).collect()
    };
    let [gouda, reblochon] = &plan.hosts;
    for (host, peer) in [(gouda, reblochon), (reblochon, gouda)] {
        if let Some(namespace) = hosts.namespace(&host.name) {
            for (own, peer) in talking(host).into_iter().zip(talking(peer)) {
                talker::start(namespace, own, peer);
            }
        }
    }
    Ok(hosts)
}

/// What of a session the command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// The one that the lab was started in.
    Callers,
    /// One of its own.
    Own,
    /// One of its own, whose terminal is the command's input.
    Terminal,
}

/// The command on its host, ready to be started.
pub(super) fn command(request: &Request, bin: &Path, ground: &str, session: Session) -> Command {
    let mut command = Command::new(request.program());
    command.arg(COMMAND).arg("--on").arg(request.on.name()).arg("--folder").arg(request.folder());
    match session {
        Session::Callers => {}
        Session::Own => drop(command.arg("--session")),
        Session::Terminal => drop(command.args(["--session", "--terminal"])),
    }
    command.arg("--").args(request.command());
    command.env_clear().envs(request.environment());
    command.env(VARIABLE, ground).env("PATH", path_with(request, bin));
    command
}

/// The caller's search path with the folder before it in which `espial` is this very program, and the folders behind
/// it in which a user's path does not look for `ip`.
fn path_with(request: &Request, bin: &Path) -> OsString {
    let callers = request.environment().find(|(name, _)| *name == "PATH").map(|(_, value)| value.to_owned());
    let usual = OsString::from("/usr/local/bin:/usr/bin:/bin");
    let mut path = bin.as_os_str().to_owned();
    path.push(":");
    path.push(callers.filter(|path| !path.is_empty()).unwrap_or(usual));
    path.push(":/usr/sbin:/sbin");
    path
}

/// What the hidden command is told.
#[derive(Debug)]
pub struct Exec {
    /// The host.
    pub on: String,
    /// The working folder.
    pub folder: std::path::PathBuf,
    /// Whether to begin a session.
    pub session: bool,
    /// Whether the input is the session's terminal.
    pub terminal: bool,
    /// The command.
    pub command: Vec<OsString>,
}

/// Becomes the command, on a host. Returns only when it cannot: the status that a shell would give, and why.
pub fn exec(exec: &Exec) -> (u8, String) {
    let cannot = |what: &str, error: &dyn std::fmt::Display| (super::BROKEN, format!("{what}: {error}"));
    match Namespace::named(&exec.on).and_then(|namespace| namespace.enter()) {
        Ok(()) => {}
        Err(error) => return cannot("entering the host", &error),
    }
    look_like_the_host(&exec.on);
    if exec.session {
        // It fails only for the leader of a session, which has one already.
        let _ = setsid();
    }
    if exec.terminal
        && let Err(error) = ioctl_tiocsctty(rustix::stdio::stdin())
    {
        return cannot("taking the terminal", &error);
    }
    if std::env::set_current_dir(&exec.folder).is_err() {
        let _ = std::env::set_current_dir("/");
    }
    let Some((program, arguments)) = exec.command.split_first() else {
        return (super::BROKEN, "there is no command".to_owned());
    };
    let error = Command::new(program).args(arguments).exec();
    let status = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    (status, format!("{}: {error}", crate::model::text::harmless(&program.to_string_lossy())))
}

/// As `ip netns exec` does: /sys shows the links of the host, and the machine has its name.
fn look_like_the_host(name: &str) {
    // None of this is needed for the command to run.
    if crate::sys::unshare(UnshareFlags::NEWNS | UnshareFlags::NEWUTS).is_ok() {
        let _ = mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC);
        let _ = unmount("/sys", UnmountFlags::DETACH);
        let _ = mount(name, "/sys", "sysfs", MountFlags::empty(), None);
        let _ = rustix::system::sethostname(name.as_bytes());
    }
}

/// Waits for the command as process 1 must: whatever else ends is buried on the way. Returns its status as a shell
/// gives it.
pub(super) fn wait_for(pid: u32) -> Result<u8, LabError> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if u32::try_from(ended.as_raw_pid()) == Ok(pid) => {
                return Ok(shell_status(status));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(LabError::os("waiting for the command")(errno)),
        }
    }
}

/// 128 and the signal for a command that was killed.
fn shell_status(status: WaitStatus) -> u8 {
    let number = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(super::BROKEN)
}
