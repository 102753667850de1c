//! The screen of events.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::widget::{cut, draw_lines, draw_words, width_of};
use super::{detail, draw_rule, split};
use crate::console::state::State;
use crate::console::state::log::{Entry, Weight};
use crate::console::theme::{Role, Theme};

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (list, below) = split(area);
    let following = if state.events.is_following() { "following" } else { "not following" };
    let list = draw_rule(frame, list, theme, &title(state), following);
    let room = usize::from(list.height);
    let (numbers, selected) = state.events.window(room);
    let entries: Vec<&Entry> = numbers.filter_map(|number| state.log.get(number)).collect();
    let lines: Vec<Line<'_>> = entries
        .into_iter()
        .enumerate()
        .map(|(place, entry)| line(entry, Some(place) == selected, state, theme, usize::from(list.width)))
        .collect();
    draw_lines(frame, list, &lines, 0);
    if lines.is_empty() && !state.events.filter().is_empty() {
        draw_words(frame, list, "No event fits the filter. Esc takes it away.", theme.style(Role::Muted));
    }
    detail::draw_selected(frame, below, state, theme);
    room
}

fn title(state: &State) -> String {
    let all = state.log.len();
    let mut title = match state.events.filter() {
        "" => format!("Events {all}"),
        filter => format!("Events {} of {all} with: {filter}", state.events.len()),
    };
    if state.watches_nothing() {
        title += "; packets are NOT WATCHED: 3 or :watch begins";
    }
    if state.log.forgotten() > 0 {
        title += &format!(", {} older ones forgotten", state.log.forgotten());
    }
    title
}

fn line<'a>(entry: &'a Entry, selected: bool, state: &State, theme: &Theme, width: usize) -> Line<'a> {
    let row = if selected { Some(theme.style(Role::Selected)) } else { None };
    let style = |role| row.unwrap_or_else(|| theme.style(role));
    let mark = if selected { ">" } else { " " };
    let time = format!("{mark}{} ", state.clock.time_of_day(entry.at_ms));
    let origin = format!("{:<8}", entry.origin.word());
    let weight = if entry.weight == Weight::Note { String::new() } else { format!("{} ", entry.weight.word()) };
    let left = width.saturating_sub(width_of(&time) + width_of(&origin) + width_of(&weight));
    let weight_role = if entry.weight == Weight::Alarm { Role::Alarm } else { Role::Caution };
    let text = cut(&entry.text, left);
    let padding = " ".repeat(left.saturating_sub(width_of(&text)));
    Line::from(vec![
        Span::styled(time, style(Role::Muted)),
        Span::styled(origin, style(Role::Muted)),
        Span::styled(weight, theme.style(weight_role)),
        Span::styled(text, style(Role::Text)),
        Span::styled(padding, style(Role::Text)),
    ])
}
