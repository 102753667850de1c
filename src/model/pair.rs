//! Two hosts and what protects the traffic between them: the SAs and policies of both, made, renewed and removed
//! together.
//!
//! By hand it takes two scripts that mirror one another, with the same keys and numbers in both. Here one plan gives
//! both halves.

mod standing;

use std::collections::HashSet;
use std::net::IpAddr;

use super::text::counted;
use super::{
    Algorithm, Algorithms, IfId, IpsecProtocol, Level, LifetimeLimits, Mark, Mode, Policy, PolicyDirection, PolicyId,
    PolicySpec, Prefix, ReqId, Sa, SaId, SaSpec, Secret, Selector, Spi, Template, Transform,
};
pub use standing::{Standing, Unplanned, used, uses};

/// A set of algorithms under one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: &'static str,
    /// When to use it, in a sentence.
    pub help: &'static str,
    /// Whether it is too weak for today (RFC 8221).
    pub legacy: bool,
    /// XFRM's name of the cipher, with key bits (salt included) and, if it authenticates by itself, ICV bits.
    cipher: (&'static str, u16, u16),
    /// XFRM's name of the authentication beside it, with key bits and ICV bits.
    authentication: Option<(&'static str, u16, u16)>,
    /// The same for AH.
    header: (&'static str, u16, u16),
}

const SHA256: (&str, u16, u16) = ("hmac(sha256)", 256, 128);
/// setkey on Linux cannot say SHA-256 with the ICV of RFC 4868: the kernel's own length for it is a draft's.
const SHA512: (&str, u16, u16) = ("hmac(sha512)", 512, 256);

/// The suites, the best first.
pub static SUITES: [Suite; 5] = [
    Suite {
        name: "aes-256-gcm",
        help: "Fast and strong; what to take today.",
        legacy: false,
        cipher: ("rfc4106(gcm(aes))", 288, 128),
        authentication: None,
        header: SHA256,
    },
    Suite {
        name: "aes-128-gcm",
        help: "A little faster, and strong as well.",
        legacy: false,
        cipher: ("rfc4106(gcm(aes))", 160, 128),
        authentication: None,
        header: SHA256,
    },
    Suite {
        name: "chacha20-poly1305",
        help: "Strong, and faster than AES where the processor has no instructions for it.",
        legacy: false,
        cipher: ("rfc7539esp(chacha20,poly1305)", 288, 128),
        authentication: None,
        header: SHA256,
    },
    Suite {
        name: "aes-256-cbc-sha512",
        help: "For peers without AES-GCM, and for setkey, which cannot say it on Linux.",
        legacy: false,
        cipher: ("cbc(aes)", 256, 0),
        authentication: Some(SHA512),
        header: SHA512,
    },
    Suite {
        name: "3des-sha1",
        help: "LEGACY, weak: what one took in 2004. Only for peers that know nothing better.",
        legacy: true,
        cipher: ("cbc(des3_ede)", 192, 0),
        authentication: Some(("hmac(sha1)", 160, 96)),
        header: ("hmac(md5)", 128, 96),
    },
];

impl Suite {
    /// The suite of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.name == name)
    }
}

/// Which protocols protect the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Encrypted and authentic.
    Esp,
    /// Authentic together with the header around it, and not encrypted.
    Ah,
    /// Both: AH around ESP.
    EspAh,
    /// None: packets are only compressed.
    Nothing,
}

/// The part of a plan that a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairPart {
    /// Its algorithms.
    Suite,
    /// Its protocols.
    Protection,
}

/// What is to become of what protects two hosts' traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// SAs and policies are made.
    Make,
    /// The policies stay, and their SAs are made anew: with these algorithms, or with those that they have.
    NewKeys(Option<&'static Suite>),
    /// SAs and policies go.
    Remove,
}

/// What two hosts should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPlan {
    /// This host.
    pub here: IpAddr,
    /// The other one.
    pub there: IpAddr,
    /// The networks behind this host and behind the other one, between which they make a tunnel; without them they
    /// protect what they themselves say to one another.
    pub networks: Option<[Prefix; 2]>,
    /// Which protocols.
    pub protection: Protection,
    /// Whether packets are compressed first (IPComp).
    pub compress: bool,
    /// Which algorithms.
    pub suite: &'static Suite,
    /// What ties SAs and policies together.
    pub reqid: ReqId,
    /// The policies' place in the order.
    pub priority: u32,
    /// When the SAs end.
    pub limits: LifetimeLimits,
    /// The packets' mark, on this host alone.
    pub mark: Option<Mark>,
    /// The xfrm interface, on this host alone.
    pub if_id: Option<IfId>,
    /// What the plan is for.
    pub purpose: Purpose,
}

/// What becomes of one host: what is made there, and then what goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Its new SAs, those of both directions.
    pub sas: Vec<SaSpec>,
    /// Its new policies.
    pub policies: Vec<PolicySpec>,
    /// The policies that go.
    pub old_policies: Vec<PolicyId>,
    /// The SAs that go, behind the policies that demand them.
    pub old_sas: Vec<OldSa>,
}

/// An SA that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldSa {
    /// What names it.
    pub id: SaId,
    /// Where its packets come from, which scripts say too.
    pub source: IpAddr,
}

impl Half {
    /// Whether nothing becomes of the host.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there are keys in it.
    pub fn has_keys(&self) -> bool {
        !self.sas.is_empty()
    }

    /// The hosts between which its SAs are.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        let new = self.sas.first().map(|sa| (sa.source, sa.destination));
        new.or(self.old_sas.first().map(|old| (old.source, old.id.destination)))
    }

    /// What is made: `2 SAs and 3 policies`.
    fn made(&self) -> String {
        together(self.sas.len(), self.policies.len())
    }

    /// What goes.
    fn gone(&self) -> String {
        together(self.old_sas.len(), self.old_policies.len())
    }

    /// What is to be done, in words: `add 2 SAs and 3 policies`.
    pub fn order(&self) -> String {
        self.say("add", "delete")
    }

    /// What is being done, in words: `adding 2 SAs and 3 policies`.
    pub fn doing(&self) -> String {
        self.say("adding", "deleting")
    }

    /// What was done, in words: `added 2 SAs, deleted 1 SA`.
    pub fn deed(&self) -> String {
        self.say("added", "deleted")
    }

    /// What was done, where only so many of the SAs and policies that were to go were still there.
    pub fn deed_of(&self, sas: usize, policies: usize) -> String {
        match (self.made(), together(sas, policies)) {
            (made, gone) if made.is_empty() && gone.is_empty() => "found nothing to delete any more".to_owned(),
            (made, gone) => words("added", &made, "deleted", &gone),
        }
    }

    /// What of it was not there to go, where only so many SAs and policies were: `2 SAs`.
    pub fn missing(&self, sas: usize, policies: usize) -> Option<String> {
        let lacks = |planned: usize, gone: usize| planned.saturating_sub(gone);
        let words = together(lacks(self.old_sas.len(), sas), lacks(self.old_policies.len(), policies));
        Some(words).filter(|words| !words.is_empty())
    }

    /// What taking it back did, where so many SAs and policies had gone with it: `2 SAs removed again, 1 SA restored`.
    pub fn undone(&self, sas: usize, policies: usize) -> String {
        let part = |what: String, how: &str| Some(format!("{what} {how}")).filter(|_| !what.is_empty());
        let parts = [part(self.made(), "removed again"), part(together(sas, policies), "restored")];
        let words = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if words.is_empty() { "nothing had changed".to_owned() } else { words }
    }

    fn say(&self, add: &str, delete: &str) -> String {
        words(add, &self.made(), delete, &self.gone())
    }
}

fn words(add: &str, made: &str, delete: &str, gone: &str) -> String {
    match (made.is_empty(), gone.is_empty()) {
        (false, true) => format!("{add} {made}"),
        (true, false) => format!("{delete} {gone}"),
        (false, false) => format!("{add} {made}, {delete} {gone}"),
        (true, true) => "nothing".to_owned(),
    }
}

fn together(sas: usize, policies: usize) -> String {
    let sas = Some(counted(sas, "SA", "SAs")).filter(|_| sas > 0);
    let policies = Some(counted(policies, "policy", "policies")).filter(|_| policies > 0);
    sas.into_iter().chain(policies).collect::<Vec<_>>().join(" and ")
}

/// Which of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This one.
    Here,
    /// The other one.
    There,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// On which host.
    pub side: Side,
    /// What becomes of it.
    pub half: Half,
}

/// The lowest number that neither an SA nor a policy has.
pub fn free_reqid<'a>(sas: impl IntoIterator<Item = &'a Sa>, policies: impl IntoIterator<Item = &'a Policy>) -> ReqId {
    let of_sas = sas.into_iter().map(|sa| sa.reqid);
    let of_policies = policies.into_iter().flat_map(|policy| policy.templates.iter().map(|template| template.reqid));
    let used: HashSet<ReqId> = of_sas.chain(of_policies).collect();
    (1..=u32::MAX).map(ReqId).find(|number| !used.contains(number)).unwrap_or(ReqId(1))
}

impl PairPlan {
    /// Transport mode with the first suite and nothing special.
    pub fn between(here: IpAddr, there: IpAddr) -> Self {
        Self {
            here,
            there,
            networks: None,
            protection: Protection::Esp,
            compress: false,
            suite: &SUITES[0],
            reqid: ReqId(0),
            priority: PolicySpec::SETKEY_PRIORITY,
            limits: LifetimeLimits::default(),
            mark: None,
            if_id: None,
            purpose: Purpose::Make,
        }
    }

    /// The transforms from the inside out, as policies list them, each with its mode.
    fn transforms(&self) -> Vec<(IpsecProtocol, Mode)> {
        let mut protocols = Vec::new();
        if self.compress || self.protection == Protection::Nothing {
            protocols.push(IpsecProtocol::Comp);
        }
        if matches!(self.protection, Protection::Esp | Protection::EspAh) {
            protocols.push(IpsecProtocol::Esp);
        }
        if matches!(self.protection, Protection::Ah | Protection::EspAh) {
            protocols.push(IpsecProtocol::Ah);
        }
        // The innermost makes the tunnel; the others are about the packet that it made.
        let mode = |place| if place == 0 && self.networks.is_some() { Mode::Tunnel } else { Mode::Transport };
        protocols.into_iter().enumerate().map(|(place, protocol)| (protocol, mode(place))).collect()
    }

    /// Both halves, with random keys; `free_spi` gives a number that no SA of the protocol has.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn make(
        &self,
        mut free_spi: impl FnMut(IpsecProtocol) -> Result<Spi, getrandom::Error>,
    ) -> Result<[Half; 2], getrandom::Error> {
        let mut sas = Vec::new();
        for (source, destination) in [(self.here, self.there), (self.there, self.here)] {
            for (protocol, mode) in self.transforms() {
                let mut sa = SaSpec::new(source, destination, protocol, free_spi(protocol)?);
                (sa.mode, sa.reqid, sa.limits) = (mode, self.reqid, self.limits);
                sa.replay_window = if protocol == IpsecProtocol::Comp { 0 } else { 32 };
                self.fill_in_algorithms(&mut sa)?;
                sas.push(sa);
            }
        }
        let there = Half { sas: sas.clone(), policies: self.policies(true), ..Half::default() };
        for sa in &mut sas {
            (sa.mark, sa.if_id) = (self.mark, self.if_id);
        }
        let mut policies = self.policies(false);
        for policy in &mut policies {
            (policy.mark, policy.if_id) = (self.mark, self.if_id);
        }
        Ok([Half { sas, policies, ..Half::default() }, there])
    }

    fn fill_in_algorithms(&self, sa: &mut SaSpec) -> Result<(), getrandom::Error> {
        sa.algorithms = Algorithms::default();
        let transform = |(name, key_bits, icv_bits): (&str, u16, u16)| {
            let key = Secret::random(usize::from(key_bits) / 8)?;
            let algorithm = Algorithm::by_kernel_name(name).map(Into::into);
            Ok(algorithm.map(|name| Transform { name, key, icv_bits: icv_bits.into() }))
        };
        let algorithms = &mut sa.algorithms;
        match sa.protocol {
            IpsecProtocol::Comp => algorithms.compression = Algorithm::by_kernel_name("deflate").map(Into::into),
            IpsecProtocol::Ah => algorithms.authentication = transform(self.suite.header)?,
            _ => match self.suite.authentication {
                Some(authentication) => {
                    algorithms.encryption = transform(self.suite.cipher)?;
                    algorithms.authentication = transform(authentication)?;
                }
                None => algorithms.aead = transform(self.suite.cipher)?,
            },
        }
        Ok(())
    }

    /// The policies of this host, or as `mirrored` those of the other one.
    fn policies(&self, mirrored: bool) -> Vec<PolicySpec> {
        let ends = [self.here, self.there];
        let sides = self.sides();
        let [own, far] = if mirrored { [1, 0] } else { [0, 1] };
        let forward = self.networks.map(|_| PolicyDirection::Forward);
        let directions = [PolicyDirection::Out, PolicyDirection::In].into_iter().chain(forward);
        let policy = |direction| {
            let (from, to) = if direction == PolicyDirection::Out { (own, far) } else { (far, own) };
            let mut policy = PolicySpec::new(direction, Selector::between(sides[from], sides[to]));
            policy.priority = self.priority;
            policy.templates =
                self.transforms().iter().map(|t| self.template(*t, direction, ends[from], ends[to])).collect();
            policy
        };
        directions.map(policy).collect()
    }

    fn template(
        &self,
        (protocol, mode): (IpsecProtocol, Mode),
        direction: PolicyDirection,
        from: IpAddr,
        to: IpAddr,
    ) -> Template {
        let nowhere: IpAddr = if from.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let (source, destination) = if mode == Mode::Tunnel { (from, to) } else { (nowhere, nowhere) };
        let mut template = Template::new(protocol, mode, source, destination);
        template.reqid = self.reqid;
        // What does not get smaller is sent as it is (RFC 3173 section 2.2), and must be let in.
        if protocol == IpsecProtocol::Comp && direction != PolicyDirection::Out {
            template.level = Level::Use;
        }
        template
    }

    /// Whose packets are protected: the networks, or the two hosts.
    pub fn sides(&self) -> [Prefix; 2] {
        self.networks.unwrap_or([self.here, self.there].map(Prefix::host))
    }

    /// What a host's script is for, in a line.
    pub fn heading(&self, side: Side, half: &Half) -> String {
        let Self { here, there, .. } = self;
        let what = match (self.purpose, side, half.has_keys()) {
            (Purpose::Make, ..) => "what protects their traffic",
            (Purpose::NewKeys(_), Side::There, true) => "new keys, with which it sends from then on",
            (Purpose::NewKeys(_), Side::Here, true) => "new keys, when the other host sends with them",
            (Purpose::NewKeys(_), _, false) => "the end of the old keys, when the other host sends with the new ones",
            (Purpose::Remove, ..) => "the end of what protects their traffic",
        };
        let host = if side == Side::Here { here } else { there };
        format!("IPsec between {here} and {there}, on {host}: {what}")
    }

    /// What may be a mistake.
    pub fn warnings(&self) -> Vec<(PairPart, String)> {
        let mut warnings = Vec::new();
        if let Purpose::NewKeys(Some(suite)) = self.purpose
            && suite.legacy
        {
            warnings.push((PairPart::Suite, format!("{} is too weak for today (RFC 8221)", suite.name)));
        }
        if self.purpose != Purpose::Make {
            return warnings;
        }
        if self.suite.legacy && self.protection != Protection::Nothing {
            warnings.push((PairPart::Suite, format!("{} is too weak for today (RFC 8221)", self.suite.name)));
        }
        match self.protection {
            Protection::Esp | Protection::EspAh => {}
            Protection::Ah => {
                warnings.push((PairPart::Protection, "everybody on the way can read the packets".to_owned()));
            }
            Protection::Nothing => {
                let words = "everybody on the way can read the packets and alter them".to_owned();
                warnings.push((PairPart::Protection, words));
            }
        }
        warnings
    }

    /// What cannot be right about it, in sentences; what is wrong with an SA or policy itself is found when it is made.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.here.is_ipv4() != self.there.is_ipv4() {
            problems.push("both hosts need IPv4 addresses, or both IPv6 addresses".to_owned());
        }
        if self.here == self.there {
            problems.push("the two hosts have the same address".to_owned());
        }
        if self.here.is_unspecified() || self.there.is_unspecified() {
            problems.push("each host needs an address of its own".to_owned());
        }
        if let Some([own, far]) = self.networks {
            if own.address.is_ipv4() != far.address.is_ipv4() {
                problems.push("both networks must be IPv4, or both IPv6".to_owned());
            }
            if own == far {
                problems.push("the two networks are the same".to_owned());
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::check;

    fn plan(networks: bool) -> PairPlan {
        let mut plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        if networks {
            plan.networks = Some(["10.1.0.0/24", "10.2.0.0/24"].map(|net| net.parse().unwrap()));
        }
        plan
    }

    fn made(plan: &PairPlan) -> [Half; 2] {
        let mut next = 0x1000;
        plan.make(|_| {
            next += 1;
            Ok(Spi(next))
        })
        .unwrap()
    }

    #[test]
    fn every_plan_is_sound() {
        for suite in &SUITES {
            for protection in [Protection::Esp, Protection::Ah, Protection::EspAh, Protection::Nothing] {
                for (networks, compress) in [(false, false), (true, false), (false, true), (true, true)] {
                    let plan = PairPlan { protection, compress, suite, ..plan(networks) };
                    assert_eq!(plan.problems(), [] as [&str; 0]);
                    for half in made(&plan) {
                        let errors =
                            half.sas.iter().flat_map(check::sa).filter(|p| p.severity == check::Severity::Error);
                        assert_eq!(errors.collect::<Vec<_>>(), [], "{plan:?}");
                        assert_eq!(half.policies.iter().flat_map(check::policy).collect::<Vec<_>>(), [], "{plan:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_halves_mirror_one_another_with_the_same_keys() {
        let [here, there] = made(&PairPlan { protection: Protection::EspAh, ..plan(true) });
        assert_eq!(here.sas, there.sas);
        let words = |half: &Half| -> Vec<String> {
            let words = |p: &PolicySpec| {
                let ends: Vec<String> = p.templates.iter().map(|t| format!("{} {}", t.protocol, t.mode)).collect();
                format!("{} {} {} {}", p.direction, p.selector.source, p.selector.destination, ends.join(", "))
            };
            half.policies.iter().map(words).collect()
        };
        let transforms = "esp tunnel, ah transport";
        assert_eq!(
            words(&here),
            [
                format!("out 10.1.0.0/24 10.2.0.0/24 {transforms}"),
                format!("in 10.2.0.0/24 10.1.0.0/24 {transforms}"),
                format!("fwd 10.2.0.0/24 10.1.0.0/24 {transforms}"),
            ]
        );
        assert_eq!(
            words(&there),
            [
                format!("out 10.2.0.0/24 10.1.0.0/24 {transforms}"),
                format!("in 10.1.0.0/24 10.2.0.0/24 {transforms}"),
                format!("fwd 10.1.0.0/24 10.2.0.0/24 {transforms}"),
            ]
        );
        let tunnel = &there.policies[0].templates[0];
        assert_eq!((tunnel.source, tunnel.destination), ([10, 9, 0, 2].into(), [10, 9, 0, 1].into()));
    }

    #[test]
    fn transport_mode_protects_the_two_hosts_and_forwards_nothing() {
        let [here, _] = made(&plan(false));
        let directions: Vec<PolicyDirection> = here.policies.iter().map(|policy| policy.direction).collect();
        assert_eq!(directions, [PolicyDirection::Out, PolicyDirection::In]);
        assert_eq!(here.policies[0].selector.source, Prefix::host([10, 9, 0, 1].into()));
        assert!(here.policies[0].templates[0].source.is_unspecified());
    }

    #[test]
    fn no_two_sas_have_a_key_in_common() {
        let [here, _] = made(&PairPlan { suite: &SUITES[3], ..plan(false) });
        let keys: Vec<_> = here.sas.iter().map(|sa| sa.algorithms.encryption.clone().unwrap().key).collect();
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_mark_is_a_matter_of_this_host() {
        let mark = Some(Mark { value: 7, mask: u32::MAX });
        let [here, there] = made(&PairPlan { mark, ..plan(true) });
        assert!(here.sas.iter().all(|sa| sa.mark == mark) && here.policies.iter().all(|policy| policy.mark == mark));
        assert!(there.sas.iter().all(|sa| sa.mark.is_none()));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut plan = plan(true);
        (plan.there, plan.networks) = (plan.here, Some(["10.1.0.0/24", "fd00::/64"].map(|net| net.parse().unwrap())));
        assert_eq!(
            plan.problems(),
            ["the two hosts have the same address", "both networks must be IPv4, or both IPv6"]
        );
    }
}
