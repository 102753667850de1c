//! The columns of a table, to choose from.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::widget::{draw_lines, draw_popup};
use crate::console::state::Reading;
use crate::console::state::column_choice::ColumnChoice;
use crate::console::theme::{Role, Theme};

/// As wide as the longest row.
const WIDTH: u16 = 78;

/// Draws it at the lower edge, so that the head of the table stays in sight.
pub fn draw(frame: &mut Frame<'_>, area: Rect, theme: &Theme, choice: &ColumnChoice) -> Reading {
    let height = u16::try_from(choice.rows.len() + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(5).max(3));
    let place = Rect { y: area.bottom().saturating_sub(height), height: height.min(area.height), ..area };
    let inside = draw_popup(frame, place, theme, "Columns, from left to right", WIDTH, height);
    let lines: Vec<Line<'_>> = choice
        .rows
        .iter()
        .enumerate()
        .map(|(row, (about, shown))| {
            let is_here = row == choice.cursor;
            let style = theme.style(if is_here { Role::Selected } else { Role::Text });
            let help = if is_here { style } else { theme.style(Role::Muted) };
            let (sign, check) = (if is_here { '>' } else { ' ' }, if *shown { 'x' } else { ' ' });
            let words = format!("{sign} [{check}] {:<12} {:<12} ", about.name, about.title);
            Line::from(vec![Span::styled(words, style), Span::styled(about.help, help)])
        })
        .collect();
    let room = usize::from(inside.height);
    let top = (choice.cursor + 1).saturating_sub(room);
    draw_lines(frame, inside, &lines, top);
    Reading { top, height: room, length: lines.len() }
}
