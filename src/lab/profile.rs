//! What protects the traffic between the hosts at the start.

use serde::{Deserialize, Serialize};

use super::LabError;
use super::hosts::Hosts;
use crate::kernel::{Kernel, XfrmKernel};
use crate::model::sa::Algorithms;
use crate::model::{
    Algorithm, IpsecProtocol, Mode, PolicyDirection, PolicySpec, Prefix, ReqId, SaSpec, Secret, Selector, Spi,
    Template, Transform,
};

/// A setting of SAs and policies for both hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    /// The article's listing: AH around ESP around everything, transport mode, with the article's keys.
    #[default]
    Article,
    /// AES-GCM in transport mode, random keys.
    Gcm,
    /// An AES-GCM tunnel between the networks behind the hosts, random keys.
    Tunnel,
    /// Nothing.
    None,
}

/// What is put into a host's databases.
#[derive(Debug, Default)]
pub struct Content {
    /// Its SAs; both hosts have the same.
    pub sas: Vec<SaSpec>,
    /// Its policies.
    pub policies: Vec<PolicySpec>,
}

fn addresses() -> [std::net::IpAddr; 2] {
    [[10, 9, 0, 1].into(), [10, 9, 0, 2].into()]
}

fn networks() -> [Prefix; 2] {
    [1, 2].map(|net| Prefix { address: [10, net, 0, 0].into(), length: 24 })
}

impl Profile {
    /// What goes onto gouda and onto reblochon.
    ///
    /// # Errors
    /// When the system has no random numbers for keys.
    pub fn contents(self) -> Result<[Content; 2], LabError> {
        let sas = match self {
            Self::Article => article_sas(),
            Self::Gcm => gcm_sas(Mode::Transport)?,
            Self::Tunnel => gcm_sas(Mode::Tunnel)?,
            Self::None => Vec::new(),
        };
        Ok([0, 1].map(|host| Content { sas: sas.clone(), policies: self.policies(host) }))
    }

    /// The policies of the host of this number.
    fn policies(self, host: usize) -> Vec<PolicySpec> {
        let (here, there) = (addresses()[host], addresses()[1 - host]);
        let (own, far, templates): (Prefix, Prefix, Vec<(IpsecProtocol, Mode)>) = match self {
            Self::Article => {
                let transforms = [IpsecProtocol::Esp, IpsecProtocol::Ah].map(|protocol| (protocol, Mode::Transport));
                (Prefix::host(here), Prefix::host(there), transforms.into())
            }
            Self::Gcm => (Prefix::host(here), Prefix::host(there), vec![(IpsecProtocol::Esp, Mode::Transport)]),
            Self::Tunnel => (networks()[host], networks()[1 - host], vec![(IpsecProtocol::Esp, Mode::Tunnel)]),
            Self::None => return Vec::new(),
        };
        // As setkey makes them: one for forwarding beside each of direction in.
        [PolicyDirection::Out, PolicyDirection::In, PolicyDirection::Forward]
            .into_iter()
            .map(|direction| {
                let out = direction == PolicyDirection::Out;
                let selector = if out { Selector::between(own, far) } else { Selector::between(far, own) };
                let mut spec = PolicySpec::new(direction, selector);
                spec.priority = PolicySpec::SETKEY_PRIORITY;
                for (protocol, mode) in &templates {
                    let nowhere = [0, 0, 0, 0].into();
                    let (source, destination) = match (mode, out) {
                        (Mode::Tunnel, true) => (here, there),
                        (Mode::Tunnel, false) => (there, here),
                        _ => (nowhere, nowhere),
                    };
                    let mut template = Template::new(*protocol, *mode, source, destination);
                    template.reqid = self.reqid();
                    spec.templates.push(template);
                }
                spec
            })
            .collect()
    }

    fn reqid(self) -> ReqId {
        ReqId(u32::from(self == Self::Tunnel))
    }

    /// Puts it into both hosts' kernels.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn install(self, hosts: &Hosts, names: [&str; 2]) -> Result<(), LabError> {
        for (name, content) in names.into_iter().zip(self.contents()?) {
            hosts.on(name, move || {
                let mut kernel = XfrmKernel::open()?;
                content.sas.iter().try_for_each(|spec| kernel.add_sa(spec))?;
                content.policies.iter().try_for_each(|spec| kernel.add_policy(spec))
            })?;
        }
        Ok(())
    }

    /// The kernel modules that it will want: loading them at once is quicker than one after the other.
    pub(super) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Article => &[
                "xfrm_user",
                "esp4",
                "ah4",
                "authenc",
                "echainiv",
                "cbc",
                "des_generic",
                "hmac",
                "sha1_generic",
                "md5",
            ],
            Self::Gcm | Self::Tunnel => &["xfrm_user", "esp4", "gcm", "ctr", "ghash_generic", "seqiv"],
            Self::None => &["xfrm_user"],
        }
    }
}

fn transform(kernel_name: &str, key: Secret, icv_bits: u32) -> Option<Transform> {
    Algorithm::by_kernel_name(kernel_name).map(|algorithm| Transform { name: algorithm.into(), key, icv_bits })
}

/// The article's SAs. "1234567890123456" and its like are its keys: nobody must use them anywhere else.
fn article_sas() -> Vec<SaSpec> {
    let [gouda, reblochon] = addresses();
    let mut sas = Vec::new();
    for (source, destination, spi) in [(gouda, reblochon, 1000), (reblochon, gouda, 2000)] {
        let mut ah = SaSpec::new(source, destination, IpsecProtocol::Ah, Spi(spi));
        ah.algorithms.authentication = transform("hmac(md5)", Secret::copy_from(b"1234567890123456"), 96);
        let mut esp = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi + 1));
        esp.algorithms = Algorithms {
            encryption: transform("cbc(des3_ede)", Secret::copy_from(b"123456789012345678901234"), 0),
            authentication: transform("hmac(sha1)", Secret::copy_from(b"12345678901234567890"), 96),
            ..Algorithms::default()
        };
        sas.extend([ah, esp]);
    }
    sas
}

fn gcm_sas(mode: Mode) -> Result<Vec<SaSpec>, LabError> {
    let no_random = |error: getrandom::Error| LabError::Inside(format!("the system gives no random numbers: {error}"));
    let [gouda, reblochon] = addresses();
    let mut sas = Vec::new();
    for (source, destination) in [(gouda, reblochon), (reblochon, gouda)] {
        // Never one of the reserved, and the two never the same.
        let side: u32 = if source == gouda { 0x1000_0000 } else { 0x2000_0000 };
        let spi = Spi(side | (getrandom::u32().map_err(no_random)? & 0x0fff_ffff));
        let mut spec = SaSpec::new(source, destination, IpsecProtocol::Esp, spi);
        spec.mode = mode;
        spec.reqid = ReqId(u32::from(mode == Mode::Tunnel));
        spec.replay_window = 32;
        spec.algorithms.aead = transform("rfc4106(gcm(aes))", Secret::random(20).map_err(no_random)?, 128);
        sas.push(spec);
    }
    Ok(sas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::setkey::{Deed, parse};
    use crate::model::check;

    /// What a script asks for.
    fn script(text: &str) -> Content {
        let mut content = Content::default();
        for statement in parse(text).unwrap().statements {
            match statement.deed {
                Deed::AddSa(spec) => content.sas.push(*spec),
                Deed::AddPolicies(specs) => content.policies.extend(specs),
                _ => {}
            }
        }
        content
    }

    fn key_order(sas: &mut [SaSpec]) {
        sas.sort_by_key(SaSpec::id);
    }

    #[test]
    fn the_articles_profile_is_the_articles_listing_on_both_hosts() {
        let listings = [
            include_str!("../../tests/data/article-gouda.conf"),
            include_str!("../../tests/data/article-reblochon.conf"),
        ];
        for (mut content, listing) in Profile::Article.contents().unwrap().into_iter().zip(listings) {
            let mut expected = script(listing);
            key_order(&mut content.sas);
            key_order(&mut expected.sas);
            assert_eq!(content.sas, expected.sas);
            content.policies.sort_by_key(|spec| spec.direction);
            expected.policies.sort_by_key(|spec| spec.direction);
            assert_eq!(content.policies, expected.policies);
        }
    }

    #[test]
    fn every_profile_is_sound_and_random_where_it_says_so() {
        for profile in [Profile::Article, Profile::Gcm, Profile::Tunnel, Profile::None] {
            for content in profile.contents().unwrap() {
                for spec in &content.sas {
                    let errors = check::sa(spec).into_iter().filter(|p| p.severity == check::Severity::Error);
                    assert_eq!(errors.count(), 0, "{profile:?}");
                }
                for spec in &content.policies {
                    assert_eq!(check::policy(spec), [], "{profile:?}");
                }
            }
        }
        let key = || Profile::Gcm.contents().unwrap()[0].sas[0].algorithms.aead.clone().unwrap().key;
        assert_ne!(key(), key());
    }
}
