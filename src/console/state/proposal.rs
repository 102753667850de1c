//! What is to protect the traffic with another host, shown before it is made: this host's half, and the other one's
//! script, which exists nowhere else until it is handed over.

use std::net::IpAddr;

use super::line::Purpose;
use super::log::{Origin, Weight};
use super::{Layer, Screen, State, movement, scrolled};
use crate::console::action::Action;
use crate::console::command::{Change, Command};
use crate::console::form::{self, FieldId, Form};
use crate::dialect::Keys;
use crate::dialect::script::{Language, script};
use crate::kernel::KernelError;
use crate::model::pair::{Half, PairPlan, free_reqid};
use crate::model::{PolicyDirection, Prefix, Secret, Spi, Template};

/// Both halves of a plan.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The plan.
    pub plan: PairPlan,
    /// What it is shown in.
    pub language: Language,
    /// Lines above the window.
    pub scroll: usize,
    /// How it stands on this host.
    pub here: Progress,
    /// How it stands on the lab's other host.
    pub there: Progress,
    /// Whether the other host's script is somewhere else as well.
    is_handed_over: bool,
    /// Whether it was said that leaving throws the other host's keys away.
    is_warned: bool,
    halves: [Half; 2],
}

/// How far a half is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has been done.
    Proposed,
    /// It was sent; no answer yet.
    Pending,
    /// It is made.
    Made,
    /// Nothing of it was made, and why.
    Refused(String),
}

impl Proposal {
    /// This host's half and the other one's, in words and without keys. `None` where the language cannot say it.
    pub fn words(&self) -> Option<[String; 2]> {
        let words = |half, host: IpAddr| {
            let heading = format!("{} on {host}", Half::size(half));
            script(half, self.language, &heading, Keys::Hide).map(|text| text.to_string())
        };
        let [here, there] = &self.halves;
        Some([words(here, self.plan.here)?, words(there, self.plan.there)?])
    }

    /// The other host's script, keys and all.
    fn script(&self) -> Option<Secret> {
        let PairPlan { here, there, .. } = self.plan;
        let heading = format!("IPsec between {here} and {there}: the half of {there}");
        let text = script(&self.halves[1], self.language, &heading, Keys::Show)?;
        Some(Secret::copy_from(text.as_bytes()))
    }

    /// Whether leaving would throw keys away that one of the hosts uses already or is about to use, before the other one
    /// has them.
    fn would_be_lost(&self) -> bool {
        let is_begun = |progress: &Progress| matches!(progress, Progress::Made | Progress::Pending);
        let is_there = is_begun(&self.there) || self.is_handed_over;
        is_begun(&self.here) != is_there
    }
}

impl State {
    /// Opens the form that plans protection, filled in as far as the selected row or the interfaces tell.
    pub(super) fn plan_pair(&mut self) {
        let mut form = Form::new(&form::pair::PLAN);
        let interfaces = self.facts.interfaces.iter().filter(|interface| interface.is_up && !interface.is_loopback);
        let own: Vec<_> = interfaces.flat_map(|interface| interface.addresses.iter().copied()).collect();
        let ends = match self.screen {
            Screen::Policies => None,
            _ => self.sas.selected().and_then(|slot| self.facts.sad.at(slot)).map(|sa| (sa.source, sa.destination)),
        };
        let (here, there) = match ends {
            Some((source, destination)) if own.contains(&destination) => (Some(destination), Some(source)),
            Some((source, destination)) => (Some(source), Some(destination)),
            None => (own.iter().find(|address| address.is_ipv4()).or(own.first()).copied(), None),
        };
        for (field, address) in [(FieldId::Source, here), (FieldId::Destination, there)] {
            if let Some(address) = address {
                form.set(field, &address.to_string());
            }
        }
        if let (Some(here), Some(there)) = (here, there) {
            self.fill_in_from_policy(&mut form, here, there);
        }
        self.push_form(form);
    }

    /// Where these two have a policy, most often keys are what is wanted.
    fn fill_in_from_policy(&self, form: &mut Form, here: IpAddr, there: IpAddr) {
        let joins = |template: &Template| template.joins(here, there);
        let ends = (Prefix::host(here), Prefix::host(there));
        let policies = self.facts.spd.iter().map(|(_, policy)| policy);
        let mut outbound = policies.filter(|policy| policy.direction == PolicyDirection::Out);
        let fitting = outbound.find(|policy| {
            let is_theirs = (policy.selector.source, policy.selector.destination) == ends;
            !policy.templates.is_empty() && (is_theirs || policy.templates.iter().any(joins))
        });
        let Some(policy) = fitting else {
            return;
        };
        form.set(FieldId::Make, form::pair::ONLY_KEYS);
        if policy.templates.iter().any(joins) {
            form.set(FieldId::Mode, form::pair::TUNNEL);
            form.set(FieldId::OwnNetwork, &policy.selector.source.to_string());
            form.set(FieldId::FarNetwork, &policy.selector.destination.to_string());
        }
    }

    /// Makes keys and numbers for a plan and shows it.
    pub(super) fn propose(&mut self, mut plan: PairPlan) {
        if plan.only_keys {
            let Some(reqid) = plan.reqid_in(self.facts.spd.iter().map(|(_, policy)| policy)) else {
                self.warn("there is no policy here like this that demands SAs: make the policies as well".to_owned());
                return;
            };
            plan.reqid = reqid;
        } else if plan.reqid.0 == 0 {
            let (sad, spd) = (&self.facts.sad, &self.facts.spd);
            plan.reqid = free_reqid(sad.iter().map(|(_, sa)| sa), spd.iter().map(|(_, policy)| policy));
        }
        let mut given = Vec::new();
        let made = plan.make(|protocol| {
            let spi = Spi::random(protocol, |spi| given.contains(&spi) || self.facts.sad.has_spi(spi))?;
            given.push(spi);
            Ok(spi)
        });
        match made {
            Ok(halves) => self.layers.push(Layer::Proposal(Box::new(Proposal {
                plan,
                language: Language::Ip,
                scroll: 0,
                here: Progress::Proposed,
                there: Progress::Proposed,
                is_handed_over: false,
                is_warned: false,
                halves,
            }))),
            Err(error) => self.alarm(format!("the system gives no random numbers: {error}")),
        }
    }

    pub(super) fn on_proposal_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let reading = self.drawn.reading;
        let Some(Layer::Proposal(proposal)) = self.layers.last_mut() else {
            return;
        };
        let has_other_host = self.setting.other_host.is_some();
        match action {
            Action::Back if proposal.would_be_lost() && !proposal.is_warned => {
                proposal.is_warned = true;
                let is_here = matches!(proposal.here, Progress::Made | Progress::Pending);
                self.warn(if is_here {
                    "c copies or w saves the other host's script first; Esc again throws it away".to_owned()
                } else {
                    "the other host has its half, this one has not: y makes it; Esc again throws it away".to_owned()
                });
            }
            Action::Back => {
                let is_made = proposal.here == Progress::Made;
                self.layers.pop();
                if is_made && matches!(self.layers.last(), Some(Layer::Form(_))) {
                    self.layers.pop();
                }
            }
            Action::MakeHere if !matches!(proposal.here, Progress::Pending | Progress::Made) => {
                proposal.here = Progress::Pending;
                let change = Change::AddHalf(Box::new(proposal.halves[0].clone()));
                commands.push(Command::Change(Box::new(change)));
            }
            Action::MakeThere if has_other_host && !matches!(proposal.there, Progress::Pending | Progress::Made) => {
                proposal.there = Progress::Pending;
                commands.push(Command::AddThere(Box::new(proposal.halves[1].clone())));
            }
            Action::MakeThere if !has_other_host => {
                self.warn("only the lab's other host can be reached from here: copy its script, or save it".to_owned());
            }
            Action::OtherLanguage => {
                let other = if proposal.language == Language::Ip { Language::Setkey } else { Language::Ip };
                (proposal.language, proposal.scroll) = (other, 0);
            }
            Action::Copy => match proposal.script() {
                Some(text) => {
                    proposal.is_handed_over = true;
                    let host = proposal.plan.there;
                    commands.push(Command::Copy(text));
                    self.tell(Origin::Console, Weight::Note, format!("copied the script of {host}, keys and all"));
                    self.note(format!("the script of {host} is on its way to the clipboard, if the terminal takes it"));
                }
                None => self.warn(CANNOT_SAY.to_owned()),
            },
            Action::Save if proposal.script().is_some() => {
                let name: String = proposal.plan.there.to_string().replace(':', "-");
                self.open_line(Purpose::SaveScript, &format!("ipsec-{name}.sh"));
            }
            Action::Save => self.warn(CANNOT_SAY.to_owned()),
            _ => {
                if let Some(movement) = movement(action, reading.height) {
                    proposal.scroll = scrolled(reading.top, movement, reading.height, reading.length);
                }
            }
        }
    }

    /// The user has named the file for the other host's script.
    pub(super) fn save_script(&mut self, path: String, commands: &mut Vec<Command>) {
        if let Some(Layer::Proposal(proposal)) = self.layers.last()
            && let Some(text) = proposal.script()
        {
            commands.push(Command::Save { path, text });
        }
    }

    pub(super) fn on_saved(&mut self, path: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                if let Some(proposal) = self.proposal() {
                    proposal.is_handed_over = true;
                    let host = proposal.plan.there;
                    let text = format!("saved the script of {host}, keys and all, as {path}");
                    self.tell(Origin::Console, Weight::Note, text.clone());
                    self.note(text);
                }
            }
            Err(reason) => self.alarm(format!("saving {path}: {reason}")),
        }
    }

    pub(super) fn on_done_there(&mut self, result: Result<(), KernelError>) {
        let host = self.setting.other_host.clone().unwrap_or_default();
        let Some(proposal) = self.proposal() else {
            return;
        };
        match result {
            Ok(()) => {
                proposal.there = Progress::Made;
                let text = format!("added {} on {host}", proposal.halves[1].size());
                self.tell(Origin::Console, Weight::Note, text.clone());
                self.note(text);
            }
            Err(error) => {
                proposal.there = Progress::Refused(error.to_string());
                self.tell(Origin::Console, Weight::Warning, format!("refused on {host}: {error}"));
            }
        }
    }

    /// This host's half was made or refused.
    pub(super) fn on_done_here(&mut self, change: &Change, result: &Result<Option<Spi>, KernelError>) {
        if let Some(proposal) = self.proposal()
            && matches!(change, Change::AddHalf(half) if **half == proposal.halves[0])
        {
            proposal.here = match result {
                Ok(_) => Progress::Made,
                Err(error) => Progress::Refused(error.to_string()),
            };
        }
    }

    fn proposal(&mut self) -> Option<&mut Proposal> {
        self.layers.iter_mut().find_map(|layer| match layer {
            Layer::Proposal(proposal) => Some(&mut **proposal),
            _ => None,
        })
    }
}

/// Why there is no script in setkey's language.
pub const CANNOT_SAY: &str = "setkey on Linux has no words for this: l shows it in ip xfrm's";
