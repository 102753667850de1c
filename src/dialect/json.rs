//! SAs and policies as JSON. The shape is versioned: a change that could break a reader makes a new [`SCHEMA`].
//!
//! Nothing here derives from the model's types, so that no key is printed that was not asked for and no renamed field
//! of the program changes what scripts read.

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::Keys;
use crate::model::extras::{Iptfs, Offload, SecurityContext, UnknownAttribute};
use crate::model::{
    LifetimeLimits, LifetimeUsed, Limit, Mark, Policy, PolicyAction, PolicyDefaults, Sa, SaDirection, Secret, Selector,
    Template, Transform,
};

/// The version of the shape.
pub const SCHEMA: u32 = 1;

/// What `espial sa --json` prints.
#[derive(Serialize)]
pub struct SaList {
    schema: u32,
    sas: Vec<SaJson>,
}

/// What `espial policy --json` prints.
#[derive(Serialize)]
pub struct PolicyList {
    schema: u32,
    policies: Vec<PolicyJson>,
    defaults: Option<DefaultsJson>,
}

impl SaList {
    /// A list of SAs, in this order.
    pub fn of<'a>(sas: impl Iterator<Item = &'a Sa>, keys: Keys) -> Self {
        Self { schema: SCHEMA, sas: sas.map(|sa| SaJson::of(sa, keys)).collect() }
    }
}

impl PolicyList {
    /// A list of policies, in this order, and what happens to the other packets.
    pub fn of<'a>(policies: impl Iterator<Item = &'a Policy>, defaults: Option<PolicyDefaults>) -> Self {
        let defaults = defaults.map(|defaults| DefaultsJson {
            r#in: defaults.input.to_string(),
            fwd: defaults.forward.to_string(),
            out: defaults.output.to_string(),
        });
        Self { schema: SCHEMA, policies: policies.map(PolicyJson::of).collect(), defaults }
    }
}

#[derive(Serialize)]
struct DefaultsJson {
    r#in: String,
    fwd: String,
    out: String,
}

#[derive(Serialize)]
struct SaJson {
    source: String,
    destination: String,
    protocol: String,
    spi: String,
    spi_number: u32,
    mode: String,
    reqid: u32,
    direction: Option<&'static str>,
    mark: Option<MarkJson>,
    if_id: Option<u32>,
    flags: Vec<&'static str>,
    larval: bool,
    encryption: Option<TransformJson>,
    authentication: Option<TransformJson>,
    aead: Option<TransformJson>,
    compression: Option<String>,
    replay: ReplayJson,
    errors: ErrorsJson,
    limits: LimitsJson,
    used: UsedJson,
    last_used_at: Option<u64>,
    selector: SelectorJson,
    acquire_sequence: u32,
    encapsulation: Option<EncapsulationJson>,
    output_mark: Option<MarkJson>,
    tfc_padding: Option<u32>,
    offload: Option<OffloadJson>,
    care_of: Option<String>,
    security_label: Option<String>,
    security_doi: Option<u8>,
    security_algorithm: Option<u8>,
    extra_flags: u32,
    replay_threshold: Option<u32>,
    timer_threshold: Option<u32>,
    mapping_threshold_secs: Option<u32>,
    nat_keepalive_secs: Option<u32>,
    cpu: Option<u32>,
    iptfs: Option<IptfsJson>,
    unknown: Vec<UnknownJson>,
}

#[derive(Serialize)]
struct TransformJson {
    name: String,
    key_bits: usize,
    /// Hex behind `0x`, or nothing while keys are not asked for.
    key: Option<KeyText>,
    /// Whether the kernel hides the key (lockdown).
    key_redacted: bool,
    icv_bits: u32,
}

impl TransformJson {
    fn of(transform: &Transform, keys: Keys) -> Self {
        Self {
            name: transform.name.kernel().to_owned(),
            key_bits: transform.key.bits(),
            key: shown(&transform.key, keys),
            key_redacted: transform.key.is_redacted(),
            icv_bits: transform.icv_bits,
        }
    }
}

/// What may be a key, in hex behind `0x`; wiped when it goes.
struct KeyText(Zeroizing<String>);

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

fn shown(secret: &Secret, keys: Keys) -> Option<KeyText> {
    (keys == Keys::Show).then(|| {
        let digits = secret.reveal_hex();
        // A text that grew would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(digits.len() + 2));
        text.push_str("0x");
        text.push_str(&digits);
        KeyText(text)
    })
}

#[derive(Serialize)]
struct MarkJson {
    value: u32,
    mask: u32,
}

impl MarkJson {
    fn of(mark: Mark) -> Self {
        Self { value: mark.value, mask: mark.mask }
    }
}

#[derive(Serialize)]
struct ReplayJson {
    window: u32,
    received: u64,
    sent: u64,
    bitmap: Vec<u32>,
}

#[derive(Serialize)]
struct ErrorsJson {
    before_window: u32,
    replayed: u32,
    integrity_failed: u32,
}

#[derive(Serialize)]
struct LimitJson {
    soft: Option<u64>,
    hard: Option<u64>,
}

impl From<Limit> for LimitJson {
    fn from(limit: Limit) -> Self {
        Self { soft: limit.soft, hard: limit.hard }
    }
}

#[derive(Serialize)]
struct LimitsJson {
    bytes: LimitJson,
    packets: LimitJson,
    since_added_secs: LimitJson,
    since_used_secs: LimitJson,
}

impl LimitsJson {
    fn of(limits: &LifetimeLimits) -> Self {
        Self {
            bytes: limits.bytes.into(),
            packets: limits.packets.into(),
            since_added_secs: limits.since_added_secs.into(),
            since_used_secs: limits.since_used_secs.into(),
        }
    }
}

#[derive(Serialize)]
struct UsedJson {
    bytes: u64,
    packets: u64,
    added_at: u64,
    used_at: Option<u64>,
}

impl UsedJson {
    fn of(used: &LifetimeUsed) -> Self {
        Self { bytes: used.bytes, packets: used.packets, added_at: used.added_at, used_at: used.used_at }
    }
}

#[derive(Serialize)]
struct PortJson {
    value: u16,
    mask: u16,
}

#[derive(Serialize)]
struct SelectorJson {
    source: String,
    destination: String,
    protocol: String,
    protocol_number: u8,
    source_port: PortJson,
    destination_port: PortJson,
    interface: u32,
    user: u32,
    any_family: bool,
}

impl SelectorJson {
    fn of(selector: &Selector) -> Self {
        let port = |port: crate::model::PortMatch| PortJson { value: port.value, mask: port.mask };
        Self {
            source: selector.source.to_string(),
            destination: selector.destination.to_string(),
            protocol: selector.protocol.to_string(),
            protocol_number: selector.protocol.0,
            source_port: port(selector.source_port),
            destination_port: port(selector.destination_port),
            interface: selector.interface,
            user: selector.user,
            any_family: selector.any_family,
        }
    }
}

#[derive(Serialize)]
struct EncapsulationJson {
    kind: u16,
    source_port: u16,
    destination_port: u16,
    original: String,
}

#[derive(Serialize)]
struct IptfsJson {
    drop_time_us: Option<u32>,
    reorder_window: Option<u16>,
    dont_fragment: bool,
    initial_delay_us: Option<u32>,
    largest_queue_bytes: Option<u32>,
    packet_bytes: Option<u32>,
}

impl IptfsJson {
    fn of(iptfs: Iptfs) -> Self {
        Self {
            drop_time_us: iptfs.drop_time_us,
            reorder_window: iptfs.reorder_window,
            dont_fragment: iptfs.dont_fragment,
            initial_delay_us: iptfs.initial_delay_us,
            largest_queue_bytes: iptfs.largest_queue_bytes,
            packet_bytes: iptfs.packet_bytes,
        }
    }
}

#[derive(Serialize)]
struct OffloadJson {
    interface: u32,
    flags: u8,
}

impl OffloadJson {
    fn of(offload: Offload) -> Self {
        Self { interface: offload.interface, flags: offload.flags }
    }
}

#[derive(Serialize)]
struct UnknownJson {
    attribute: u16,
    length: usize,
    /// As secret as a key: it might be one.
    bytes: Option<KeyText>,
}

impl UnknownJson {
    fn of(attribute: &UnknownAttribute, keys: Keys) -> Self {
        Self { attribute: attribute.kind, length: attribute.bytes.len(), bytes: shown(&attribute.bytes, keys) }
    }
}

impl SaJson {
    fn of(sa: &Sa, keys: Keys) -> Self {
        let extras = &sa.extras;
        let transform = |transform: &Option<Transform>| transform.as_ref().map(|t| TransformJson::of(t, keys));
        Self {
            source: sa.source.to_string(),
            destination: sa.destination.to_string(),
            protocol: sa.protocol.to_string(),
            spi: sa.spi.to_string(),
            spi_number: sa.spi.0,
            mode: sa.mode.to_string(),
            reqid: sa.reqid.0,
            direction: sa.direction.map(|direction| if direction == SaDirection::In { "in" } else { "out" }),
            mark: sa.mark.map(MarkJson::of),
            if_id: sa.if_id.map(|id| id.0),
            flags: sa.flags.names().collect(),
            larval: sa.is_larval(),
            encryption: transform(&sa.algorithms.encryption),
            authentication: transform(&sa.algorithms.authentication),
            aead: transform(&sa.algorithms.aead),
            compression: sa.algorithms.compression.as_ref().map(|name| name.kernel().to_owned()),
            replay: ReplayJson {
                window: sa.replay.window,
                received: sa.replay.received,
                sent: sa.replay.sent,
                bitmap: sa.replay.bitmap.to_vec(),
            },
            errors: ErrorsJson {
                before_window: sa.errors.before_window,
                replayed: sa.errors.replayed,
                integrity_failed: sa.errors.integrity_failed,
            },
            limits: LimitsJson::of(&sa.limits),
            used: UsedJson::of(&sa.used),
            last_used_at: sa.last_used_at,
            selector: SelectorJson::of(&sa.selector),
            acquire_sequence: sa.acquire_sequence,
            encapsulation: extras.encapsulation.map(|encapsulation| EncapsulationJson {
                kind: encapsulation.kind,
                source_port: encapsulation.source_port,
                destination_port: encapsulation.destination_port,
                original: encapsulation.original.to_string(),
            }),
            output_mark: extras.output_mark.map(MarkJson::of),
            tfc_padding: extras.tfc_padding,
            offload: extras.offload.map(OffloadJson::of),
            care_of: extras.care_of.map(|address| address.to_string()),
            security_label: extras.security.as_ref().map(SecurityContext::text),
            security_doi: extras.security.as_ref().map(|security| security.doi),
            security_algorithm: extras.security.as_ref().map(|security| security.algorithm),
            extra_flags: extras.extra_flags.0,
            replay_threshold: extras.replay_threshold,
            timer_threshold: extras.timer_threshold,
            mapping_threshold_secs: extras.mapping_threshold_secs,
            nat_keepalive_secs: extras.nat_keepalive_secs,
            cpu: extras.cpu,
            iptfs: Some(extras.iptfs).filter(|iptfs| *iptfs != Iptfs::NONE).map(IptfsJson::of),
            unknown: extras.unknown.iter().map(|attribute| UnknownJson::of(attribute, keys)).collect(),
        }
    }
}

#[derive(Serialize)]
struct PolicyJson {
    direction: String,
    selector: SelectorJson,
    action: String,
    priority: u32,
    index: u32,
    kind: String,
    flags: u8,
    share: u8,
    mark: Option<MarkJson>,
    if_id: Option<u32>,
    security_label: Option<String>,
    security_doi: Option<u8>,
    security_algorithm: Option<u8>,
    offload: Option<OffloadJson>,
    limits: LimitsJson,
    used: UsedJson,
    templates: Vec<TemplateJson>,
    unknown: Vec<UnknownJson>,
}

#[derive(Serialize)]
struct TemplateJson {
    protocol: String,
    mode: String,
    source: String,
    destination: String,
    spi: String,
    spi_number: u32,
    reqid: u32,
    required: bool,
    share: u8,
    encryption_mask: u32,
    authentication_mask: u32,
    compression_mask: u32,
}

impl TemplateJson {
    fn of(template: &Template) -> Self {
        Self {
            protocol: template.protocol.to_string(),
            mode: template.mode.to_string(),
            source: template.source.to_string(),
            destination: template.destination.to_string(),
            spi: template.spi.to_string(),
            spi_number: template.spi.0,
            reqid: template.reqid.0,
            required: template.level == crate::model::Level::Required,
            share: template.share,
            encryption_mask: template.algorithm_masks.encryption,
            authentication_mask: template.algorithm_masks.authentication,
            compression_mask: template.algorithm_masks.compression,
        }
    }
}

impl PolicyJson {
    fn of(policy: &Policy) -> Self {
        let action = match policy.action {
            PolicyAction::Allow => "allow".to_owned(),
            PolicyAction::Block => "block".to_owned(),
            PolicyAction::Other(number) => number.to_string(),
        };
        Self {
            direction: policy.direction.to_string(),
            selector: SelectorJson::of(&policy.selector),
            action,
            priority: policy.priority,
            index: policy.index,
            kind: policy.kind.to_string(),
            flags: policy.flags,
            share: policy.share,
            mark: policy.mark.map(MarkJson::of),
            if_id: policy.if_id.map(|id| id.0),
            security_label: policy.security.as_deref().map(SecurityContext::text),
            security_doi: policy.security.as_deref().map(|security| security.doi),
            security_algorithm: policy.security.as_deref().map(|security| security.algorithm),
            offload: policy.offload.map(OffloadJson::of),
            limits: LimitsJson::of(&policy.limits),
            used: UsedJson::of(&policy.used),
            templates: policy.templates.iter().map(TemplateJson::of).collect(),
            // Keys of policies cannot be asked for.
            unknown: policy.unknown.iter().map(|attribute| UnknownJson::of(attribute, Keys::Hide)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PolicyDirection, PolicySpec, SaSpec, Spi};

    fn unknown() -> UnknownAttribute {
        UnknownAttribute { kind: 99, bytes: Secret::copy_from(&[0xab, 0xcd]) }
    }

    #[test]
    fn what_is_unknown_may_be_a_key_and_is_not_shown_unasked() {
        let mut spec =
            SaSpec::new([10, 9, 0, 1].into(), [10, 9, 0, 2].into(), crate::model::IpsecProtocol::Esp, Spi(1));
        spec.extras.unknown.push(unknown());
        let sa = Sa::from_spec(&spec, 0);
        let text = |keys| serde_json::to_string(&SaList::of([&sa].into_iter(), keys)).unwrap();
        assert!(text(Keys::Show).contains("\"bytes\":\"0xabcd\"") && !text(Keys::Hide).contains("abcd"));
        let mut policy = Policy::from_spec(&PolicySpec::new(PolicyDirection::Out, sa.selector), 0, 0);
        policy.unknown.push(unknown());
        let text = serde_json::to_string(&PolicyList::of([&policy].into_iter(), None)).unwrap();
        assert!(text.contains("\"length\":2,\"bytes\":null"), "{text}");
    }
}
