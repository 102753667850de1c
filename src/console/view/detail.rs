//! One row, whole: everything that the kernel told about it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use self::bytes::Marks;
use super::draw_rule;
use super::widget::{cut, draw_lines, width_of, wrap};
use crate::console::columns::SaRow;
use crate::console::state::{Reading, Screen, State};
use crate::console::theme::{Role, Theme};
use crate::model::extras::Offload;
use crate::model::text::harmless;

pub(super) mod bytes;
mod packet;
mod policy;
mod sa;

/// Where values begin.
const LABEL_WIDTH: usize = 17;

/// The facts about a row: what each is, and the words for it.
#[derive(Default)]
struct Facts(Vec<(&'static str, Vec<(String, Role)>)>);

impl Facts {
    /// A fact in plain words.
    fn say(&mut self, label: &'static str, text: impl Into<String>) {
        self.say_as(label, text, Role::Text);
    }

    /// A fact in words with a look.
    fn say_as(&mut self, label: &'static str, text: impl Into<String>, role: Role) {
        self.0.push((label, vec![(text.into(), role)]));
    }

    /// A fact that is only told where there is one.
    fn say_some(&mut self, label: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.say(label, text);
        }
    }

    /// More words behind the last fact.
    fn and(&mut self, text: impl Into<String>, role: Role) {
        if let Some((_, words)) = self.0.last_mut() {
            words.push((text.into(), role));
        }
    }

    /// The facts as lines of so many cells; long ones are broken below their beginning.
    fn lines(&self, theme: &Theme, cells: usize) -> Vec<Line<'static>> {
        let room = cells.saturating_sub(LABEL_WIDTH).max(8);
        let mut lines = Vec::new();
        for (label, words) in &self.0 {
            let label = Span::styled(format!(" {label:<0$}", LABEL_WIDTH - 1), theme.style(Role::Muted));
            let mut line = Line::from(label);
            for (text, role) in words {
                let style = theme.style(*role);
                if line.width() > LABEL_WIDTH && line.width() + 2 + width_of(text) <= LABEL_WIDTH + room {
                    line.push_span(Span::styled(format!("; {text}"), style));
                    continue;
                }
                for part in wrap(text, room) {
                    if line.width() > LABEL_WIDTH {
                        let next = Line::from(" ".repeat(LABEL_WIDTH));
                        lines.push(std::mem::replace(&mut line, next));
                    }
                    line.push_span(Span::styled(part, style));
                }
            }
            lines.push(line);
        }
        lines
    }
}

/// An interface as the kernel numbers it, with its name where there is one: `eth0 (number 2)`.
fn interface_words(index: u32, state: &State) -> String {
    match state.facts.interface_name(index) {
        Some(name) => format!("{} (number {index})", harmless(name)),
        None => format!("number {index}, which is not here"),
    }
}

/// What a device does of IPsec.
fn offload_words(offload: Offload, state: &State) -> String {
    let kind = if offload.flags & Offload::PACKET == 0 { "cryptography" } else { "whole packets" };
    let way = if offload.flags & Offload::INBOUND == 0 { "" } else { ", of those that arrive" };
    format!("{kind}{way}, on interface {}; flags {:#x}", interface_words(offload.interface, state), offload.flags)
}

/// Draws the beginning of what there is to know about the selected row.
pub fn draw_selected(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    if area.width == 0 || area.height < 2 {
        return;
    }
    let Some(Selected { title, lines, anchor }) = selected(state, theme, area.width.into(), None) else {
        draw_rule(frame, area, theme, "nothing selected", "");
        return;
    };
    let inside = draw_rule(frame, area, theme, &title, "");
    let room = usize::from(inside.height);
    draw_lines(frame, inside, &lines, from_anchor(anchor, room));
    if lines.len() > room {
        let more = match lines.len() - room {
            1 => "1 more line: Enter".to_owned(),
            more => format!("{more} more lines: Enter"),
        };
        draw_rule(frame, area, theme, &title, &more);
    }
}

/// Draws all of it over the whole screen, from the line on that the user scrolled to.
pub fn draw_whole(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, scroll: Option<usize>) -> Reading {
    let chosen = state.packets.chosen_layer;
    let Some(Selected { title, lines, anchor }) = selected(state, theme, area.width.into(), chosen) else {
        draw_rule(frame, area, theme, "it is gone", "");
        return Reading::default();
    };
    let inside = draw_rule(frame, area, theme, &title, "");
    let height = usize::from(inside.height);
    let top = scroll.unwrap_or_else(|| from_anchor(anchor, height)).min(lines.len().saturating_sub(height));
    draw_lines(frame, inside, &lines, top);
    if lines.len() > height {
        let words = match lines.len().saturating_sub(top + height) {
            0 => format!("the end of {} lines", lines.len()),
            hidden => format!("{hidden} more below: j"),
        };
        draw_rule(frame, area, theme, &beside(&title, &words, area.width), &words);
    }
    Reading { top, height, length: lines.len() }
}

/// A title that leaves room for what stands at its right: that there is more is not to be seen from a text that ends.
fn beside(title: &str, right: &str, width: u16) -> String {
    cut(title, usize::from(width).saturating_sub(width_of(right) + 11))
}

/// Where a window begins that nobody scrolled: what matters is to be seen, with something before it.
fn from_anchor(anchor: usize, height: usize) -> usize {
    if anchor < height { 0 } else { anchor - height / 3 }
}

/// The selected row, drawn.
struct Selected {
    title: String,
    lines: Vec<Line<'static>>,
    /// The line that should be in sight.
    anchor: usize,
}

/// The selected row's title, and everything about it in lines of so many cells.
fn selected(state: &State, theme: &Theme, cells: usize, chosen: Option<usize>) -> Option<Selected> {
    let (title, lines) = match state.screen {
        Screen::Sas => {
            let row: SaRow<'_> = state.facts.sa_row(state.sas.selected()?)?;
            let reveal = state.reveals(&row.sa.id());
            (format!("SA {}", row.sa.id()), sa::facts(&row, reveal, state).lines(theme, cells))
        }
        Screen::Policies => {
            let policy = state.facts.spd.at(state.policies.selected()?)?;
            let facts = policy::facts(policy, state);
            (format!("Policy {}", policy.id()), facts.lines(theme, cells))
        }
        Screen::Packets => {
            let number = state.packets.feed.selected()?;
            let row = state.packet_row(number)?;
            let looked = state.look_into(&row);
            let marks = match (chosen, &state.packets.sought) {
                (Some(chosen), _) => Marks::of_layer(&row, &looked, chosen),
                (None, Some(text)) => Marks::of_text(&row, &looked, text.as_bytes()),
                (None, None) => Marks::default(),
            };
            let (lines, anchor) = packet::lines(&row, &looked, chosen, &marks, theme, cells);
            return Some(Selected { title: packet::title(number, &row, &state.clock), lines, anchor });
        }
        Screen::Events => {
            let entry = state.log.get(state.events.selected()?)?;
            let mut facts = Facts::default();
            facts.say("said", entry.text.clone());
            facts.say("by", entry.origin.word());
            facts.say("at", format!("{} {}", state.clock.date(entry.at_ms / 1000), entry.weight.word()));
            ("Event".to_owned(), facts.lines(theme, cells))
        }
    };
    Some(Selected { title, lines, anchor: 0 })
}
