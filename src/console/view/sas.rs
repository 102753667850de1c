//! The screen of SAs.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::widget::{TableHead, TableRow};
use super::{detail, draw_list, marked_words, nothing_words, split};
use crate::console::columns::{SaColumn, SaRow};
use crate::console::state::State;
use crate::console::theme::{Role, Theme};
use crate::model::lifetime::Nearness;

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (table, below) = split(area);
    let sas = &state.sas;
    let room = usize::from(table.height.saturating_sub(2));
    let (slots, selected) = sas.window(room);
    let rows: Vec<TableRow<SaRow<'_>, SaColumn>> = slots
        .iter()
        .enumerate()
        .filter_map(|(place, slot)| {
            let row = state.facts.sa_row(*slot)?;
            let (marked, accent) = (sas.marked().contains(&row.sa.id()), accent(&row));
            Some(TableRow { row, selected: Some(place) == selected, marked, accent })
        })
        .collect();
    let nothing = nothing_words(state, "SAs", state.facts.sad.len());
    let (sorted, has_marks) = (Some(sas.sorting()), !sas.marked().is_empty());
    let head = TableHead { columns: sas.shown(), sorted, has_marks, nothing: &nothing };
    draw_list(frame, table, theme, (&title(state), &format!("{} of {}", sas.place(), sas.len())), &head, &rows);
    detail::draw_selected(frame, below, state, theme);
    room
}

fn title(state: &State) -> String {
    if state.facts.silent.is_some() && !state.facts.read_once {
        return "SAs: cannot be read".to_owned();
    }
    let all = state.facts.sad.len();
    let marked = marked_words(state.sas.marked().len());
    match state.sas.typed_filter() {
        "" => format!("SAs {all}{marked}"),
        filter => format!("SAs {} of {all}{marked} with: {filter}", state.sas.count_words()),
    }
}

fn accent(row: &SaRow<'_>) -> Option<(SaColumn, Role)> {
    let role = match (row.nearness(), row.sa.errors.total()) {
        (Nearness::Over, _) => Role::Alarm,
        (Nearness::Near, _) | (_, 1..) => Role::Caution,
        (Nearness::Far, 0) if row.sa.is_larval() => Role::Muted,
        (Nearness::Far, 0) => return None,
    };
    Some((SaColumn::State, role))
}
