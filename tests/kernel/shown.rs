//! What interfaces show that is not on the wire as they show it, beside what tunnels give back packet by packet.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use espial::capture::interfaces;

use crate::Test;
use crate::evidence::{check, packets, while_saying};
use crate::verdicts::{add_sas, protect_all, protect_all_in};
use crate::world::{GOUDA, REBLOCHON, ip, on_reblochon};

pub const TESTS: &[Test] = &[
    ("what_receive_offload_joined_behind_a_tunnel_confuses_no_check", joined),
    ("what_gre_shows_is_looked_at_where_it_leaves", wrapped),
];

const CIPHER: &str = "enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f auth-trunc hmac(sha256) \
                      0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 128";

/// The interface with an address, on gouda.
fn interface_with(address: &str) -> String {
    let address = address.parse().unwrap();
    interfaces().into_iter().find(|interface| interface.addresses.contains(&address)).unwrap().name
}

/// Switches generic receive offload: that of the interface is that of what comes out of its tunnels.
fn switch_offload(name: &str, on: bool) {
    // ETHTOOL_SGRO in a `struct ethtool_value`.
    let mut value = [0x2c_u32, on.into()];
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..24].copy_from_slice(&(value.as_mut_ptr() as usize).to_ne_bytes());
    let socket = std::net::UdpSocket::bind((GOUDA, 0)).unwrap();
    // SAFETY: the kernel reads a `struct ifreq`, and the value that it points to. SIOCETHTOOL.
    #[allow(unsafe_code, reason = "no crate knows this request")]
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), 0x8946, request.as_mut_ptr()) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

fn joined() {
    let interface = interface_with(GOUDA);
    switch_offload(&interface, true);
    add_sas("tunnel", "");
    protect_all_in("tunnel");
    let listener = on_reblochon(|| TcpListener::bind((REBLOCHON, 9009)).unwrap());
    let (over, is_over) = channel::<()>();
    thread::scope(|scope| {
        // It goes with what is looked at.
        let over = over;
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            // Several segments at a time, and not so fast that frames are lost.
            while stream.write_all(&b"hello world, in bulk ".repeat(500)).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        scope.spawn(move || {
            let mut stream = TcpStream::connect((REBLOCHON, 9009)).unwrap();
            let mut bytes = vec![0; 65536];
            // Also where what is looked at fails.
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                assert!(stream.read(&mut bytes).unwrap() > 0);
            }
        });
        // Larger than what the wire takes, and no leak.
        let packet = packets(1, "in and tcp and port 9009 and greater 2000").remove(0);
        assert_eq!(packet["verdict"], "COPY", "{packet:#}");
        let (status, line) = check(&[REBLOCHON, "--text", "in bulk"]);
        assert!(status == 0 && line.starts_with("ENCRYPTED: "), "{line}");
        over.send(()).unwrap();
    });
    switch_offload(&interface, false);
}

/// Two interfaces that remove themselves.
struct Gre;

impl Gre {
    fn new() -> Self {
        for (host, own, other, number) in [("gouda", GOUDA, REBLOCHON, 1), ("reblochon", REBLOCHON, GOUDA, 2)] {
            ip(&format!("-n {host} link add egre type gre local {own} remote {other}"));
            ip(&format!("-n {host} addr add 10.66.0.{number}/30 dev egre"));
            ip(&format!("-n {host} link set egre up"));
        }
        Self
    }
}

impl Drop for Gre {
    fn drop(&mut self) {
        for host in ["gouda", "reblochon"] {
            ip(&format!("-n {host} link del egre"));
        }
    }
}

fn wrapped() {
    let _gre = Gre::new();
    while_saying(b"through GRE", "gouda", "10.66.0.1", ("10.66.0.2", 99), || {
        let (status, line) = check(&["10.66.0.2", "-i", "any"]);
        assert!(status == 1 && line.starts_with("IN CLEAR: ") && line.contains(" CLEAR GRE/IPv4/"), "{line}");
        add_sas("transport", "");
        protect_all();
        let (status, line) = check(&["10.66.0.2", "-i", "any", "--text", "through GRE"]);
        assert!(status == 0 && line.starts_with("ENCRYPTED: "), "{line}");
        let (status, line) = check(&["10.66.0.2", "-i", "egre"]);
        assert!(status == 2 && line.contains("on an interface that is not the wire yet"), "{line}");
    });
    crate::world::reset();
    // ESP between the ends of GRE for one way: what is in clear beside it is seen where both leave.
    ip(&format!("xfrm state add src 10.66.0.1 dst 10.66.0.2 proto esp spi 0x6003 mode transport {CIPHER}"));
    ip("xfrm policy add src 10.66.0.1 dst 10.66.0.2 proto udp dport 99 dir out tmpl proto esp mode transport");
    while_saying(b"in ESP in GRE", "gouda", "10.66.0.1", ("10.66.0.2", 99), || {
        let (status, line) = check(&["10.66.0.2", "-i", "any"]);
        assert!(status == 0 && line.starts_with("ENCRYPTED: "), "{line}");
        while_saying(b"in GRE alone", "gouda", "10.66.0.1", ("10.66.0.2", 98), || {
            let (status, line) = check(&["10.66.0.2", "-i", "egre"]);
            assert!(status == 2 && line.contains("on an interface that is not the wire yet"), "{line}");
            let (status, line) = check(&["10.66.0.2", "-i", "any"]);
            assert!(status == 1 && line.starts_with("MIXED: "), "{line}");
        });
    });
}
