//! On each host somebody who answers, and somebody who says hello: there is always something to look at.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::kernel::namespace::Namespace;

/// The port of both, over UDP and TCP.
pub const PORT: u16 = 7777;
/// What is said.
pub const WORDS: &[u8] = b"hello world";
/// How long an answer is waited for: less than the pause between two hellos.
const PATIENCE: Duration = Duration::from_millis(800);
/// The pause between two hellos.
const PAUSE: Duration = Duration::from_secs(1);

/// What one thread of a host does, given its own address and its peer's.
type Talk = fn(IpAddr, IpAddr);

/// Lets a host answer at `own`, and greet `peer` from there every second, for as long as the process lives. What goes
/// wrong (no SA, no peer) is silence, as on any network.
pub(super) fn start(namespace: &Namespace, own: IpAddr, peer: IpAddr) {
    let name = namespace.name().to_owned();
    let talks: [(&str, Talk); 3] = [("answers-udp", answer_udp), ("answers-tcp", answer_tcp), ("says-hello", greet)];
    for (what, talk) in talks {
        let Ok(namespace) = Namespace::named(&name) else {
            return;
        };
        let inside = move || {
            if namespace.enter().is_ok() {
                talk(own, peer);
            }
        };
        // Without a thread there is one talker less.
        let _ = thread::Builder::new().name(what.to_owned()).stack_size(128 * 1024).spawn(inside);
    }
}

fn answer_udp(own: IpAddr, _peer: IpAddr) {
    let Ok(socket) = UdpSocket::bind((own, PORT)) else {
        return;
    };
    let mut buffer = [0; 2048];
    loop {
        if let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), peer);
        }
    }
}

fn answer_tcp(own: IpAddr, _peer: IpAddr) {
    let Ok(listener) = TcpListener::bind((own, PORT)) else {
        return;
    };
    for stream in listener.incoming().flatten() {
        // One after the other: a greeting is over within a second.
        let mut stream = stream;
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut buffer = [0; 2048];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                break;
            }
        }
    }
}

fn greet(own: IpAddr, peer: IpAddr) {
    loop {
        let _ = greet_udp(own, peer);
        let _ = greet_tcp(peer);
        thread::sleep(PAUSE);
    }
}

fn greet_udp(own: IpAddr, peer: IpAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(WORDS, (peer, PORT))?;
    socket.recv(&mut [0; 64]).map(drop)
}

fn greet_tcp(peer: IpAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(peer, PORT), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(WORDS)?;
    stream.read(&mut [0; 64]).map(drop)
}
