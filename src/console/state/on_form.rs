//! What the user wants of forms: opens, fills in and sends them.

use super::line::FormName;
use super::question::Deed;
use super::{Command, Layer, REVEAL_MS, Screen, State};
use crate::console::action::Action;
use crate::console::command::Change;
use crate::console::form::{self, FieldId, Form, Made};

/// Nobody has read a warning sooner: a key that comes before was pressed twice, or is held down.
const READ_MS: u64 = 1000;

impl State {
    /// Opens the form that makes a row of the screen.
    pub(super) fn open_form(&mut self) {
        // Most often the new one is like the one that is looked at.
        let (mut form, ends) = match self.screen {
            Screen::Sas => {
                let sa = self.sas.selected().and_then(|slot| self.facts.sad.at(slot));
                (Form::new(&form::sa::PLAN), sa.map(|sa| (sa.source.to_string(), sa.destination.to_string())))
            }
            Screen::Policies => {
                let policy = self.policies.selected().and_then(|slot| self.facts.spd.at(slot));
                let ends =
                    policy.map(|policy| &policy.selector).map(|s| (s.source.to_string(), s.destination.to_string()));
                (form::policy::adding(), ends)
            }
            Screen::Packets | Screen::Events => return,
        };
        if let Some((source, destination)) = ends {
            form.set(FieldId::Source, &source);
            form.set(FieldId::Destination, &destination);
        }
        self.push_form(form);
    }

    /// Opens a form that no key opens.
    pub(super) fn open_form_of(&mut self, which: FormName) {
        let mut form = match which {
            FormName::Defaults => form::defaults::showing(self.facts.defaults),
            FormName::Thresholds => Form::new(&form::thresholds::PLAN),
            FormName::AllocateSpi => Form::new(&form::spi::PLAN),
            FormName::Flush => Form::new(&form::flush::PLAN),
        };
        if which == FormName::Flush && self.screen == Screen::Policies {
            form.set(FieldId::What, "policies");
        }
        self.push_form(form);
    }

    /// Opens the form that changes the selected row.
    pub(super) fn edit(&mut self) {
        let form = match self.screen {
            Screen::Sas => self.sas.selected().and_then(|slot| self.facts.sad.at(slot)).map(form::sa::editing),
            Screen::Policies => {
                self.policies.selected().and_then(|slot| self.facts.spd.at(slot)).map(form::policy::editing)
            }
            Screen::Packets | Screen::Events => None,
        };
        match form {
            Some(Ok(form)) => self.push_form(form),
            Some(Err(reason)) => self.warn(reason),
            None => {}
        }
    }

    /// Puts a form before the screen.
    pub(super) fn push_form(&mut self, mut form: Form) {
        form.know_interfaces(self.facts.interfaces.iter().map(|interface| (interface.name.clone(), interface.index)));
        form.open();
        self.layers.push(Layer::Form(Box::new(form)));
    }

    pub(super) fn on_form_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let until = self.facts.now.uptime_ms + REVEAL_MS;
        let Some(Layer::Form(form)) = self.layers.last_mut() else {
            return;
        };
        if action != Action::Back {
            form.stay();
        }
        match action {
            Action::Back if form.leave_review() => {}
            Action::Back if form.leave() => {
                self.layers.pop();
            }
            Action::Back => self.warn("what you have filled in would be lost: Esc again leaves the form".to_owned()),
            _ if form.is_pending() => {}
            Action::Accept if form.focused().is_none() => self.submit(commands),
            Action::NextField | Action::Accept => form.next_field(),
            Action::PreviousField => form.previous_field(),
            Action::NextChoice => {
                form.choose(1);
            }
            Action::PreviousChoice => {
                form.choose(-1);
            }
            Action::AddItem if !form.add_item() => self.note("a policy has at most 6 transforms".to_owned()),
            Action::RemoveItem => {
                form.remove_item();
            }
            Action::MoveItemUp => {
                form.move_item_up();
            }
            Action::Reveal => form.reveal_until(until),
            Action::Generate => self.generate(),
            Action::Submit => self.submit(commands),
            _ => {}
        }
    }

    fn generate(&mut self) {
        let Some(Layer::Form(form)) = self.layers.last_mut() else {
            return;
        };
        // Those of the small forms are of SAs that are there.
        let Some(field) = form.focused().filter(|place| place.item.is_none()).map(|place| place.field.id) else {
            return;
        };
        match form.make_up(field, &self.facts.sad) {
            Ok(true) => {}
            Ok(false) => self.note("a random value can be made up for keys and for the SPI".to_owned()),
            Err(error) => self.alarm(format!("the system gives no random numbers: {error}")),
        }
    }

    fn submit(&mut self, commands: &mut Vec<Command>) {
        let now = self.facts.now.uptime_ms;
        let Some(Layer::Form(form)) = self.layers.last_mut() else {
            return;
        };
        if form.changes_nothing() {
            self.note("nothing of it was changed: there is nothing to send".to_owned());
            return;
        }
        let has_warned = *form.progress() == form::Progress::Review && !form.warnings().is_empty();
        if has_warned && self.warned_at.is_some_and(|at| now < at + READ_MS) {
            // A key that is held down goes on coming.
            self.warned_at = Some(now);
            self.warn("not sent yet: read the warnings first; after a second the same key sends it".to_owned());
            return;
        }
        self.warned_at = Some(now);
        if !form.submit(&self.facts.sad, &self.facts.spd) {
            match (form.progress(), form.made()) {
                (form::Progress::Editing, _) => {
                    self.warn("not sent: something is missing or wrong, as said under its field".to_owned());
                }
                (form::Progress::Review, Some(Made::Pair(_))) => {
                    self.warn("there are warnings: once more goes on all the same".to_owned());
                }
                _ => {}
            }
            return;
        }
        match form.made() {
            Some(Made::Change(_) | Made::Pair(_)) if self.setting.read_only => self.refuse_to_change(),
            Some(Made::Change(change)) => match *change {
                // What would go is shown by the question.
                Change::FlushSas(protocol) => self.ask_instead(Deed::FlushSas(protocol)),
                Change::FlushPolicies(kind) => self.ask_instead(Deed::FlushPolicies(kind)),
                change => {
                    form.sent();
                    commands.push(Command::Change(Box::new(change)));
                }
            },
            Some(Made::Pair(plan)) => self.propose(*plan),
            Some(Made::Check(plan)) => {
                self.layers.pop();
                self.begin_check(*plan, commands);
            }
            None => {}
        }
    }

    fn ask_instead(&mut self, deed: Deed) {
        self.layers.pop();
        self.ask_if_any(deed);
    }
}
