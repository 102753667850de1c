//! The lab's promises, each seen from outside: statuses, streams, input, folders, and that nothing is left behind.
//!
//! Every test boots; where it is honest, several things are asked of one boot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should say where")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A lab with a folder of its own for temporary files, so that what it leaves behind can be found.
struct Lab {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Lab {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self { folder, arguments: arguments.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn command(&self, inside: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
        command.arg("lab").args(&self.arguments).arg("--").args(inside);
        command.env("TMPDIR", self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, inside: &[&str]) -> Output {
        self.command(inside).output().unwrap()
    }

    /// Starts a command and waits until it says `ready`.
    fn start(&self, script: &str) -> Child {
        let script = format!("echo ready; {script}");
        let mut child = self.command(&["sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut word = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ready\n");
        child
    }

    /// Asserts that no file and no process of this lab is left, giving the killed some time to die.
    #[track_caller]
    fn leaves_nothing(&self) {
        let mark = self.folder.path().to_str().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let files: Vec<PathBuf> = fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
            let processes = processes_with(mark);
            if files.is_empty() && processes.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind: {files:?} {processes:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The command lines of processes that name a text.
fn processes_with(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(mark) {
            found.push(line);
        }
    }
    found
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn kill(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn a_command_has_its_output_its_errors_its_status_and_nothing_else() {
    let lab = Lab::new(&["--profile", "none"]);
    let script = "printf 'out\\000\\377'; echo err >&2; exit 7";
    let output = lab.run(&["sh", "-c", script]);
    assert_eq!(output.stdout, b"out\0\xff");
    assert_eq!(text(&output.stderr), "err\n");
    assert_eq!(output.status.code(), Some(7));
    lab.leaves_nothing();
}

#[test]
fn the_hosts_are_the_articles_and_the_caller_finds_himself_at_home() {
    let lab = Lab::new(&["--profile", "none"]);
    let script = r#"
        hostname; echo "$ESPIAL_LAB" | grep -q . && echo marked
        ip -4 -br addr show g0 | grep -o 10.9.0.1/24; ip -6 -br addr show g0 | grep -o fd00:9::1/64
        ip -n reblochon -4 -br addr show r0 | grep -o 10.9.0.2/24
        espial --netns reblochon policy >/dev/null && echo 'espial is there'
        pwd; printf '%s|' "$ODD" "$1" "$2"; echo
        kill -9 $$
    "#;
    let mut command = lab.command(&["sh", "-c", script, "sh", "a b", "\"c'd\n"]);
    let here = tempfile::tempdir().unwrap();
    command.current_dir(here.path()).env("ODD", "x\n\"y'");
    let output = command.output().unwrap();
    let expected = format!(
        "gouda\nmarked\n10.9.0.1/24\nfd00:9::1/64\n10.9.0.2/24\nespial is there\n{}\nx\n\"y'|a b|\"c'd\n|\n",
        fs::canonicalize(here.path()).unwrap().display()
    );
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(128 + 9));
    let other = Lab::new(&["--profile", "none", "--on", "reblochon"]).run(&["hostname"]);
    assert_eq!(text(&other.stdout), "reblochon\n");
}

#[test]
fn input_goes_through_whole_and_ends() {
    let lab = Lab::new(&["--profile", "none"]);
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut child = lab.command(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || input.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == bytes, "{} of {} bytes, or others", output.stdout.len(), bytes.len());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn five_megabytes_come_out_whole() {
    let lab = Lab::new(&["--profile", "none"]);
    let script = "i=0; while [ $i -lt 5 ]; do head -c 1000000 /dev/zero | tr '\\0' $i; i=$((i+1)); done";
    let output = lab.run(&["sh", "-c", script]);
    let expected: Vec<u8> = (b'0'..b'5').flat_map(|digit| std::iter::repeat_n(digit, 1_000_000)).collect();
    assert!(output.stdout == expected, "{} bytes, or others", output.stdout.len());
}

#[test]
fn only_the_folders_of_out_can_be_written() {
    let out = tempfile::tempdir().unwrap();
    let lab = Lab::new(&["--profile", "none", "--kernel", "uml", "--out", out.path().to_str().unwrap()]);
    let elsewhere = tempfile::tempdir().unwrap();
    let (inside, outside) = (out.path().join("kept"), elsewhere.path().join("lost"));
    let script = format!("echo x >{} && echo y >{} && cat {}", inside.display(), outside.display(), outside.display());
    let output = lab.run(&["sh", "-c", &script]);
    assert_eq!(text(&output.stdout), "y\n", "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(inside).unwrap(), "x\n");
    assert!(!outside.exists());
}

#[test]
fn the_profiles_protect_what_they_say() {
    for (profile, protocols) in
        [("article", vec!["ah", "esp", "ah", "esp"]), ("gcm", vec!["esp"; 2]), ("tunnel", vec!["esp"; 2])]
    {
        let output = Lab::new(&["--profile", profile]).run(&["espial", "sa", "--json"]);
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found: Vec<&str> =
            list["sas"].as_array().unwrap().iter().map(|sa| sa["protocol"].as_str().unwrap()).collect();
        assert_eq!(found, protocols, "{profile}");
    }
}

#[test]
fn a_lab_within_the_lab_is_on_its_kernel() {
    let lab = Lab::new(&["--profile", "none", "--kernel", "uml"]);
    let inner = "espial lab --kernel host --profile article -- sh -c 'ip xfrm state count; echo $ESPIAL_LAB; exit 5'";
    let output =
        lab.run(&["sh", "-c", &format!("{inner}; echo status $?; ip xfrm state count; ls /run/netns | wc -l")]);
    let words: Vec<&str> = text(&output.stdout).split_whitespace().collect();
    let expected = ["SAD", "count", "4", "host", "status", "5", "SAD", "count", "0", "2"];
    assert_eq!(words, expected, "{}", text(&output.stderr));
}

#[test]
fn a_signal_to_the_front_ends_everything() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let lab = Lab::new(&["--profile", "none", "--kernel", "uml"]);
        let mut child = lab.start("sleep 600");
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()), "{signal:?}");
        lab.leaves_nothing();
    }
}

#[test]
fn a_front_that_is_killed_leaves_nothing_either() {
    let lab = Lab::new(&["--profile", "none", "--kernel", "uml"]);
    let mut child = lab.start("sleep 600");
    kill(&child, Signal::KILL);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    lab.leaves_nothing();
}

#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let lab = Lab::new(&["--profile", "none", "--kernel", "uml"]);
    let mut child = lab.start("yes");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
    lab.leaves_nothing();
}

#[test]
fn a_daemon_left_behind_does_not_hold_the_lab() {
    let output = Lab::new(&["--profile", "none"]).run(&["sh", "-c", "sleep 600 & exit 3"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_kernel_that_panics_is_said_to_have_died() {
    let lab = Lab::new(&["--profile", "none", "--kernel", "uml"]);
    let output = lab.run(&["sh", "-c", "echo c >/proc/sysrq-trigger"]);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{words}");
    assert!(words.starts_with("espial: the lab's kernel died: ") && words.contains("panic"), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    lab.leaves_nothing();
}

#[test]
fn two_labs_at_the_same_time_do_not_meet() {
    let labs = [Lab::new(&["--profile", "article"]), Lab::new(&["--profile", "none"])];
    let children = labs
        .each_ref()
        .map(|lab| lab.command(&["sh", "-c", "ip xfrm state count"]).stdout(Stdio::piped()).spawn().unwrap());
    let counts = children.map(|child| {
        let output = child.wait_with_output().unwrap();
        text(&output.stdout).split_whitespace().last().unwrap().to_owned()
    });
    assert_eq!(counts, ["4", "0"]);
}

#[test]
fn somebody_who_is_not_root_has_a_lab_too() {
    let lab = Lab::new(&[]);
    // The binary of the tests may lie where only root may look.
    let program = lab.folder.path().join("espial");
    fs::copy(env!("CARGO_BIN_EXE_espial"), &program).unwrap();
    let nobody = |arguments: &[&str]| {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        command.arg("lab").args(arguments).env("TMPDIR", lab.folder.path()).current_dir("/").stdin(Stdio::null());
        command.output().unwrap()
    };
    let output = nobody(&["--kernel", "uml", "--", "sh", "-c", "id -u; espial sa | wc -l"]);
    assert_eq!(text(&output.stdout), "0\n5\n", "{}", text(&output.stderr));
    let output = nobody(&["--out", "/", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stderr), "espial: --out /: Permission denied (os error 13)\n");
    fs::remove_file(&program).unwrap();
    lab.leaves_nothing();
}

#[test]
fn ctrl_c_ends_a_lab_that_is_still_booting() {
    let lab = Lab::new(&["--profile", "none"]);
    let pty = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
    let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_espial"));
    command.args(["lab", "--kernel", "uml", "--", "sleep", "100"]);
    command.env("TMPDIR", lab.folder.path());
    let mut child = pty.slave.spawn_command(command).unwrap();
    let mut keyboard = pty.master.take_writer().unwrap();
    let (start, mut status) = (Instant::now(), None);
    // Whenever it comes, also before the terminal listens: so it is pressed as a person presses it.
    while status.is_none() {
        assert!(start.elapsed() < PATIENCE, "it does not end");
        if fs::read_dir(lab.folder.path()).unwrap().next().is_some() {
            keyboard.write_all(b"\x03").unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
        status = child.try_wait().unwrap();
    }
    let status = status.unwrap();
    // Before it listens for signals it dies of one, and the keeper clears up.
    let is_ended = status.exit_code() == 128 + 2 || status.signal().is_some();
    assert!(start.elapsed() < Duration::from_secs(100) && is_ended, "{status:?}");
    lab.leaves_nothing();
}

#[test]
fn what_is_missing_is_said_with_the_remedy_and_status_125() {
    let lab = Lab::new(&["--out", "/nonexistent"]);
    let output = lab.run(&["true"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stderr), "espial: --out /nonexistent: No such file or directory (os error 2)\n");
    let output = without_packages().output().unwrap();
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{words}");
    assert!(
        words.starts_with("espial: the lab needs a User-Mode Linux kernel (linux.uml): install the package"),
        "{words}"
    );
    assert_eq!(words.lines().count(), 1, "{words}");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 400000; exec \"$0\" lab --kernel uml -- true", env!("CARGO_BIN_EXE_espial")]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let words = text(&output.stderr);
    assert!(
        words.starts_with("espial: the lab's kernel could not have its 512 MiB of memory: ask for less"),
        "{words}"
    );
    assert_eq!(output.status.code(), Some(125), "{words}");
    let output = lab_without_out().env("TMPDIR", "/nonexistent").output().unwrap();
    let words = text(&output.stderr);
    assert!(words.starts_with("espial: the lab can make no folder in /nonexistent: No such file"), "{words}");
    assert!(words.trim_end().ends_with("name another one with TMPDIR") && words.lines().count() == 1, "{words}");
    let usage = Lab::new(&["--profile", "nonsense"]).run(&["true"]);
    assert_eq!(usage.status.code(), Some(2));
}

fn lab_without_out() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espial"));
    command.args(["lab", "--kernel", "uml", "--", "true"]).stdin(Stdio::null());
    command
}

/// A lab where there is no `linux.uml`.
fn without_packages() -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_espial"));
    let hide = "mount --bind /dev/null \"$(command -v linux.uml)\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c"]);
    command.arg(format!("{hide}; exec {} lab --kernel uml -- true", program.display()));
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let output = Lab::new(&["--profile", "none"]).run(&["no-such-command"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).starts_with("espial: no-such-command: No such file"), "{}", text(&output.stderr));
}
