//! What protects the traffic between the hosts at the start.

use serde::{Deserialize, Serialize};

use super::LabError;
use super::hosts::Hosts;
use crate::kernel::{XfrmKernel, together};
use crate::model::pair::{Half, PairPlan};
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

/// Of gouda and of reblochon.
pub(super) fn addresses() -> [std::net::IpAddr; 2] {
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
    pub fn contents(self) -> Result<[Half; 2], LabError> {
        let [gouda, reblochon] = addresses();
        let plan = PairPlan::between(gouda, reblochon);
        let plan = match self {
            Self::Article => return Ok(article()),
            Self::None => return Ok(<[Half; 2]>::default()),
            Self::Gcm => plan,
            Self::Tunnel => PairPlan { networks: Some(networks()), reqid: ReqId(1), ..plan },
        };
        let mut given = Vec::new();
        let free_spi = |protocol| {
            let spi = Spi::random(protocol, |spi| given.contains(&spi))?;
            given.push(spi);
            Ok(spi)
        };
        plan.make(free_spi).map_err(|error| LabError::Inside(format!("the system gives no random numbers: {error}")))
    }

    /// Puts it into both hosts' kernels.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn install(self, hosts: &Hosts, names: [&str; 2]) -> Result<(), LabError> {
        for (name, content) in names.into_iter().zip(self.contents()?) {
            hosts.on(name, move || {
                let mut kernel = XfrmKernel::open()?;
                together::exchange(&mut kernel, &content).map(drop)
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

/// The article's listing on both hosts. "1234567890123456" and its like are its keys: nobody must use them anywhere
/// else.
fn article() -> [Half; 2] {
    let [gouda, reblochon] = addresses();
    let mut sas = Vec::new();
    for (source, destination, spi) in [(gouda, reblochon, 1000), (reblochon, gouda, 2000)] {
        let mut ah = SaSpec::new(source, destination, IpsecProtocol::Ah, Spi(spi));
        ah.algorithms.authentication = transform("hmac(md5)", b"1234567890123456", 96);
        let mut esp = SaSpec::new(source, destination, IpsecProtocol::Esp, Spi(spi + 1));
        esp.algorithms.encryption = transform("cbc(des3_ede)", b"123456789012345678901234", 0);
        esp.algorithms.authentication = transform("hmac(sha1)", b"12345678901234567890", 96);
        sas.extend([ah, esp]);
    }
    [(gouda, reblochon), (reblochon, gouda)].map(|(here, there)| {
        // As setkey makes them: one for forwarding beside each of direction in.
        let directions = [PolicyDirection::Out, PolicyDirection::In, PolicyDirection::Forward];
        let policy = |direction| {
            let (from, to) = if direction == PolicyDirection::Out { (here, there) } else { (there, here) };
            let mut policy = PolicySpec::new(direction, Selector::between(Prefix::host(from), Prefix::host(to)));
            policy.priority = PolicySpec::SETKEY_PRIORITY;
            let nowhere = [0, 0, 0, 0].into();
            let template = |protocol| Template::new(protocol, Mode::Transport, nowhere, nowhere);
            policy.templates = [IpsecProtocol::Esp, IpsecProtocol::Ah].map(template).into();
            policy
        };
        Half { sas: sas.clone(), policies: directions.map(policy).into(), ..Half::default() }
    })
}

fn transform(kernel_name: &str, key: &[u8], icv_bits: u32) -> Option<Transform> {
    let algorithm = Algorithm::by_kernel_name(kernel_name)?;
    Some(Transform { name: algorithm.into(), key: Secret::copy_from(key), icv_bits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::deed::Deed;
    use crate::dialect::setkey::parse;
    use crate::model::check;

    /// What a script asks for.
    fn script(text: &str) -> Half {
        let mut content = Half::default();
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
