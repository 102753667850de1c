//! Two hosts joined by a wire: named network namespaces and a pair of veth links.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::UnshareFlags;

use super::LabError;
use super::route::Links;
use crate::kernel::KernelError;
use crate::kernel::namespace::{DIRECTORY, Namespace};
use crate::model::Prefix;

/// What a host is made of.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its name, and that of its network namespace.
    pub name: String,
    /// The name of its end of the wire.
    pub link: String,
    /// Its addresses on the wire.
    pub addresses: Vec<Prefix>,
    /// An address of it on a network behind it, where it has one.
    pub lan: Option<Prefix>,
}

/// Two hosts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Both.
    pub hosts: [HostPlan; 2],
}

impl Plan {
    /// The article's hosts, with a network behind each.
    pub fn article() -> Self {
        let host = |name: &str, link: &str, last: u8, lan: Option<u8>| HostPlan {
            name: name.to_owned(),
            link: link.to_owned(),
            addresses: vec![
                Prefix { address: [10, 9, 0, last].into(), length: 24 },
                Prefix { address: [0xfd00, 9, 0, 0, 0, 0, 0, last.into()].into(), length: 64 },
            ],
            lan: lan.map(|net| Prefix { address: [10, net, 0, 1].into(), length: 24 }),
        };
        Self { hosts: [host("gouda", "g0", 1, Some(1)), host("reblochon", "r0", 2, Some(2))] }
    }

    /// The same addresses under other names, for a test that wants hosts of its own.
    pub fn named(first: &str, second: &str) -> Self {
        let mut plan = Self::article();
        let [gouda, reblochon] = &mut plan.hosts;
        first.clone_into(&mut gouda.name);
        second.clone_into(&mut reblochon.name);
        plan
    }
}

/// Two hosts that are up. They go with this value.
#[derive(Debug)]
pub struct Hosts {
    made: Vec<PathBuf>,
    namespaces: Vec<Namespace>,
}

impl Hosts {
    /// Makes both hosts and the wire between them, and waits until it carries packets.
    ///
    /// # Errors
    /// What could not be made, and why. What was made before is taken down again.
    pub fn up(plan: &Plan) -> Result<Self, LabError> {
        fs::create_dir_all(DIRECTORY).map_err(LabError::io(format!("making {DIRECTORY}")))?;
        let mut hosts = Self { made: Vec::new(), namespaces: Vec::new() };
        for host in &plan.hosts {
            hosts.add_namespace(&host.name)?;
        }
        let [near, far] = &plan.hosts;
        let far_file = File::open(PathBuf::from(DIRECTORY).join(&far.name))
            .map_err(LabError::io(format!("opening the namespace of {}", far.name)))?;
        hosts.on(&near.name, || Links::open()?.add_veth(&near.link, &far.link, Some(far_file.as_raw_fd())))?;
        for (host, peer) in [(near, far), (far, near)] {
            hosts.on(&host.name, || configure(host, peer))?;
        }
        Ok(hosts)
    }

    fn add_namespace(&mut self, name: &str) -> Result<(), LabError> {
        let path = PathBuf::from(DIRECTORY).join(name);
        // As `ip netns add` does it: a file that a namespace is mounted on.
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        created.map_err(LabError::io(format!("making the network namespace {name}")))?;
        self.made.push(path.clone());
        let bound = std::thread::scope(|scope| {
            let make = || {
                crate::sys::unshare(UnshareFlags::NEWNET)?;
                mount_bind("/proc/thread-self/ns/net", &path).map_err(io::Error::from)
            };
            scope.spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        bound.map_err(LabError::io(format!("making the network namespace {name}")))?;
        let namespace = Namespace::named(name).map_err(|error| LabError::Inside(error.to_string()))?;
        self.namespaces.push(namespace);
        Ok(())
    }

    /// The network namespace of a host.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.name() == name)
    }

    /// Does something on a host.
    ///
    /// # Errors
    /// When there is no such host, or what was done fails.
    pub fn on<T: Send>(&self, name: &str, work: impl FnOnce() -> Result<T, KernelError> + Send) -> Result<T, LabError> {
        let missing = || LabError::Inside(format!("there is no host {name}"));
        let done = self.namespace(name).ok_or_else(missing)?.within(work);
        let done = done.map_err(|error| LabError::Inside(error.to_string()))?;
        done.map_err(|error| LabError::Inside(format!("on {name}: {error}")))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for path in &self.made {
            // What is gone already need not go.
            let _ = unmount(path, UnmountFlags::DETACH);
            let _ = fs::remove_file(path);
        }
    }
}

fn configure(host: &HostPlan, peer: &HostPlan) -> Result<(), KernelError> {
    let mut links = Links::open()?;
    links.set_up("lo")?;
    let index = index_of(&host.link);
    for prefix in &host.addresses {
        links.add_address(index, &host.link, *prefix)?;
    }
    links.set_up(&host.link)?;
    if let (Some(lan), Some(far_lan)) = (host.lan, peer.lan) {
        // A wire whose other end lies loose: every kernel that can hold the lab has those, but not all have dummies.
        links.add_veth("lan", "lan-end", None)?;
        links.set_up("lan-end")?;
        links.add_address(index_of("lan"), "lan", lan)?;
        links.set_up("lan")?;
        if let Some(gateway) = peer.addresses.iter().find(|prefix| prefix.address.is_ipv4() == lan.address.is_ipv4()) {
            links.add_route(far_lan.network(), gateway.address, lan.address)?;
        }
    }
    Ok(())
}

/// 0, which is no link, if there is none of that name: the kernel will say so.
fn index_of(link: &str) -> u32 {
    let all = pnet::datalink::interfaces();
    all.into_iter().find(|interface| interface.name == link).map_or(0, |interface| interface.index)
}
