//! The lab's two hosts as the tests use them: through other people's programs.

use std::ffi::OsStr;
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use espial::kernel::namespace::Namespace;
use espial::kernel::{Kernel, XfrmKernel};
use netlink_packet_core::Emitable;
use netlink_packet_xfrm::UserPolicyInfo;

/// The article's hosts.
pub const GOUDA: &str = "10.9.0.1";
pub const REBLOCHON: &str = "10.9.0.2";

/// Runs a program on gouda.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// What a program that must succeed says, blanks and line ends made one blank each.
#[track_caller]
pub fn words<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `ip` with a line of arguments, on gouda.
#[track_caller]
pub fn ip(line: &str) -> String {
    words("ip", line.split_whitespace())
}

/// What espial says; it must succeed.
#[track_caller]
pub fn espial(arguments: &[&str]) -> String {
    let output = run(env!("CARGO_BIN_EXE_espial"), arguments);
    assert!(output.status.success(), "espial {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What espial says in JSON.
#[track_caller]
pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&espial(arguments)).unwrap()
}

/// Runs a program with a text as its input.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A key of so many bytes, as `ip` reads and shows it.
pub fn key(bytes: usize) -> String {
    (0..bytes).fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The kernel's databases of gouda.
pub fn kernel() -> XfrmKernel {
    XfrmKernel::open().unwrap()
}

/// Runs something on reblochon.
pub fn on_reblochon<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    Namespace::named("reblochon").unwrap().within(work).unwrap()
}

/// Empties the databases of both hosts, not with espial.
pub fn reset() {
    for host in ["gouda", "reblochon"] {
        ip(&format!("-n {host} xfrm state flush"));
        ip(&format!("-n {host} xfrm policy flush"));
        ip(&format!("-n {host} xfrm policy flush ptype sub"));
    }
    assert_eq!((kernel().sas().unwrap(), kernel().policies().unwrap()), (Vec::new(), Vec::new()), "ip has flushed");
}

/// A socket with a policy of its own, as key managers have them: what comes in may come in clear.
pub fn socket_with_a_policy() -> UdpSocket {
    let socket = UdpSocket::bind((GOUDA, 0)).unwrap();
    let mut policy = UserPolicyInfo::default();
    policy.selector.family = u16::try_from(libc::AF_INET).unwrap();
    let mut bytes = vec![0; policy.buffer_len()];
    policy.emit(&mut bytes);
    let length = libc::socklen_t::try_from(bytes.len()).unwrap();
    // SAFETY: the kernel reads so many bytes of a buffer that is as long.
    #[allow(unsafe_code, reason = "no crate knows this option")]
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_XFRM_POLICY, bytes.as_ptr().cast(), length)
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    socket
}
