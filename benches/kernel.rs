//! Reading the whole SPD into the model, beside `ip xfrm policy` in the same run.
//!
//! Policies need no ESP, so this runs on any kernel with XFRM, in a network namespace of its own (root, or
//! `unshare -r`). Look at the ratio of the two, not at the times. To reach: at most 0.8 of `ip`'s.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros, and a bench that fails should say where")]

use std::process::{Command, Stdio};

use criterion::{BenchmarkId, Criterion};
use espial::kernel::namespace::within_scratch;
use espial::kernel::{Kernel, XfrmKernel};
use espial::model::{IpsecProtocol, Mode, PolicyDirection, PolicySpec, Prefix, Selector, Template};

fn fill(kernel: &mut XfrmKernel, policies: u32) {
    for n in 0..policies {
        let host = |net: u32| Prefix::host(std::net::Ipv4Addr::from(net << 24 | n).into());
        let mut spec = PolicySpec::new(PolicyDirection::Out, Selector::between(host(10), host(11)));
        let nowhere = [0, 0, 0, 0].into();
        spec.templates.push(Template::new(IpsecProtocol::Esp, Mode::Transport, nowhere, nowhere));
        kernel.add_policy(&spec).unwrap();
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
