//! What the console looks like. Every function gets the state and the theme, draws, and remembers nothing.
//!
//! ```text
//! ┌──────────────────────────────────────────────────────────────┐
//! │ head: program, host, the four screens, what is wrong         │ head
//! │ banner: what is missing, only while something is             │ head
//! │── title of the table ──────────────────────────── 1 of 4 ────│ sas, policies, packets, events
//! │ the table                                                    │
//! │── the selected row ──────────────────────────────────────────│ detail
//! │ everything about it                                          │
//! │ notice, or the line being typed                              │ foot
//! │ the keys that matter here                                    │ foot
//! └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! On wide terminals the selected row stands at the right of the table. Help, forms and questions are drawn over it
//! all. Below [`LEAST_WIDTH`] by [`LEAST_HEIGHT`] nothing but a request for room is drawn, and keys do nothing but
//! leave: nobody must answer a question that cannot be seen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use self::widget::{TableHead, TableRow, draw_table};
use super::columns::Column;
use super::state::{Drawn, Layer, Screen, State};
use super::theme::{Role, Theme};

mod check;
mod columns;
mod detail;
mod events;
mod foot;
mod form;
mod head;
mod help;
mod packets;
mod policies;
mod proposal;
mod question;
mod sas;
pub mod widget;

/// The narrowest window that is drawn in.
pub const LEAST_WIDTH: u16 = 40;
/// The lowest window that is drawn in.
pub const LEAST_HEIGHT: u16 = 10;
/// From this width on, the selected row stands at the right of the table.
const WIDE: u16 = 160;

/// Draws everything. Returns the sizes that movements by pages need.
pub fn draw(frame: &mut Frame<'_>, state: &State, theme: &Theme) -> Drawn {
    let area = frame.area();
    frame.buffer_mut().set_style(area, theme.style(Role::Text));
    if area.width < LEAST_WIDTH || area.height < LEAST_HEIGHT {
        let text = format!("{LEAST_WIDTH}x{LEAST_HEIGHT} at least");
        frame.render_widget(Paragraph::new(text), area);
        return Drawn::default();
    }
    let banner = head::banner_height(state, area.width);
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1 + banner), Constraint::Min(0), Constraint::Length(2)]).areas(area);
    head::draw(frame, head, state, theme);
    let mut drawn = Drawn { usable: true, ..Drawn::default() };
    if let Some(Layer::Whole { scroll }) = state.layers.iter().find(|layer| matches!(layer, Layer::Whole { .. })) {
        drawn.reading = detail::draw_whole(frame, middle, state, theme, *scroll);
    } else {
        drawn.rows = draw_screen(frame, middle, state, theme);
    }
    // A line is typed at the foot, and hides nothing.
    match state.layers.iter().rev().find(|layer| !matches!(layer, Layer::Line(_))) {
        Some(Layer::Help { scroll, contexts }) => {
            drawn.reading = help::draw(frame, middle, state, theme, contexts, *scroll);
        }
        Some(Layer::Question(question)) => drawn.reading = question::draw(frame, middle, state, theme, question),
        Some(Layer::Form(form)) => form::draw(frame, middle, state, theme, form),
        Some(Layer::Proposal(proposal)) => drawn.reading = proposal::draw(frame, middle, state, theme, proposal),
        Some(Layer::Columns(choice)) => drawn.reading = columns::draw(frame, middle, theme, choice),
        Some(Layer::Choice(choice)) => widget::draw_choice(frame, middle, theme, choice),
        Some(Layer::Peers { selected }) => drawn.reading = check::draw_peers(frame, middle, state, theme, *selected),
        Some(Layer::Check(checking)) => drawn.reading = check::draw(frame, middle, state, theme, checking),
        Some(Layer::Whole { .. } | Layer::Line(_)) | None => {}
    }
    foot::draw(frame, foot, state, theme);
    drawn
}

/// Draws the open screen; returns how many rows its table has room for.
fn draw_screen(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) -> usize {
    match state.screen {
        Screen::Sas => sas::draw(frame, area, state, theme),
        Screen::Policies => policies::draw(frame, area, state, theme),
        Screen::Packets => packets::draw(frame, area, state, theme),
        Screen::Events => events::draw(frame, area, state, theme),
    }
}

/// Divides a screen into its table and its selected row; the latter is empty where there is no room for it.
fn split(area: Rect) -> (Rect, Rect) {
    if area.width >= WIDE {
        let [table, detail] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(1)]).spacing(1).areas(area);
        return (table, detail);
    }
    let detail_height = match area.height {
        0..14 => 0,
        height => (height / 2).clamp(8, 16),
    };
    let [table, detail] = Layout::vertical([Constraint::Min(0), Constraint::Length(detail_height)]).areas(area);
    (table, detail)
}

/// Draws a sorted table below a rule with its title, and at the right how far down it is. Where the column that it is
/// sorted by is not in sight, the rule names it.
fn draw_list<Row, C: Column<Row>>(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    (title, place): (&str, &str),
    head: &TableHead<'_, C>,
    rows: &[TableRow<Row, C>],
) {
    let table = draw_rule(frame, area, theme, title, place);
    if !draw_table(frame, table, theme, head, rows)
        && let Some((by, _)) = head.sorted
    {
        draw_rule(frame, area, theme, title, &format!("by {}, {place}", widget::title(by, head.sorted)));
    }
}

/// Why a list of what the kernel has, as "SAs", shows nothing, and which keys change that.
fn nothing_words(state: &State, what: &str, in_kernel: usize) -> String {
    if state.facts.silent.is_some() && !state.facts.read_once {
        format!("The kernel's {what} cannot be read.")
    } else if in_kernel > 0 {
        format!("None of {in_kernel} {what} fits the filter. Esc takes it away.")
    } else if state.setting.read_only {
        format!("The kernel has no {what}.")
    } else {
        format!("The kernel has no {what}. a adds one; A makes all that two hosts need to protect their traffic.")
    }
}

/// How many rows are marked, for a title.
fn marked_words(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {count} marked") }
}

/// A line with a title at its left and a word at its right: the head of a part of the screen. Returns what is below.
fn draw_rule(frame: &mut Frame<'_>, area: Rect, theme: &Theme, title: &str, right: &str) -> Rect {
    let [rule, below] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let width = usize::from(rule.width);
    frame.render_widget(Line::styled("─".repeat(width), theme.style(Role::Border)), rule);
    let shown = widget::cut(title, width.saturating_sub(4));
    let title_width = widget::width_of(&shown);
    widget::put(frame, rule, 2, &format!(" {shown} "), theme.style(Role::Title));
    let right_width = widget::width_of(right);
    if !right.is_empty() && title_width + right_width + 10 < width {
        let column = u16::try_from(width - right_width - 4).unwrap_or(0);
        widget::put(frame, rule, column, &format!(" {right} "), theme.style(Role::Muted));
    }
    below
}
