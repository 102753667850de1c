//! `espial add`, `set`, `allocspi` and `flush`: the console's forms without a screen.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::filled::{self, Filled, Planned};
use super::{Common, may_change};
use crate::console::form::{self, FieldId, Plan};
use crate::kernel::{Kernel, XfrmKernel};

/// What can be added.
#[derive(Debug, Subcommand)]
pub enum Add {
    /// Add an SA
    Sa(Filled<AddSa>),
    /// Add a policy
    Policy(Filled<AddPolicy>),
}

/// What can be set.
#[derive(Debug, Subcommand)]
pub enum Set {
    /// Decide what becomes of packets that no policy matches
    Defaults(Filled<SetDefaults>),
    /// Decide from which prefix lengths on policies are found by hash
    Thresholds(Filled<SetThresholds>),
}

/// What can be flushed.
#[derive(Debug, Subcommand)]
pub enum Flush {
    /// Delete all SAs, or all of a protocol
    Sas(Filled<FlushSas>),
    /// Delete all policies of a set, but those of sockets
    Policies(Filled<FlushPolicies>),
}

/// The form of an SPI to be reserved.
pub type AllocateSpi = Filled<Spi>;

/// The form of an SA.
#[derive(Debug)]
pub enum AddSa {}
/// The form of a policy.
#[derive(Debug)]
pub enum AddPolicy {}
/// The form of what becomes of packets without a policy.
#[derive(Debug)]
pub enum SetDefaults {}
/// The form of hash thresholds.
#[derive(Debug)]
pub enum SetThresholds {}
/// The form of an SPI to be reserved.
#[derive(Debug)]
pub enum Spi {}
/// The form of a flush, of SAs.
#[derive(Debug)]
pub enum FlushSas {}
/// The form of a flush, of policies.
#[derive(Debug)]
pub enum FlushPolicies {}

impl Planned for AddSa {
    const PLAN: &Plan = &form::sa::PLAN;
}

impl Planned for AddPolicy {
    const PLAN: &Plan = &form::policy::PLAN;
}

impl Planned for SetDefaults {
    const PLAN: &Plan = &form::defaults::PLAN;
}

impl Planned for SetThresholds {
    const PLAN: &Plan = &form::thresholds::PLAN;
}

impl Planned for Spi {
    const PLAN: &Plan = &form::spi::PLAN;
}

impl Planned for FlushSas {
    const SAID: Option<(FieldId, &str)> = Some((FieldId::What, "sas"));
    const PLAN: &Plan = &form::flush::PLAN;
}

impl Planned for FlushPolicies {
    const SAID: Option<(FieldId, &str)> = Some((FieldId::What, "policies"));
    const PLAN: &Plan = &form::flush::PLAN;
}

/// Adds something.
///
/// # Errors
/// When nothing may be changed, or a key's file cannot be read.
pub fn add(what: &Add, common: &Common) -> anyhow::Result<ExitCode> {
    match what {
        Add::Sa(form) => carry_out(form, "add", common),
        Add::Policy(form) => carry_out(form, "add", common),
    }
}

/// Sets something.
///
/// # Errors
/// When nothing may be changed.
pub fn set(what: &Set, common: &Common) -> anyhow::Result<ExitCode> {
    match what {
        Set::Defaults(form) => carry_out(form, "set", common),
        Set::Thresholds(form) => carry_out(form, "set", common),
    }
}

/// Reserves an SPI.
///
/// # Errors
/// When nothing may be changed.
pub fn allocate_spi(form: &AllocateSpi, common: &Common) -> anyhow::Result<ExitCode> {
    carry_out(form, "allocspi", common)
}

/// Deletes everything of a kind.
///
/// # Errors
/// When nothing may be changed.
pub fn flush(what: &Flush, common: &Common) -> anyhow::Result<ExitCode> {
    match what {
        Flush::Sas(form) => carry_out(form, "flush", common),
        Flush::Policies(form) => carry_out(form, "flush", common),
    }
}

fn carry_out<P: Planned>(form: &Filled<P>, command: &str, common: &Common) -> anyhow::Result<ExitCode> {
    may_change(command, form.only_says(), common)?;
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    // Whoever may not look can still see what would be sent.
    let mut kernel = XfrmKernel::open().and_then(|mut kernel| kernel.counts().map(|_| kernel));
    let kernel = kernel.as_mut().map(|kernel| kernel as &mut dyn Kernel).map_err(|error| error.clone());
    filled::run(form, kernel, &crate::capture::interfaces(), &mut out, &mut complaints)
}
