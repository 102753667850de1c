//! The description of a field: its name, what it means, how it is filled in and when it means anything. Drawing, keys,
//! checking, help and the options of the command line are all made from it.

use super::{Form, Plan};

/// A field, by what it stands for; all forms share the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is labelled and explained in the description of its form")]
pub enum FieldId {
    Protocol,
    Mode,
    Source,
    Destination,
    Spi,
    Encryption,
    EncryptionKey,
    Icv,
    Authentication,
    AuthenticationKey,
    Compression,
    ReqId,
    ReplayWindow,
    Direction,
    CareOf,
    LongNumbers,
    Limits,
    Lifetime,
    LifetimeInUse,
    Bytes,
    Packets,
    Nat,
    Encapsulation,
    EncapsulationPorts,
    OriginalAddress,
    Keepalive,
    MappingThreshold,
    Selector,
    InnerSource,
    InnerDestination,
    Upper,
    SourcePort,
    DestinationPort,
    IcmpType,
    IcmpCode,
    GreKey,
    Device,
    Iptfs,
    DropTime,
    ReorderWindow,
    DontFragment,
    InitialDelay,
    LargestQueue,
    PacketSize,
    Offload,
    OffloadDevice,
    OffloadPart,
    OffloadWay,
    More,
    Mark,
    OutputMark,
    IfId,
    Flags,
    ExtraFlags,
    Padding,
    ReplayThreshold,
    TimerThreshold,
    Cpu,
    Security,
    Action,
    Transforms,
    TunnelSource,
    TunnelDestination,
    Level,
    Priority,
    Set,
    Index,
    Share,
    Make,
    OwnNetwork,
    FarNetwork,
    Protection,
    Suite,
    NewSuite,
    Input,
    Forward,
    Output,
    ThresholdsV4,
    ThresholdsV6,
    Least,
    Greatest,
    What,
    Text,
    Probe,
    ProbedHost,
    Seconds,
}

/// How a field is filled in.
#[derive(Clone, Copy)]
pub enum Kind {
    /// By typing.
    Text,
    /// By typing or making up a key; never shown unless asked.
    Key,
    /// By choosing one of these.
    Choice(fn(&Form) -> Vec<String>),
    /// Not at all: it shows or hides the fields under it, which count all the same.
    Fold,
    /// By adding and removing small forms.
    List(&'static List),
}

/// Small forms that stand below one another in a large one.
pub struct List {
    /// One of them.
    pub plan: &'static Plan,
    /// The option of the command line that adds one.
    pub option: &'static str,
    /// How many there may be.
    pub most: usize,
}

/// What a field is.
#[derive(Clone, Copy)]
pub struct Description {
    /// Its name.
    pub id: FieldId,
    /// What stands before it; in small letters and with dashes it is the option of the command line.
    pub label: &'static str,
    /// What it means and what it takes, in a sentence.
    pub help: &'static str,
    /// How it is filled in.
    pub kind: Kind,
    /// What it holds at first; for a choice, the option chosen.
    pub initial: &'static str,
    /// Whether it means anything in view of the others.
    pub applies: fn(&Form) -> bool,
    /// The fold that it is shown under.
    pub fold: Option<FieldId>,
}

/// What a fold holds while the fields under it are shown.
pub(super) const SHOWN: &str = "shown";

impl Description {
    const fn new(id: FieldId, label: &'static str, help: &'static str, kind: Kind) -> Self {
        Self { id, label, help, kind, initial: "", applies: |_| true, fold: None }
    }

    pub(super) const fn text(id: FieldId, label: &'static str, help: &'static str) -> Self {
        Self::new(id, label, help, Kind::Text)
    }

    pub(super) const fn key(id: FieldId, label: &'static str, help: &'static str) -> Self {
        Self::new(id, label, help, Kind::Key)
    }

    pub(super) const fn choice(
        id: FieldId,
        label: &'static str,
        options: fn(&Form) -> Vec<String>,
        help: &'static str,
    ) -> Self {
        Self::new(id, label, help, Kind::Choice(options))
    }

    pub(super) const fn yes_or_no(id: FieldId, label: &'static str, help: &'static str) -> Self {
        Self::choice(id, label, |_| words(&["no", "yes"]), help).initially("no")
    }

    pub(super) const fn fold(id: FieldId, label: &'static str, help: &'static str) -> Self {
        Self::new(id, label, help, Kind::Fold)
    }

    pub(super) const fn list(id: FieldId, label: &'static str, list: &'static List, help: &'static str) -> Self {
        Self::new(id, label, help, Kind::List(list))
    }

    pub(super) const fn initially(mut self, value: &'static str) -> Self {
        self.initial = value;
        self
    }

    pub(super) const fn when(mut self, applies: fn(&Form) -> bool) -> Self {
        self.applies = applies;
        self
    }

    pub(super) const fn under(mut self, fold: FieldId) -> Self {
        self.fold = Some(fold);
        self
    }

    /// Its long option on the command line: `replay-window`.
    pub fn option(&self) -> String {
        let small = self.label.to_lowercase();
        small.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }
}

/// The options of a choice.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A field of a form, or of one of the small forms in it.
#[derive(Clone, Copy)]
pub struct Place {
    /// Which of the small forms.
    pub item: Option<usize>,
    /// The field.
    pub field: &'static Description,
}

impl Place {
    /// Whether it is this field of the large form.
    pub fn is(&self, id: FieldId) -> bool {
        self.item.is_none() && self.field.id == id
    }

    pub(super) fn is_at(&self, item: Option<usize>, id: FieldId) -> bool {
        self.item == item && self.field.id == id
    }
}
