//! Process 1 of a User-Mode Linux lab: this very program, started by the guest's kernel.
//!
//! Its root are the machine's own files, read-only, under a layer of memory: whatever is written vanishes. It loads
//! modules, makes the hosts, runs the command, says its status on the line, and waits to be killed.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_move, unmount,
};
use rustix::process::pivot_root;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::system::{RebootCommand, finit_module, reboot, sethostname};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::frame::{Decoder, MOST_BYTES, ToInside, ToOutside};
use super::inside::{self, Session};
use super::uml::{JOB_VARIABLE, MODULES_VARIABLE};
use super::{LabError, Request};

/// How long output is waited for that processes left behind by the command may still write.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The folder of the lab, if this process is the init of one.
pub fn job() -> Option<PathBuf> {
    (std::process::id() == 1).then(|| std::env::var_os(JOB_VARIABLE)).flatten().map(PathBuf::from)
}

/// Process 1's life. It never returns.
pub fn run(job: &Path) -> ! {
    let line = prepare(job).and_then(|(request, job)| {
        let line = Line::open()?;
        Ok((request, job, line))
    });
    match line {
        Ok((request, job, line)) => {
            let last = match serve(&request, &job, &line) {
                Ok(status) => ToOutside::Exit(status),
                Err(LabError::Inside(why)) => ToOutside::Failed(why),
                Err(other) => ToOutside::Failed(other.to_string()),
            };
            // What was written to --out is on its way until now.
            rustix::fs::sync();
            line.say(&last);
            // The outside kills this kernel as soon as it has read that.
            thread::sleep(Duration::from_secs(10));
        }
        Err(error) => {
            // There is no line: the kernel's log is the only ear.
            let _ = fs::write("/dev/kmsg", format!("<2>espial: cannot prepare the lab: {error}\n"));
        }
    }
    let _ = reboot(RebootCommand::PowerOff);
    loop {
        thread::sleep(Duration::from_secs(10));
    }
}

/// The machine's files under a layer of memory, the usual file systems, modules, a name.
fn prepare(job: &Path) -> Result<(Request, PathBuf), LabError> {
    let text = fs::read_to_string(job.join("request")).map_err(LabError::io("reading the lab's request"))?;
    let request = Request::from_text(&text)?;
    let modules = PathBuf::from(std::env::var_os(MODULES_VARIABLE).unwrap_or_default());
    layer(&modules)?;
    usual_mounts();
    bind_modules(&modules)?;
    for folder in request.out() {
        mount_from_outside(&folder)?;
    }
    // ipv6 before any namespace: rtnetlink does not load it.
    let wanted = ["ipv6", "veth"].iter().chain(request.profile.modules());
    let _ = Command::new("/sbin/modprobe")
        .args(["-q", "-a"])
        .args(wanted)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = sethostname(b"lab");
    Ok((request, job.to_owned()))
}

fn step<T>(deed: &str, result: rustix::io::Result<T>) -> Result<T, LabError> {
    result.map_err(LabError::os(deed))
}

fn folder(path: &str) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(LabError::io(format!("making {path}")))
}

fn layer(modules: &Path) -> Result<(), LabError> {
    let none = MountFlags::empty();
    step("mounting /proc", mount("proc", "/proc", "proc", none, None))?;
    step("mounting /run", mount("run", "/run", "tmpfs", none, c"mode=755"))?;
    let overlay = modules.join("kernel/fs/overlayfs/overlay.ko");
    let file = File::open(&overlay).map_err(LabError::io(format!("opening {}", overlay.display())))?;
    step("loading overlayfs", finit_module(&file, c"", 0))?;
    for path in ["/run/layer/upper", "/run/layer/work", "/run/root"] {
        folder(path)?;
    }
    let layers = c"lowerdir=/,upperdir=/run/layer/upper,workdir=/run/layer/work";
    step("mounting the layer", mount("layer", "/run/root", "overlay", none, layers))?;
    folder("/run/root/.outside")?;
    std::env::set_current_dir("/run/root").map_err(LabError::io("entering the layer"))?;
    step("changing the root", pivot_root(".", ".outside"))?;
    std::env::set_current_dir("/").map_err(LabError::io("entering the layer"))?;
    step("moving /dev", mount_move("/.outside/dev", "/dev"))?;
    step("mounting /proc", mount("proc", "/proc", "proc", none, None))?;
    step("mounting /run", mount("run", "/run", "tmpfs", none, c"mode=755"))?;
    step("leaving the old root", unmount("/.outside", UnmountFlags::DETACH))?;
    let _ = fs::remove_dir("/.outside");
    Ok(())
}

/// What programs expect to find. Each may miss without harm to the lab itself.
fn usual_mounts() {
    let none = MountFlags::empty();
    for path in ["/dev/pts", "/dev/shm", "/run/netns", "/run/lock"] {
        let _ = fs::create_dir_all(path);
    }
    let _ = mount("sys", "/sys", "sysfs", none, None);
    let _ = mount("devpts", "/dev/pts", "devpts", none, c"mode=620,ptmxmode=666");
    let _ = mount("shm", "/dev/shm", "tmpfs", none, c"mode=1777");
    let _ = mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC);
    for (target, link) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ] {
        let _ = symlink(target, Path::new("/dev").join(link));
    }
}

fn bind_modules(modules: &Path) -> Result<(), LabError> {
    let place = Path::new("/lib/modules").join(modules.file_name().unwrap_or_default());
    fs::create_dir_all(&place).map_err(LabError::io(format!("making {}", place.display())))?;
    step("mounting the kernel's modules", mount_bind(modules, &place))
}

/// A folder of the machine itself, writable.
fn mount_from_outside(folder: &Path) -> Result<(), LabError> {
    let deed = format!("mounting {}", folder.display());
    fs::create_dir_all(folder).map_err(LabError::io(deed.clone()))?;
    let source = CString::new(folder.as_os_str().as_encoded_bytes())
        .map_err(|_| LabError::Inside(format!("{deed}: the path has a zero byte")))?;
    step(&deed, mount("outside", folder, "hostfs", MountFlags::empty(), source.as_c_str()))
}

/// The line to the outside.
#[derive(Clone)]
struct Line {
    device: Arc<File>,
    speaking: Arc<Mutex<()>>,
}

impl Line {
    fn open() -> Result<Self, LabError> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/ttyS0");
        let device = device.map_err(LabError::io("opening the line"))?;
        let mut modes = step("reading the line's modes", tcgetattr(&device))?;
        modes.make_raw();
        step("making the line raw", tcsetattr(&device, OptionalActions::Now, &modes))?;
        Ok(Self { device: Arc::new(device), speaking: Arc::default() })
    }

    fn say(&self, frame: &ToOutside) {
        let _one_at_a_time = self.speaking.lock().unwrap_or_else(PoisonError::into_inner);
        // If nobody listens any more, the kernel is about to be killed.
        let _ = (&*self.device).write_all(&frame.encode());
    }
}

/// The command's ends, whichever kind they are.
struct Ends {
    child: Child,
    input: Option<Input>,
    readers: Vec<JoinHandle<()>>,
}

/// Where the command's input goes.
enum Input {
    Pipe(ChildStdin),
    Terminal(OwnedFd),
}

fn serve(request: &Request, job: &Path, line: &Line) -> Result<u8, LabError> {
    let _hosts = inside::up(request)?;
    let bin = job.join("bin");
    let mut ends = match request.terminal {
        Some(size) => start_in_terminal(request, &bin, size, line)?,
        None => start_with_pipes(request, &bin, line)?,
    };
    let input = ends.input.take();
    let (ear, pid) = (line.clone(), ends.child.id());
    thread::spawn(move || listen(&ear, input));
    line.say(&ToOutside::Ready);
    let status = inside::wait_for(pid)?;
    wait_for_readers(&mut ends.readers);
    Ok(status)
}

fn start_with_pipes(request: &Request, bin: &Path, line: &Line) -> Result<Ends, LabError> {
    let mut command = inside::command(request, bin, "uml", Session::Own);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(LabError::io("starting the command"))?;
    let mut readers = Vec::new();
    if let Some(output) = child.stdout.take() {
        readers.push(pass_on(output, line, ToOutside::Output));
    }
    if let Some(errors) = child.stderr.take() {
        readers.push(pass_on(errors, line, ToOutside::Errors));
    }
    let input = child.stdin.take().map(Input::Pipe);
    Ok(Ends { child, input, readers })
}

fn start_in_terminal(request: &Request, bin: &Path, size: (u16, u16), line: &Line) -> Result<Ends, LabError> {
    let open = || {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        resize(&master, size);
        Ok::<_, rustix::io::Errno>((master, slave))
    };
    let (master, slave) = step("opening a terminal", open())?;
    let copy = || slave.try_clone().map(Stdio::from).map_err(LabError::io("opening a terminal"));
    let mut command = inside::command(request, bin, "uml", Session::Terminal);
    command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
    let child = command.spawn().map_err(LabError::io("starting the command"))?;
    drop(command);
    drop(slave);
    let output = master.try_clone().map_err(LabError::io("opening a terminal"))?;
    let readers = vec![pass_on(File::from(output), line, ToOutside::Output)];
    Ok(Ends { child, input: Some(Input::Terminal(master)), readers })
}

fn resize(terminal: &OwnedFd, (rows, cols): (u16, u16)) {
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = tcsetwinsize(terminal, size);
}

fn pass_on(mut from: impl Read + Send + 'static, line: &Line, frame: fn(Vec<u8>) -> ToOutside) -> JoinHandle<()> {
    let line = line.clone();
    thread::spawn(move || {
        let mut buffer = [0; MOST_BYTES];
        loop {
            match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal whose last user has gone says EIO.
                Ok(0) | Err(_) => return,
                Ok(read) => line.say(&frame(buffer.get(..read).unwrap_or_default().to_vec())),
            }
        }
    })
}

/// A daemon that the command left behind may hold its output for ever.
fn wait_for_readers(readers: &mut Vec<JoinHandle<()>>) {
    let pause = Duration::from_millis(5);
    let mut left = LAST_WORDS;
    while !readers.iter().all(JoinHandle::is_finished) && !left.is_zero() {
        thread::sleep(pause);
        left = left.saturating_sub(pause);
    }
    readers.clear();
}

/// Takes the outside's words off the line, at once: the line's own buffer must never fill. What the command is slow to
/// read waits here, and is granted again only when it has gone on.
fn listen(line: &Line, mut input: Option<Input>) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    loop {
        match (&*line.device).read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => decoder.push(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        while let Some(frame) = decoder.next_to_inside() {
            match frame {
                Ok(ToInside::Input(bytes)) => {
                    let taken = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                    let written = match &mut input {
                        Some(Input::Pipe(pipe)) => pipe.write_all(&bytes).and_then(|()| pipe.flush()),
                        Some(Input::Terminal(master)) => write_all(master, &bytes),
                        None => Ok(()),
                    };
                    if written.is_err() {
                        // The command reads no more; the rest is for nobody.
                        input = None;
                    }
                    line.say(&ToOutside::Taken(taken));
                }
                Ok(ToInside::InputEnd) => input = input.filter(|input| matches!(input, Input::Terminal(_))),
                Ok(ToInside::Resize(rows, cols)) => {
                    if let Some(Input::Terminal(master)) = &input {
                        resize(master, (rows, cols));
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn write_all(terminal: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(terminal, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
