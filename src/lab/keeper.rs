//! The folder of a running lab, and the one who clears up after it.
//!
//! The keeper is a process of its own in a process group of its own. It reads a pipe that only the front part of the
//! lab holds the other end of. If the front ends without a word, by a crash or SIGKILL, the pipe closes, and the keeper
//! kills what is left of the lab, removes its folder and gives the terminal back.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::termios::tcgetattr;

use super::{LabError, Request, terminal};
use crate::privilege::private_file;

/// The name of the hidden command that is the keeper.
pub const COMMAND: &str = "lab-keeper";

/// The folder of a running lab. It goes with this value, and with it whatever the lab has started.
pub(super) struct Job {
    folder: PathBuf,
    keeper: Child,
    words: Option<ChildStdin>,
    victims: Vec<Pid>,
}

impl Job {
    /// Makes the folder, writes the request into it, and puts the keeper on watch.
    pub(super) fn begin(request: &Request) -> Result<Self, LabError> {
        let folder = make_folder()?;
        let made = (|| {
            let bin = folder.join("bin");
            fs::create_dir(&bin)?;
            symlink(request.program(), bin.join("espial"))
        })();
        made.map_err(LabError::io("filling the lab's folder"))?;
        let text = request.to_text()?;
        write_private(&folder.join("request"), &text).map_err(LabError::io("writing the lab's request"))?;
        let started = start_keeper(request.program(), &folder);
        let (keeper, words) = started.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        Ok(Self { folder, keeper, words: Some(words), victims: Vec::new() })
    }

    /// Its path; without blanks, as kernel command lines want it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells the keeper of a process that must not outlive the lab.
    pub(super) fn watch(&mut self, process: &Child) {
        let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        self.victims.push(pid);
        if let Some(words) = &mut self.words {
            // A keeper that is gone cannot be told; the end without a crash does not need it.
            let _ = writeln!(words, "{}", pid.as_raw_pid());
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        clear(&self.folder, &self.victims);
        if let Some(mut words) = self.words.take() {
            let _ = writeln!(words, "done");
        }
        let _ = self.keeper.wait();
    }
}

fn make_folder() -> Result<PathBuf, LabError> {
    let wanted = std::env::temp_dir();
    let blank = wanted.to_str().is_none_or(|text| text.contains(char::is_whitespace));
    let parent = if blank { PathBuf::from("/tmp") } else { wanted };
    let folder = tempfile::Builder::new().prefix("espial-lab.").permissions(private()).tempdir_in(&parent);
    // From here on the keeper answers for it.
    folder.map(tempfile::TempDir::keep).map_err(|error| LabError::NoFolder { folder: parent, error })
}

fn private() -> fs::Permissions {
    fs::Permissions::from_mode(0o700)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    private_file(path)?.write_all(text.as_bytes())
}

fn start_keeper(program: &Path, folder: &Path) -> Result<(Child, ChildStdin), LabError> {
    let terminal = terminal::size_if_all_are_terminals().is_some();
    let inherit = || if terminal { Stdio::inherit() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.arg(COMMAND).arg(folder).stdin(Stdio::piped()).stdout(inherit()).stderr(Stdio::piped());
    // Ctrl-C is for the front.
    command.process_group(0);
    let mut keeper = command.spawn().map_err(LabError::io("starting the keeper"))?;
    let words = keeper.stdin.take().ok_or_else(|| LabError::Inside("the keeper has no ear".to_owned()))?;
    if let Some(mut ready) = keeper.stderr.take() {
        // Its error output closes when it has seen the terminal as it is.
        let _ = ready.read(&mut [0]);
    }
    Ok((keeper, words))
}

/// The keeper's own life.
pub fn keep(folder: &OsStr) {
    crate::sys::ignore_terminal_stops();
    let modes = tcgetattr(rustix::stdio::stdout()).ok();
    close_errors();
    let mut said = String::new();
    let _ = io::stdin().read_to_string(&mut said);
    if said.lines().any(|word| word == "done") {
        return;
    }
    let victims: Vec<Pid> = said.lines().filter_map(|word| word.parse().ok().and_then(Pid::from_raw)).collect();
    clear(Path::new(folder), &victims);
    if let Some(modes) = modes {
        terminal::give_back(rustix::stdio::stdout(), rustix::stdio::stdout(), &modes, true);
    }
}

/// Lets the one who waits for the end of our error output go on.
fn close_errors() {
    if let Ok(null) = fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

/// Kills what a lab has started and removes its folder.
fn clear(folder: &Path, victims: &[Pid]) {
    for pid in victims {
        let _ = kill_process(*pid, Signal::KILL);
    }
    // User-Mode Linux makes a session of its own, and its helpers do not all die with it: its pid file names the group.
    if let Some(pid) = uml_pid(folder) {
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = fs::remove_dir_all(folder);
}

/// Where a User-Mode Linux kernel writes its process id: `uml_dir/umid/pid`.
pub(super) const UML_ID: &str = "uml";

fn uml_pid(folder: &Path) -> Option<Pid> {
    let text = fs::read_to_string(folder.join(UML_ID).join("pid")).ok()?;
    text.trim().parse().ok().and_then(Pid::from_raw)
}
