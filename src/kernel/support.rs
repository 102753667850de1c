//! What this kernel can do, asked without touching anything that is in use.

use crate::kernel::namespace::within_scratch;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::{Algorithm, IpsecProtocol, SaSpec, Secret, Spi, Transform};

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// Whether there is a transform for ESP; `None` where it could not be asked.
    pub esp: Option<bool>,
    /// Whether there is a transform for AH.
    pub ah: Option<bool>,
}

impl Support {
    /// Asks the kernel, in a network namespace made for it where that is allowed (`CAP_SYS_ADMIN`), or else in its own.
    ///
    /// The question is an SA with a key that no cipher takes: a kernel without the transform says so, one with it
    /// complains about the key. Either way no SA comes to be, and modules that are missing get loaded as they would be
    /// for a real one.
    pub fn ask() -> Self {
        let question = || {
            let mut kernel = XfrmKernel::open().ok()?;
            Some(Self { esp: has_esp(&mut kernel), ah: has_ah(&mut kernel) })
        };
        within_scratch(question).unwrap_or_else(|_| question()).unwrap_or_default()
    }

    /// Looks without asking, so that nothing is loaded: at what the kernel has by now, and at the modules that are
    /// there for it. Where neither can be read, nothing is known.
    pub fn look() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let modules = ["dep", "builtin"].map(|kind| file(&format!("/lib/modules/{release}/modules.{kind}"))).concat();
        Self::seen(&file("/proc/kallsyms"), &modules)
    }

    /// From the names of the kernel's functions and of the modules' files.
    fn seen(symbols: &str, modules: &str) -> Self {
        let has = |function: &str, module: &str| {
            let is_here = symbols.lines().any(|line| line.split_whitespace().nth(2) == Some(function));
            let can_come = modules.contains(&format!("/{module}.ko"));
            (is_here || can_come).then_some(true).or((!symbols.is_empty() && !modules.is_empty()).then_some(false))
        };
        Self { esp: has("esp_init_state", "esp4"), ah: has("ah_init_state", "ah4") }
    }

    /// What is missing and how to get it, in a sentence; `None` while nothing is known to be.
    pub fn complaint(&self) -> Option<String> {
        let missing = match (self.esp, self.ah) {
            (Some(false), Some(false)) => "neither ESP nor AH (modules esp4, esp6, ah4, ah6)",
            (Some(false), _) => "no ESP (modules esp4 and esp6)",
            (_, Some(false)) => "no AH (modules ah4 and ah6)",
            _ => return None,
        };
        Some(format!(
            "This kernel has {missing}: policies can be edited, but no such SA can be added. Install the kernel's \
             modules, or run `espial lab`."
        ))
    }
}

fn spec(protocol: IpsecProtocol) -> SaSpec {
    let host = |last| std::net::Ipv4Addr::new(127, 0, 0, last).into();
    SaSpec::new(host(1), host(2), protocol, Spi(0x1000))
}

fn transform(kernel_name: &str, key: &[u8]) -> Option<Transform> {
    let name = Algorithm::by_kernel_name(kernel_name)?.into();
    Some(Transform { name, key: Secret::copy_from(key), icv_bits: 0 })
}

fn has_esp(kernel: &mut XfrmKernel) -> Option<bool> {
    let mut spec = spec(IpsecProtocol::Esp);
    spec.algorithms.encryption = transform("cbc(aes)", &[0]);
    has_transform(kernel, &spec)
}

fn has_ah(kernel: &mut XfrmKernel) -> Option<bool> {
    let mut spec = spec(IpsecProtocol::Ah);
    // CMAC takes AES keys only; HMAC would take a key of any length and make an SA.
    spec.algorithms.authentication = transform("cmac(aes)", &[0]);
    has_transform(kernel, &spec)
}

fn has_transform(kernel: &mut XfrmKernel, spec: &SaSpec) -> Option<bool> {
    match kernel.add_sa(spec) {
        Ok(()) => {
            let _ = kernel.delete_sa(&spec.id());
            Some(true)
        }
        Err(error) => match error.errno() {
            Some(libc::EPROTONOSUPPORT | libc::ENOSYS) => Some(false),
            Some(libc::EINVAL) => Some(true),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_missing_is_complained_about() {
        assert_eq!(Support::default().complaint(), None);
        assert_eq!(Support { esp: Some(true), ah: Some(true) }.complaint(), None);
        let no_esp = Support { esp: Some(false), ah: Some(true) }.complaint().unwrap();
        assert!(no_esp.starts_with("This kernel has no ESP (modules esp4 and esp6):"), "{no_esp}");
    }

    #[test]
    fn a_look_finds_what_is_built_in_loaded_or_can_be() {
        let symbols = "0000000000000000 t esp_init_state\t[esp4]\n0000000000000000 T ip_rcv\n";
        let both = Support { esp: Some(true), ah: Some(true) };
        assert_eq!(Support::seen(symbols, "kernel/net/ipv4/ah4.ko: kernel/net/xfrm/xfrm_algo.ko"), both);
        let only_esp = Support { esp: Some(true), ah: Some(false) };
        assert_eq!(Support::seen(symbols, "kernel/net/ipv4/ipcomp.ko.xz:"), only_esp);
        assert_eq!(Support::seen(symbols, ""), Support { esp: Some(true), ah: None }, "modules that cannot be seen");
        assert_eq!(Support::seen("", ""), Support::default());
    }
}
