//! The screen of policies.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::widget::{TableRow, draw_table};
use super::{detail, draw_rule, split};
use crate::console::columns::PolicyColumn;
use crate::console::state::{State, defaults_words};
use crate::console::theme::Theme;
use crate::model::Policy;

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (table, below) = split(area);
    let place = format!("{} of {}", state.policies.place(), state.policies.len());
    let table = draw_rule(frame, table, theme, &title(state), &place);
    let room = usize::from(table.height.saturating_sub(1));
    let (slots, selected) = state.policies.window(room);
    let rows: Vec<TableRow<Policy>> = slots
        .iter()
        .enumerate()
        .filter_map(|(place, slot)| {
            let row = state.facts.spd.at(*slot)?.clone();
            Some(TableRow { row, selected: Some(place) == selected, accent: None })
        })
        .collect();
    draw_table(frame, table, theme, &rows, Some(state.policies.sorting()));
    detail::draw_selected(frame, below, state, theme);
    room
}

fn title(state: &State) -> String {
    let all = state.facts.spd.len();
    let count = match state.policies.typed_filter() {
        "" => format!("Policies {all}"),
        filter => format!("Policies {} of {all} with: {filter}", state.policies.len()),
    };
    let order = match state.policies.sorting() {
        (PolicyColumn::Direction, false) => ", in the kernel's order",
        _ => "",
    };
    match state.facts.defaults {
        Some(defaults) => format!("{count}{order}; else {}", defaults_words(defaults)),
        None => format!("{count}{order}"),
    }
}
