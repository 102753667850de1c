//! The settings of interfaces because of which the kernel asks no policy.

use std::collections::HashMap;
use std::path::Path;

use super::tunnels::Links;
use crate::model::PolicySettings;

/// Of the namespace of the thread that looks.
const ROOT: &str = "/proc/sys/net";

/// Those of all interfaces, by their index.
pub(super) fn all(links: &Links, names: &HashMap<u32, &str>, loopback: u32) -> HashMap<u32, PolicySettings> {
    let root = Path::new(ROOT);
    let of_all = read(root, "all");
    let of_one = |(index, _): (&u32, &&str)| {
        let routed = links.routed(*index);
        // What cannot be read is not set: a kernel without IPv6 has none of its settings.
        let own = names.get(&routed).map(|name| read(root, name)).unwrap_or_default();
        let settings = PolicySettings {
            routed,
            local: links.vrf(routed).unwrap_or(loopback),
            no_policy: own.no_policy || of_all.no_policy,
            no_xfrm: own.no_xfrm || of_all.no_xfrm,
            no_policy_v6: own.no_policy_v6 || of_all.no_policy_v6,
        };
        (*index, settings)
    };
    names.iter().map(of_one).collect()
}

/// Those below a name.
fn read(root: &Path, name: &str) -> PolicySettings {
    let is_set = |version: &str, setting: &str| {
        let path = root.join(version).join("conf").join(name).join(setting);
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
    };
    PolicySettings {
        no_policy: is_set("ipv4", "disable_policy"),
        no_xfrm: is_set("ipv4", "disable_xfrm"),
        no_policy_v6: is_set("ipv6", "disable_policy"),
        ..PolicySettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_version_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("ipv4/conf/eth0.7/disable_policy", "1\n");
        write("ipv4/conf/eth0.7/disable_xfrm", "0\n");
        write("ipv6/conf/eth0.7/disable_policy", "2\n");
        let found = read(folder.path(), "eth0.7");
        assert_eq!((found.no_policy, found.no_xfrm, found.no_policy_v6), (true, false, true));
        assert_eq!(read(folder.path(), "eth1"), PolicySettings::default());
    }

    #[test]
    fn the_loopback_interface_of_this_kernel_is_exempt() {
        let found = all(&Links::default(), &[(1, "lo")].into(), 1);
        let exempt = PolicySettings { routed: 1, local: 1, no_policy: true, no_xfrm: true, ..found[&1] };
        assert_eq!(found[&1], exempt);
    }
}
