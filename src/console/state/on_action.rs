//! What the user wants: keys that mean an action, and typed text.

use crossterm::event::KeyEvent;

use super::line::{self, Purpose, Typed};
use super::table::Move;
use super::{ChoiceOf, Command, Layer, Line, Reading, Screen, State};
use crate::console::action::Action;
use crate::console::text_field::TextField;
use crate::model::row_filter::Rows;

impl State {
    pub(super) fn on_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        match action {
            Action::Quit => self.quit(commands),
            _ => match self.layers.last() {
                None => self.on_screen_action(action, commands),
                Some(Layer::Help { .. } | Layer::Whole { .. } | Layer::Peers { .. } | Layer::Check(_)) => {
                    self.on_reading_action(action);
                }
                Some(Layer::Question(_)) => self.on_question_action(action, commands),
                Some(Layer::Form(_)) => self.on_form_action(action, commands),
                Some(Layer::Proposal(_)) => self.on_proposal_action(action, commands),
                Some(Layer::Choice(_)) => self.on_choice_action(action, commands),
                Some(Layer::Columns(_)) => self.on_columns_action(action, commands),
                Some(Layer::Line(_)) => self.on_line_action(action, commands),
            },
        }
    }

    /// Ends the program, and takes back what was to be kept only if somebody said so.
    pub(super) fn quit(&mut self, commands: &mut Vec<Command>) {
        self.end_trial(commands);
        commands.push(Command::Quit);
    }

    fn on_screen_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        if let Some(movement) = movement(action, self.drawn.rows) {
            self.go(movement);
            return;
        }
        if matches!(action, Action::Leave | Action::Back) {
            if !self.step_back() && action == Action::Leave {
                commands.push(Command::Quit);
            }
            return;
        }
        match action {
            Action::Help => self.open_help(),
            Action::Command => self.open_line(Purpose::Command, ""),
            Action::Filter => {
                let before = self.filter().to_owned();
                self.open_line(Purpose::Filter { before: before.clone() }, &before);
            }
            Action::NextScreen => self.show(self.neighbour(1), commands),
            Action::PreviousScreen => self.show(self.neighbour(Screen::ALL.len() - 1), commands),
            Action::ShowSas => self.show(Screen::Sas, commands),
            Action::ShowPolicies => self.show(Screen::Policies, commands),
            Action::ShowPackets => self.show(Screen::Packets, commands),
            Action::ShowEvents => self.show(Screen::Events, commands),
            Action::Open if self.has_selection() => {
                // What is read must not go away under the eyes.
                if self.screen == Screen::Packets {
                    self.packets.feed.follow(false);
                }
                self.packets.chosen_layer = None;
                self.layers.push(Layer::Whole { scroll: None });
            }
            Action::Columns => self.choose_columns(),
            Action::Add => self.open_form(),
            Action::Pair => self.plan_pair(),
            Action::Edit => self.edit(),
            Action::Delete => self.ask_to_delete(),
            Action::Flush => self.ask_to_flush(),
            Action::Reveal => self.reveal(),
            Action::Refresh => {
                commands.extend([Command::Redraw, Command::Resync]);
            }
            Action::Follow => self.follow(),
            Action::Freeze => self.freeze(),
            Action::Interface => self.choose_interface(),
            Action::Clear => self.forget_packets(),
            Action::ItsPackets => self.go_to_packets(commands),
            Action::Record => self.record(commands),
            Action::Peers => self.layers.push(Layer::Peers { selected: None }),
            Action::Check => self.open_check(),
            _ if self.screen == Screen::Packets => self.on_packet_action(action),
            _ => self.on_list_action(action),
        }
    }

    pub(super) fn go(&mut self, movement: Move) {
        let rows = self.drawn.rows;
        match self.screen {
            Screen::Sas => self.sas.go(movement, rows),
            Screen::Policies => self.policies.go(movement, rows),
            Screen::Packets => self.packets.feed.go(movement),
            Screen::Events => self.events.go(movement),
        }
    }

    fn neighbour(&self, steps: usize) -> Screen {
        let at = Screen::ALL.iter().position(|screen| *screen == self.screen).unwrap_or(0);
        Screen::ALL[(at + steps) % Screen::ALL.len()]
    }

    fn show(&mut self, screen: Screen, commands: &mut Vec<Command>) {
        (self.screen, self.came_from_packet) = (screen, false);
        if screen == Screen::Packets {
            self.begin_capture(commands);
        }
    }

    /// Takes back the last thing that stands between the user and the plain screen; `false` if there is none.
    fn step_back(&mut self) -> bool {
        let now = self.facts.now.uptime_ms;
        if self.revealed.take().is_some_and(|(_, until)| now < until) {
            return true;
        }
        if self.screen == Screen::Packets && self.packets.sought.take().is_some() {
            return true;
        }
        if !self.filter().is_empty() {
            self.set_filter("");
            return true;
        }
        if self.unmark_all() {
            return true;
        }
        if std::mem::take(&mut self.came_from_packet) {
            self.screen = Screen::Packets;
            return true;
        }
        false
    }

    fn filter(&self) -> &str {
        match self.screen {
            Screen::Sas => self.sas.typed_filter(),
            Screen::Policies => self.policies.typed_filter(),
            Screen::Packets => self.packets.feed.filter(),
            Screen::Events => self.events.filter(),
        }
    }

    /// Sets the filter of the screen, or says why it cannot be understood.
    pub(super) fn set_filter(&mut self, filter: &str) -> Option<String> {
        let set = match self.screen {
            Screen::Sas => self.sas.set_filter(filter, Rows::Sas),
            Screen::Policies => self.policies.set_filter(filter, Rows::Policies),
            Screen::Packets => return self.filter_packets(filter),
            Screen::Events => {
                self.events.set_filter(filter);
                Ok(())
            }
        };
        match set {
            Ok(()) => {
                self.rebuild(self.screen);
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    pub(super) fn has_selection(&self) -> bool {
        match self.screen {
            Screen::Sas => self.sas.selected().is_some(),
            Screen::Policies => self.policies.selected().is_some(),
            Screen::Packets => self.packets.feed.selected().is_some(),
            Screen::Events => self.events.selected().is_some(),
        }
    }

    fn follow(&mut self) {
        let feed = match self.screen {
            Screen::Packets => &mut self.packets.feed,
            _ => &mut self.events,
        };
        feed.follow(!feed.is_following());
    }

    fn open_help(&mut self) {
        let contexts = self.contexts();
        self.layers.push(Layer::Help { scroll: 0, contexts });
    }

    fn on_reading_action(&mut self, action: Action) {
        let Reading { top, height, length } = self.drawn.reading;
        match action {
            Action::Back if self.sees_packet_whole() && self.chosen_layer().is_some() => {
                self.packets.chosen_layer = None;
            }
            Action::Back => {
                self.layers.pop();
            }
            // The key that opened it closes it.
            Action::Help if matches!(self.layers.last(), Some(Layer::Help { .. })) => {
                self.layers.pop();
            }
            Action::Help => self.open_help(),
            Action::Reveal => self.reveal(),
            Action::Check => self.open_check(),
            _ if matches!(self.layers.last(), Some(Layer::Peers { .. })) => {
                self.go_among_peers(movement(action, height));
            }
            _ if self.sees_packet_whole() && movement(action, height).is_none() => self.on_packet_action(action),
            _ => {
                let movement = movement(action, height);
                if let (Some(movement), Some(layer)) = (movement, self.layers.last_mut()) {
                    let moved = scrolled(top, movement, height, length);
                    match layer {
                        Layer::Help { scroll, .. } => *scroll = moved,
                        Layer::Check(checking) => checking.scroll = moved,
                        Layer::Whole { scroll } => *scroll = Some(moved),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Their order changes as packets come: the selection stays with its peer.
    fn go_among_peers(&mut self, movement: Option<Move>) {
        let peers = self.packets.judge.totals.peers();
        if let (Some(Layer::Peers { selected }), Some(movement)) = (self.layers.last_mut(), movement) {
            let here = peers.iter().position(|(peer, _)| Some(*peer) == *selected).unwrap_or(0);
            let place = scrolled(here, movement, 1, peers.len());
            *selected = peers.get(place).map(|(peer, _)| *peer);
        }
    }

    fn on_question_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let Reading { height, length, .. } = self.drawn.reading;
        let movement = movement(action, height);
        let Some(Layer::Question(question)) = self.layers.last_mut() else {
            return;
        };
        match action {
            Action::Confirm => {
                let change = question.deed.clone().change();
                self.layers.pop();
                self.waits.push(change.operation().to_string());
                commands.push(Command::Change(Box::new(change)));
            }
            Action::Decline => {
                self.layers.pop();
                self.note("nothing was deleted".to_owned());
            }
            _ => {
                if let Some(movement) = movement {
                    question.scroll = scrolled(question.scroll, movement, height, length);
                }
            }
        }
    }

    fn on_choice_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let movement = movement(action, 1);
        let Some(Layer::Choice(choice)) = self.layers.last_mut() else {
            return;
        };
        match (action, movement) {
            (Action::Back, _) => {
                self.layers.pop();
            }
            (Action::Accept, _) => {
                let place = choice.cursor;
                let Some(Layer::Choice(choice)) = self.layers.pop() else {
                    return;
                };
                match choice.of {
                    ChoiceOf::Interface => {
                        let chosen = choice.options.into_iter().nth(place).map(|(name, _)| name);
                        self.capture_on(chosen, commands);
                    }
                    ChoiceOf::Sa(sas) => self.go_to_named(sas.get(place)),
                    ChoiceOf::Sorting => self.sort_by(place),
                    ChoiceOf::Form => self.copy_rows(place, commands),
                }
            }
            (_, Some(movement)) => choice.cursor = movement.from(choice.cursor, choice.options.len()),
            _ => {}
        }
    }

    /// Whether a packet is seen whole, and nothing before it.
    pub(super) fn sees_packet_whole(&self) -> bool {
        self.screen == Screen::Packets && matches!(self.layers.last(), Some(Layer::Whole { .. }))
    }

    /// Lets the user go on with a command.
    pub(super) fn open_command_line(&mut self, text: &str) {
        self.open_line(Purpose::Command, text);
    }

    pub(super) fn open_line(&mut self, purpose: Purpose, text: &str) {
        self.layers.push(Layer::Line(Line { purpose, field: TextField::with(text), error: None }));
    }

    fn on_line_action(&mut self, action: Action, commands: &mut Vec<Command>) {
        let Some(Layer::Line(line)) = self.layers.last_mut() else {
            return;
        };
        match (action, &line.purpose) {
            (Action::Back, Purpose::Filter { before }) => {
                let before = before.clone();
                self.layers.pop();
                self.set_filter(&before);
            }
            // What cannot be understood yet stays to be mended.
            (Action::Accept, Purpose::Filter { .. }) if line.error.is_some() => {}
            (Action::Back, Purpose::Command | Purpose::Search | Purpose::SaveScript)
            | (Action::Accept, Purpose::Filter { .. }) => {
                self.layers.pop();
            }
            (Action::Accept, Purpose::SaveScript) => {
                let path = line.field.text().trim().to_owned();
                self.layers.pop();
                self.save_script(path, commands);
            }
            (Action::Accept, Purpose::Search) => {
                let text = line.field.text().to_owned();
                self.layers.pop();
                self.search(&text);
            }
            (Action::Accept, Purpose::Command) => match line::parse(line.field.text()) {
                Ok(typed) => {
                    self.layers.pop();
                    self.on_typed_command(typed, commands);
                }
                Err(error) => line.error = Some(error),
            },
            (Action::Complete, Purpose::Filter { .. }) => {
                let rows = match self.screen {
                    Screen::Sas => Rows::Sas,
                    Screen::Policies => Rows::Policies,
                    Screen::Packets | Screen::Events => return,
                };
                if let Some(rest) = line::field_completion(line.field.text(), rows) {
                    line.field.paste(&rest);
                    let filter = line.field.text().to_owned();
                    self.filter_as_typed(&filter);
                }
            }
            (Action::Complete, Purpose::Command) => {
                let interfaces: Vec<String> = self.facts.interfaces.iter().map(|i| i.name.clone()).collect();
                if let Some(rest) = line::completion(line.field.text(), &self.setting.themes, &interfaces) {
                    line.field.paste(&rest);
                }
            }
            _ => {}
        }
    }

    fn on_typed_command(&mut self, typed: Typed, commands: &mut Vec<Command>) {
        match typed {
            Typed::Screen(place) => {
                if let Some(screen) = Screen::ALL.get(place) {
                    self.show(*screen, commands);
                }
            }
            Typed::Theme(name) => commands.push(Command::UseTheme(name)),
            Typed::Interface(name) => {
                self.screen = Screen::Packets;
                self.capture_on_named(name, commands);
            }
            Typed::Filter(words) => {
                if let Some(error) = self.set_filter(&words) {
                    self.warn(error);
                }
            }
            Typed::Columns(names) => self.show_typed_columns(&names, commands),
            Typed::Capture(words) => self.capture_only(&words, commands),
            Typed::Watch => self.watch(commands),
            Typed::Record(path, with_keys) => self.begin_recording(path, with_keys, commands),
            Typed::Form(_) if self.setting.read_only => self.refuse_to_change(),
            Typed::Form(which) => self.open_form_of(which),
            Typed::Refresh => self.on_screen_action(Action::Refresh, commands),
            Typed::Help => self.on_screen_action(Action::Help, commands),
            Typed::Quit => commands.push(Command::Quit),
        }
    }

    /// A key that means a character where text is typed.
    pub(super) fn on_typed(&mut self, key: KeyEvent) {
        let filter = match self.layers.last_mut() {
            Some(Layer::Form(form)) => {
                form.on_key(key);
                None
            }
            Some(Layer::Line(line)) => {
                line.error = None;
                line.field.on_key(key);
                matches!(line.purpose, Purpose::Filter { .. }).then(|| line.field.text().to_owned())
            }
            _ => None,
        };
        if let Some(filter) = filter {
            self.filter_as_typed(&filter);
        }
    }

    fn filter_as_typed(&mut self, filter: &str) {
        let error = self.set_filter(filter);
        if let Some(Layer::Line(line)) = self.layers.last_mut() {
            line.error = error;
        }
    }

    pub(super) fn on_paste(&mut self, text: &str) {
        let filter = match self.layers.last_mut() {
            Some(Layer::Form(form)) => {
                form.paste(text);
                None
            }
            Some(Layer::Line(line)) => {
                line.error = None;
                line.field.paste(text);
                matches!(line.purpose, Purpose::Filter { .. }).then(|| line.field.text().to_owned())
            }
            // Pasted text is not meant as keys: a stray "d", "y" in it would delete.
            _ => {
                self.note("pasted text goes into fields only".to_owned());
                None
            }
        };
        if let Some(filter) = filter {
            self.filter_as_typed(&filter);
        }
    }
}

/// How far an action moves, where a page has so many rows.
pub(super) fn movement(action: Action, page: usize) -> Option<Move> {
    let page = page.max(1).cast_signed();
    Some(match action {
        Action::Up => Move::By(-1),
        Action::Down => Move::By(1),
        Action::HalfPageUp => Move::By(-(page / 2).max(1)),
        Action::HalfPageDown => Move::By((page / 2).max(1)),
        Action::PageUp => Move::By(-page),
        Action::PageDown => Move::By(page),
        Action::First => Move::First,
        Action::Last => Move::Last,
        _ => return None,
    })
}

/// The scroll after a movement over `length` lines in a window of `height`.
pub(super) fn scrolled(scroll: usize, movement: Move, height: usize, length: usize) -> usize {
    let most = length.saturating_sub(height);
    match movement {
        Move::By(lines) => scroll.min(most).saturating_add_signed(lines).min(most),
        Move::First => 0,
        Move::Last => most,
    }
}
