//! The screen of SAs.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::widget::{TableRow, draw_table};
use super::{detail, draw_rule, split};
use crate::console::columns::{Column, SaColumn, SaRow};
use crate::console::state::State;
use crate::console::theme::{Role, Theme};
use crate::model::lifetime::Nearness;

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (table, below) = split(area);
    let place = format!("{} of {}", state.sas.place(), state.sas.len());
    let table = draw_rule(frame, table, theme, &title(state), &place);
    let room = usize::from(table.height.saturating_sub(1));
    let (slots, selected) = state.sas.window(room);
    let rows: Vec<TableRow<SaRow<'_>>> = slots
        .iter()
        .enumerate()
        .filter_map(|(place, slot)| {
            let row = state.facts.sa_row(*slot)?;
            let accent = accent(&row);
            Some(TableRow { row, selected: Some(place) == selected, accent })
        })
        .collect();
    draw_table(frame, table, theme, &rows, Some(state.sas.sorting()));
    detail::draw_selected(frame, below, state, theme);
    room
}

fn title(state: &State) -> String {
    if state.facts.silent.is_some() && !state.facts.read_once {
        return "SAs: cannot be read".to_owned();
    }
    let all = state.facts.sad.len();
    match state.sas.typed_filter() {
        "" => format!("SAs {all}"),
        filter => format!("SAs {} of {all} with: {filter}", state.sas.len()),
    }
}

fn accent(row: &SaRow<'_>) -> Option<(usize, Role)> {
    let column = <SaColumn as Column<SaRow<'_>>>::ALL.iter().position(|column| *column == SaColumn::State)?;
    let role = match (row.nearness(), row.sa.errors.total()) {
        (Nearness::Over, _) => Role::Alarm,
        (Nearness::Near, _) | (_, 1..) => Role::Caution,
        (Nearness::Far, 0) if row.sa.is_larval() => Role::Muted,
        (Nearness::Far, 0) => return None,
    };
    Some((column, role))
}
