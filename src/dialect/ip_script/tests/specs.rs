//! SAs and policies thrown with dice, with everything that `ip xfrm` can say. The kernel tests throw the same ones.

#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, clippy::indexing_slicing, reason = "dice")]

use std::net::IpAddr;

use crate::model::algorithm::ALGORITHMS;
use crate::model::extras::{Encapsulation, ExtraFlags, Offload, SecurityContext};
use crate::model::{
    AlgorithmKind, AlgorithmName, IfId, IpsecProtocol, Level, LifetimeLimits, Limit, Mark, Mode, PolicyAction,
    PolicyDirection, PolicyKind, PolicySpec, PortMatch, Prefix, ReqId, SaDirection, SaFlags, SaSpec, Secret, Selector,
    Spi, Template, Transform, UpperProtocol,
};

/// Numbers that are the same for the same seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn word(&mut self) -> u32 {
        (self.number() >> 32) as u32
    }

    pub fn port(&mut self) -> u16 {
        self.word() as u16 | 1
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// One in `of` times.
    pub fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    pub fn address(&mut self, is_v6: bool) -> IpAddr {
        let number = u128::from(self.number()) << 64 | u128::from(self.number());
        if is_v6 { number.to_be_bytes().into() } else { (self.word() | 1 << 24).to_be_bytes().into() }
    }

    fn limit(&mut self, is_time: bool) -> Limit {
        let mut end = || (self.once_in(3)).then(|| self.below(1 << 40) + u64::from(is_time));
        Limit { soft: end(), hard: end() }
    }

    fn limits(&mut self) -> LifetimeLimits {
        LifetimeLimits {
            bytes: self.limit(false),
            packets: self.limit(false),
            since_added_secs: self.limit(true),
            since_used_secs: self.limit(true),
        }
    }

    fn mark(&mut self) -> Option<Mark> {
        let mask = self.one(&[u32::MAX, 0xff, 0xffff_0000]);
        self.once_in(3).then(|| Mark { value: (self.word() | 0x10_0001) & mask, mask })
    }

    fn if_id(&mut self) -> Option<IfId> {
        self.once_in(3).then(|| IfId(self.word() | 1))
    }

    fn label(&mut self) -> Option<SecurityContext> {
        let label = self.one(&["system_u:object_r:ipsec_spd_t:s0", "u:r:t:s0-s15:c0.c1023", "a label (of two words)"]);
        self.once_in(6).then(|| SecurityContext::selinux(label))
    }

    fn transform(&mut self, kind: AlgorithmKind) -> Transform {
        let all: Vec<_> = ALGORITHMS.iter().filter(|algorithm| algorithm.kind == kind).collect();
        let algorithm = self.one(&all);
        let key: Vec<u8> = (0..algorithm.key_bits.longest() / 8).map(|_| self.word() as u8 | 1).collect();
        let icv_bits = if algorithm.icv_bits.is_empty() { 0 } else { self.one(algorithm.icv_bits).into() };
        Transform { name: algorithm.into(), key: Secret::take(key), icv_bits }
    }

    /// With addresses of this family.
    fn selector(&mut self, is_v6: bool) -> Selector {
        let most = if is_v6 { 129 } else { 33 };
        let mut prefix = || Prefix { address: self.address(is_v6), length: self.below(most) as u8 };
        let mut selector = Selector::between(prefix(), prefix());
        selector.protocol = UpperProtocol(self.one(&[0, 6, 17, 33, 132, 1, 58, 135, 47, 50, 89, 255]));
        let ports: [PortMatch; 2] = match selector.protocol.0 {
            0 | 6 | 17 | 33 | 132 => [0; 2].map(|_| PortMatch::exactly(self.port())),
            1 | 58 | 135 => [0; 2].map(|_| PortMatch::exactly(self.port() & 0xff)),
            47 => [0; 2].map(|_| PortMatch::exactly(self.port() & !1)),
            _ => [PortMatch::ANY; 2],
        };
        let both = self.once_in(2);
        let is_said = |dice: &mut Self| both || dice.once_in(2) && selector.protocol != UpperProtocol::GRE;
        if is_said(self) {
            selector.source_port = ports[0];
        }
        if is_said(self) {
            selector.destination_port = ports[1];
        }
        selector.interface = if self.once_in(4) { self.word() >> 8 | 1 } else { 0 };
        selector
    }

    /// An SA.
    pub fn sa(&mut self) -> SaSpec {
        use IpsecProtocol::{Ah, Comp, DestinationOptions, Esp, Routing};
        let protocol = self.one(&[Esp, Esp, Esp, Esp, Esp, Ah, Ah, Comp, Routing, DestinationOptions]);
        let is_mobile = matches!(protocol, Routing | DestinationOptions);
        let is_v6 = self.once_in(3) || is_mobile;
        let number = match protocol {
            Esp | Ah => self.word() | 0x100,
            Comp => u32::from(self.port()) | 0x100,
            _ => 0,
        };
        let mut spec = SaSpec::new(self.address(is_v6), self.address(is_v6), protocol, Spi(number));
        spec.mode = match protocol {
            Esp => self.one(&[Mode::Transport, Mode::Tunnel, Mode::Beet]),
            Ah | Comp => self.one(&[Mode::Transport, Mode::Tunnel]),
            _ => self.one(&[Mode::RouteOptimization, Mode::InTrigger]),
        };
        self.algorithms(&mut spec);
        spec.reqid = ReqId(self.one(&[0, 1, 77, u32::MAX]));
        (spec.mark, spec.if_id, spec.limits) = (self.mark(), self.if_id(), self.limits());
        spec.direction = self.one(&[None, None, Some(SaDirection::In), Some(SaDirection::Out)]);
        spec.acquire_sequence = if self.once_in(4) { self.word() } else { 0 };
        spec.replay_window = self.one(&[0, 1, 31, 32, 33, 64, 4096]);
        spec.flags = SaFlags(if self.once_in(2) { self.word() as u8 } else { 0 });
        if spec.replay_window == 0 && spec.direction != Some(SaDirection::Out) {
            spec.flags.0 &= !SaFlags::ESN;
        }
        let half = if spec.flags.esn() { 0 } else { 32 };
        spec.sent = if self.once_in(3) { self.number() >> half } else { 0 };
        spec.received = if self.once_in(3) { self.number() >> half } else { 0 };
        self.extras(&mut spec, is_v6);
        if self.once_in(2) {
            let another_family = spec.mode == Mode::Tunnel && self.once_in(4);
            let selector = self.selector(is_v6 != another_family);
            let any_family = spec.flags.any_family() && self.once_in(2);
            let nowhere = Selector { any_family, ..Selector::default_of(spec.destination, SaFlags(32)) };
            let nowhere = Selector { source: nowhere.source, destination: nowhere.destination, any_family, ..selector };
            let selector = if any_family { nowhere } else { selector };
            spec.selector = Some(selector).filter(|selector| !selector.is_default_of(spec.destination, spec.flags));
        }
        spec
    }

    fn algorithms(&mut self, spec: &mut SaSpec) {
        use AlgorithmKind::{Aead, Authentication, Encryption};
        match spec.protocol {
            IpsecProtocol::Esp if self.once_in(2) => spec.algorithms.aead = Some(self.transform(Aead)),
            IpsecProtocol::Esp => {
                spec.algorithms.encryption = Some(self.transform(Encryption));
                spec.algorithms.authentication = (!self.once_in(8)).then(|| self.transform(Authentication));
            }
            IpsecProtocol::Ah => spec.algorithms.authentication = Some(self.transform(Authentication)),
            IpsecProtocol::Comp => spec.algorithms.compression = Some(AlgorithmName::from_kernel("deflate")),
            _ => {}
        }
    }

    fn extras(&mut self, spec: &mut SaSpec, is_v6: bool) {
        let extras = &mut spec.extras;
        if spec.protocol == IpsecProtocol::Esp && self.once_in(4) {
            extras.encapsulation = Some(Encapsulation {
                kind: self.one(&Encapsulation::NAMES).0,
                source_port: self.port(),
                destination_port: self.port(),
                original: self.address(is_v6),
            });
        }
        if matches!(spec.protocol, IpsecProtocol::Routing | IpsecProtocol::DestinationOptions) {
            extras.care_of = Some(self.address(true));
        }
        if self.once_in(4) {
            extras.output_mark = Some(Mark { value: self.word() | 1, mask: self.word() | 1 });
        }
        if self.once_in(4) {
            extras.tfc_padding = Some(self.word() | 1);
        }
        if self.once_in(6) {
            let flags = self.one(&[0, Offload::INBOUND, Offload::PACKET, Offload::INBOUND | Offload::PACKET]);
            extras.offload = Some(Offload { interface: self.word() >> 8 | 1, flags });
        }
        if self.once_in(3) {
            extras.extra_flags = ExtraFlags(self.one(&[1, 2, 3, 0x8000_0001, 0x10]));
        }
        if self.once_in(6) {
            extras.cpu = Some(self.word() & 0xfff);
        }
        if let Some(label) = self.label() {
            extras.security = Some(label);
        }
    }

    /// A policy.
    pub fn policy(&mut self) -> PolicySpec {
        let direction = self.one(&[PolicyDirection::In, PolicyDirection::Out, PolicyDirection::Forward]);
        let is_v6 = self.once_in(3);
        let selector = self.selector(is_v6);
        let mut spec = PolicySpec::new(direction, selector);
        spec.kind = self.one(&[PolicyKind::Main, PolicyKind::Main, PolicyKind::Sub]);
        spec.action = self.one(&[PolicyAction::Allow, PolicyAction::Allow, PolicyAction::Block]);
        spec.priority = self.one(&[0, 1, 1 << 31, u32::MAX]);
        if self.once_in(3) {
            spec.index = self.word() & 0xffff << 3 | u32::from(direction.number());
        }
        spec.flags = self.one(&[0, 0, 1, 2, 3, 0x80, 0xff]);
        (spec.mark, spec.if_id, spec.limits) = (self.mark(), self.if_id(), self.limits());
        spec.security = self.label().map(Box::new);
        if self.once_in(8) {
            spec.offload = Some(Offload { interface: self.word() >> 8 | 1, flags: Offload::PACKET });
        }
        spec.templates = (0..self.below(4)).map(|_| self.template(is_v6)).collect();
        spec
    }

    fn template(&mut self, is_v6: bool) -> Template {
        use IpsecProtocol::{Ah, Any, Comp, DestinationOptions, Esp, Routing};
        let mode = self.one(&[Mode::Transport, Mode::Tunnel, Mode::RouteOptimization, Mode::InTrigger, Mode::Beet]);
        let is_v6 = is_v6 != self.once_in(4);
        let nowhere = Selector::everything_like(self.address(is_v6)).source.address;
        let mut end = || if mode == Mode::Transport || self.once_in(8) { nowhere } else { self.address(is_v6) };
        let (source, destination) = (end(), end());
        let mut template =
            Template::new(self.one(&[Esp, Esp, Ah, Comp, Routing, DestinationOptions, Any]), mode, source, destination);
        if self.once_in(4) && matches!(template.protocol, Esp | Ah) {
            template.spi = Spi(self.word() | 0x100);
        }
        template.reqid = ReqId(self.one(&[0, 7, u32::MAX]));
        template.level = self.one(&[Level::Required, Level::Use]);
        template
    }
}
