//! The screen of packets.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::detail::bytes::row_width;
use super::widget::{TableHead, TableRow, draw_table, draw_words};
use super::{detail, draw_rule, split};
use crate::console::columns::PacketColumn;
use crate::console::state::State;
use crate::console::state::packets::{CaptureState, PacketRow};
use crate::console::theme::{Role, Theme};
use crate::evidence::Verdict;
use crate::model::text::quantity;

/// What the list takes with all its columns.
const LIST_WIDTH: u16 = 120;
/// What it needs at least for bytes to stand beside it.
const LEAST_LIST_WIDTH: u16 = 80;

/// Draws it; returns how many rows there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    let (list, below) = split_for_bytes(area);
    let (mode, _) = mode(state);
    let list = draw_rule(frame, list, theme, &title(state), mode);
    let room = usize::from(list.height.saturating_sub(1));
    let packets = &state.packets;
    let (numbers, selected) = packets.feed.window(room);
    let rows: Vec<TableRow<PacketRow<'_>, PacketColumn>> = numbers
        .enumerate()
        .filter_map(|(place, number)| {
            let row = state.packet_row(number)?;
            let accent = Some(accent(&row));
            let marked = row.is_marked;
            Some(TableRow { row, selected: Some(place) == selected, marked, accent })
        })
        .collect();
    if rows.is_empty() {
        draw_nothing(frame, list, state, theme);
    } else {
        let has_marks = !packets.marked.is_empty();
        let head = TableHead { columns: &packets.columns, sorted: None, has_marks, nothing: "" };
        draw_table(frame, list, theme, &head, &rows);
    }
    detail::draw_selected(frame, below, state, theme);
    room
}

/// Divides the screen: where there is room for both, wire and decrypted bytes stand in two columns beside the list.
fn split_for_bytes(area: Rect) -> (Rect, Rect) {
    let two_columns = |in_a_row| u16::try_from(2 * row_width(in_a_row)).unwrap_or(u16::MAX);
    let [narrow, wide] = [8, 16].map(two_columns);
    let bytes = match area.width {
        width if width >= wide + LIST_WIDTH => wide,
        width if width >= narrow + LEAST_LIST_WIDTH => narrow,
        _ => return split(area),
    };
    let [list, bytes] = Layout::horizontal([Constraint::Min(0), Constraint::Length(bytes)]).spacing(1).areas(area);
    (list, bytes)
}

fn title(state: &State) -> String {
    let packets = &state.packets;
    let place = match &packets.capture {
        CaptureState::Running(name) => format!(" on {name}"),
        CaptureState::Down(name) => format!(" on {name}, which is DOWN"),
        CaptureState::Idle | CaptureState::Starting | CaptureState::Failed(_) => String::new(),
    };
    let place = match &packets.only {
        Some((words, _)) => format!("{place}, plain ones only with: {words}"),
        None => place,
    };
    let (all, shown) = (packets.ring.len(), packets.feed.len());
    let filter = packets.feed.filter();
    let listed = match (packets.came_meanwhile(), filter.is_empty()) {
        (None, true) => format!("Packets {all}"),
        (Some(_), true) => format!("Packets {shown}"),
        (_, false) => format!("Packets {shown} of {all}"),
    };
    let frozen = packets.came_meanwhile().map(|count| format!("FROZEN, {} since: ", quantity(count)));
    let mut title = format!("{}{listed}{place}", frozen.as_deref().unwrap_or_default());
    // The sums are of all packets that came, also where others are listed.
    let is_part = frozen.is_some() || !filter.is_empty() || packets.ring.forgotten() > 0;
    let sums = packets.judge.totals.all.words(quantity);
    if !sums.is_empty() {
        title += if is_part { "; in all " } else { ", " };
        title += &sums;
    }
    if let Some(recording) = &packets.recording {
        title += &format!(", RECORDING {} in {}", quantity(recording.written), recording.path);
    }
    if packets.dropped > 0 {
        title += &format!(", {} DROPPED by capture", quantity(packets.dropped));
    }
    if packets.ring.forgotten() > 0 {
        title += &format!(", {} older forgotten", quantity(packets.ring.forgotten()));
    }
    // The user's own words come last: where there is no room they are what can be missed.
    if let Some(text) = &packets.sought {
        title += &format!(", marking {text:?}");
    }
    if !filter.is_empty() {
        title += &format!(", with: {filter}");
    }
    title
}

fn mode(state: &State) -> (&'static str, Role) {
    match (state.packets.feed.frozen_at(), state.packets.feed.is_following()) {
        (Some(_), _) => ("frozen", Role::Caution),
        (None, true) => ("following", Role::Muted),
        (None, false) => ("not following", Role::Muted),
    }
}

/// Why the list is empty.
fn draw_nothing(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (text, role) = match &state.packets.capture {
        CaptureState::Failed(reason) => (format!("No packets: {reason}."), Role::Caution),
        CaptureState::Idle | CaptureState::Starting => ("The capture begins...".to_owned(), Role::Muted),
        CaptureState::Down(name) => (format!("Interface {name} is down or gone."), Role::Caution),
        _ if state.packets.came_meanwhile().is_some_and(|count| count > 0) => {
            ("What was shown is forgotten by now, or does not fit the filter. Space goes on.".to_owned(), Role::Muted)
        }
        CaptureState::Running(_) if !state.packets.ring.is_empty() => {
            ("No packet fits the filter. Esc takes it away.".to_owned(), Role::Muted)
        }
        CaptureState::Running(name) => (format!("No packet has crossed {name} yet."), Role::Muted),
    };
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    draw_words(frame, below, &text, theme.style(role));
}

fn accent(row: &PacketRow<'_>) -> (PacketColumn, Role) {
    let verdict = row.evidence.verdict;
    let role = match verdict {
        _ if verdict.is_alarm() => Role::Alarm,
        _ if verdict.is_protected() => Role::Good,
        Verdict::Clear | Verdict::Copy | Verdict::Ike | Verdict::Part | Verdict::Other => Role::Muted,
        _ => Role::Caution,
    };
    (PacketColumn::Verdict, role)
}
