//! Reading the whole SPD into the model, beside `ip xfrm policy` in the same run.
//!
//! Policies need no ESP, so this runs on any kernel with XFRM, in a network namespace of its own (root, or
//! `unshare -r`). Beside both stands a bare walk: the same dump asked for, received, and gone through header by header.
//! Look at the ratios, not at the times. To reach: at most 0.8 of `ip`'s, and at most 2.5 times the bare walk's. Seen:
//! 0.3 of `ip`'s; 2.5 times the walk's with 100,000 policies, 3 with 10,000.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "criterion's macros, and a bench that fails should say where"
)]

use std::process::{Command, Stdio};

use criterion::{BenchmarkId, Criterion};
use espial::kernel::namespace::within_scratch;
use espial::kernel::{Kernel, XfrmKernel};
use espial::model::{IpsecProtocol, Mode, PolicyDirection, PolicySpec, Prefix, Selector, Template};
use netlink_sys::protocols::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn fill(kernel: &mut XfrmKernel, policies: u32) {
    for n in 0..policies {
        let host = |net: u32| Prefix::host(std::net::Ipv4Addr::from(net << 24 | n).into());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(10), host(11)));
        let nowhere = [0, 0, 0, 0].into();
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, nowhere, nowhere));
        kernel.add_policy(&spec).unwrap();
    }
}

/// Who asks for all policies and looks at nothing but the headers.
struct Walker {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Walker {
    fn open() -> Self {
        let mut socket = Socket::new(NETLINK_XFRM).unwrap();
        socket.bind_auto().unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        Self { socket, buffer: vec![0; 64 * 1024] }
    }

    fn walk(&mut self) -> u32 {
        let (get_policy, new_policy, done, request_dump) = (0x15u16, 0x13u16, 3u16, 0x301u16);
        let mut request = [0; 16];
        request[0] = 16;
        request[4..6].copy_from_slice(&get_policy.to_ne_bytes());
        request[6..8].copy_from_slice(&request_dump.to_ne_bytes());
        self.socket.send(&request, 0).unwrap();
        let mut count = 0;
        loop {
            let length = self.socket.recv(&mut &mut self.buffer[..], 0).unwrap();
            let mut rest = &self.buffer[..length];
            while let Some(header) = rest.first_chunk::<16>() {
                let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
                match u16::from_ne_bytes([header[4], header[5]]) {
                    kind if kind == done => return count,
                    kind if kind == new_policy => count += 1,
                    kind => panic!("a message of type {kind}"),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

fn dumps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("list_policies");
    group.sample_size(20);
    let mut kernel = XfrmKernel::open().unwrap();
    for policies in [10_000, 100_000] {
        kernel.flush_policies(espial::model::PolicyKind::Main).unwrap();
        fill(&mut kernel, policies);
        assert_eq!(kernel.policies().unwrap().len(), policies as usize);
        group.bench_with_input(BenchmarkId::new("espial", policies), &policies, |bencher, _| {
            bencher.iter(|| kernel.policies().unwrap().len());
        });
        group.bench_with_input(BenchmarkId::new("bare walk", policies), &policies, |bencher, _| {
            let mut walker = Walker::open();
            bencher.iter(|| assert_eq!(walker.walk(), policies));
        });
        group.bench_with_input(BenchmarkId::new("ip", policies), &policies, |bencher, _| {
            bencher.iter(|| {
                let status = Command::new("ip").args(["xfrm", "policy"]).stdout(Stdio::null()).status().unwrap();
                assert!(status.success());
            });
        });
    }
    group.finish();
}

fn main() {
    within_scratch(|| {
        let mut criterion = Criterion::default().configure_from_args();
        dumps(&mut criterion);
        criterion.final_summary();
    })
    .unwrap();
}
