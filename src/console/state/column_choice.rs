//! Which columns a table shows, and in which order: a list that is changed while the table behind it follows.

use super::log::{Origin, Weight};
use super::table::Move;
use super::{Command, Layer, Screen, State, movement};
use crate::console::action::Action;
use crate::console::columns::{About, ChosenColumns, Columns, PacketColumn, PolicyColumn, SaColumn};

/// The columns of a table, to choose from.
#[derive(Clone, Debug)]
pub struct ColumnChoice {
    /// All columns, each with whether it is shown: first those that are, in their order.
    pub rows: Vec<(About, bool)>,
    /// The row that keys go to.
    pub cursor: usize,
    /// What was shown before.
    before: Vec<&'static str>,
}

impl ColumnChoice {
    fn of<C: Columns>(shown: &[C]) -> Self {
        let others = C::ALL.iter().filter(|column| !shown.contains(column)).map(|column| (column.about(), false));
        let rows = shown.iter().map(|column| (column.about(), true)).chain(others).collect();
        Self { rows, cursor: 0, before: names(shown) }
    }

    /// The names of what is to be shown.
    fn shown(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|(_, shown)| *shown).map(|(about, _)| about.name).collect()
    }

    /// Moves the row at the cursor by one place.
    fn carry(&mut self, down: bool) {
        let to = if down { self.cursor + 1 } else { self.cursor.wrapping_sub(1) };
        if to < self.rows.len() {
            self.rows.swap(self.cursor, to);
            self.cursor = to;
        }
    }
}

fn names<C: Columns>(columns: &[C]) -> Vec<&'static str> {
    columns.iter().map(|column| column.about().name).collect()
}

impl State {
    pub(super) fn choose_columns(&mut self) {
        let choice = match self.screen {
            Screen::Sas => ColumnChoice::of(self.sas.shown()),
            Screen::Policies => ColumnChoice::of(self.policies.shown()),
            Screen::Packets => ColumnChoice::of(&self.packets.columns),
            Screen::Events => return self.note("events have no columns to choose from".to_owned()),
        };
        self.layers.push(Layer::Columns(Box::new(choice)));
    }

    pub(super) fn on_columns_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let page = self.drawn.reading.height;
        let Some(Layer::Columns(choice)) = self.layers.last_mut() else {
            return;
        };
        match action {
            Action::Accept => {
                self.layers.pop();
                self.remember_columns(commands);
                return;
            }
            Action::Back => {
                let before = std::mem::take(&mut choice.before);
                self.layers.pop();
                // They were shown a moment ago.
                let _ = self.show_columns(&before);
                return;
            }
            Action::ShowColumn => {
                if let Some((_, shown)) = choice.rows.get_mut(choice.cursor) {
                    *shown = !*shown;
                }
                choice.cursor = Move::By(1).from(choice.cursor, choice.rows.len());
            }
            Action::ColumnEarlier => choice.carry(false),
            Action::ColumnLater => choice.carry(true),
            Action::UsualColumns => {
                let usual = match self.screen {
                    Screen::Policies => ColumnChoice::of(PolicyColumn::USUAL),
                    Screen::Packets => ColumnChoice::of(PacketColumn::USUAL),
                    Screen::Sas | Screen::Events => ColumnChoice::of(SaColumn::USUAL),
                };
                (choice.rows, choice.cursor) = (usual.rows, 0);
            }
            _ => {
                if let Some(movement) = movement(action, page) {
                    choice.cursor = movement.from(choice.cursor, choice.rows.len());
                }
                return;
            }
        }
        let shown = choice.shown();
        if let Err(reason) = self.show_columns(&shown) {
            self.warn(reason);
        }
    }

    /// Shows the columns of these names on the open screen.
    ///
    /// # Errors
    /// Why not; then those before stay.
    fn show_columns(&mut self, names: &[impl AsRef<str>]) -> Result<(), String> {
        match self.screen {
            Screen::Sas => self.sas.show(SaColumn::read(names)?),
            Screen::Policies => self.policies.show(PolicyColumn::read(names)?),
            Screen::Packets => self.packets.columns = PacketColumn::read(names)?,
            Screen::Events => return Err("events have no columns to choose from".to_owned()),
        }
        // The words of a filter are looked for in what is shown.
        let filter = match self.screen {
            Screen::Sas => self.sas.filter(),
            Screen::Policies => self.policies.filter(),
            Screen::Packets | Screen::Events => None,
        };
        if filter.is_some() {
            self.rebuild(self.screen);
        }
        Ok(())
    }

    /// Shows the columns that were typed behind `:columns`, the usual ones for `usual`.
    pub(super) fn show_typed_columns(&mut self, typed: &str, commands: &mut Vec<Command>) {
        let words: Vec<&str> = typed.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        let shown = match words.as_slice() {
            [] => return self.choose_columns(),
            ["usual"] => match self.screen {
                Screen::Sas => self.show_columns(&names(SaColumn::USUAL)),
                Screen::Policies => self.show_columns(&names(PolicyColumn::USUAL)),
                Screen::Packets | Screen::Events => self.show_columns(&names(PacketColumn::USUAL)),
            },
            words => self.show_columns(words),
        };
        match shown {
            Ok(()) => self.remember_columns(commands),
            Err(reason) => self.warn(reason),
        }
    }

    /// What is shown now is shown at the next start too, unless the configuration says otherwise.
    fn remember_columns(&mut self, commands: &mut Vec<Command>) {
        if self.setting.settled.contains(&self.screen) {
            self.note("shown until espial ends: the configuration file says which columns come first".to_owned());
            return;
        }
        commands.push(Command::Remember(self.chosen_columns()));
    }

    /// The columns that are not the usual ones, but for those that the configuration says.
    fn chosen_columns(&self) -> ChosenColumns {
        fn chosen<C: Columns>(shown: &[C]) -> Option<Vec<C>> {
            (shown != C::USUAL).then(|| shown.to_vec())
        }
        let settled = |screen| self.setting.settled.contains(&screen);
        ChosenColumns {
            sas: chosen(self.sas.shown()).filter(|_| !settled(Screen::Sas)),
            policies: chosen(self.policies.shown()).filter(|_| !settled(Screen::Policies)),
            packets: chosen(&self.packets.columns).filter(|_| !settled(Screen::Packets)),
        }
    }

    pub(super) fn on_not_remembered(&mut self, reason: &str) {
        let text = format!("the columns cannot be remembered: {reason}");
        self.tell(Origin::Console, Weight::Warning, text.clone());
        self.warn(text);
    }
}
