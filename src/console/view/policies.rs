//! The screen of policies.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::widget::{TableHead, TableRow};
use super::{detail, draw_list, marked_words, nothing_words, split};
use crate::console::columns::{PolicyColumn, PolicyRow};
use crate::console::state::{State, defaults_words};
use crate::console::theme::Theme;

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (table, below) = split(area);
    let policies = &state.policies;
    let room = usize::from(table.height.saturating_sub(2));
    let (slots, selected) = policies.window(room);
    let rows: Vec<TableRow<PolicyRow<'_>, PolicyColumn>> = slots
        .iter()
        .enumerate()
        .filter_map(|(place, slot)| {
            let row = state.facts.policy_row(*slot)?;
            let marked = policies.marked().contains(&row.policy.id());
            Some(TableRow { row, selected: Some(place) == selected, marked, accent: None })
        })
        .collect();
    let (sorted, has_marks) = (Some(policies.sorting()), !policies.marked().is_empty());
    let nothing = nothing_words(state, "policies", state.facts.spd.len());
    let head = TableHead { columns: policies.shown(), sorted, has_marks, nothing: &nothing };
    let place = format!("{} of {}", policies.place(), policies.len());
    draw_list(frame, table, theme, (&title(state), &place), &head, &rows);
    detail::draw_selected(frame, below, state, theme);
    room
}

fn title(state: &State) -> String {
    let all = state.facts.spd.len();
    let marked = marked_words(state.policies.marked().len());
    let count = match state.policies.typed_filter() {
        "" => format!("Policies {all}{marked}"),
        filter => format!("Policies {} of {all}{marked} with: {filter}", state.policies.count_words()),
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
