//! Parts that several screens draw.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::console::state::{Choice, Reading};
use crate::console::theme::{Role, Theme};

mod table;

pub use table::{TableHead, TableRow, draw_table, title};

/// How many cells a text takes.
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// The text, cut to so many cells; a cut is shown.
pub fn cut(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut left = cells.saturating_sub(1);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        shown.push(c);
    }
    if cells > 0 {
        shown.push('…');
    }
    shown
}

/// The text broken into lines of at most so many cells, at blanks where there are any.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let joint = usize::from(!line.is_empty());
        if !line.is_empty() && line.width() + joint + word.width() > cells {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if !line.is_empty() && line.width() + c.width().unwrap_or(0) > cells {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

/// Writes text into the first line of an area, from a column on, cut at the area's edge.
pub fn put(frame: &mut Frame<'_>, area: Rect, column: u16, text: &str, style: Style) {
    let room = area.width.saturating_sub(column);
    if room > 0 && area.height > 0 {
        frame.buffer_mut().set_stringn(area.x + column, area.y, text, room.into(), style);
    }
}

/// Writes what stands in the place of a list, in as many lines as it needs.
pub fn draw_words(frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
    let lines = wrap(text, usize::from(area.width.saturating_sub(3)));
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        put(frame, Rect { y, height: 1, ..area }, 2, line, style);
    }
}

/// An empty frame of this size in the middle of an area. Returns its inside.
pub fn draw_popup(frame: &mut Frame<'_>, area: Rect, theme: &Theme, title: &str, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let popup = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let title = Line::styled(format!(" {title} "), theme.style(Role::Title));
    let block = Block::bordered().border_style(theme.style(Role::Border)).title(title);
    let inside = block.inner(popup);
    frame.render_widget(Clear, popup);
    frame.buffer_mut().set_style(popup, theme.style(Role::Text));
    frame.render_widget(block, popup);
    inside.inner(ratatui::layout::Margin { horizontal: 1, vertical: 0 })
}

/// Lines from `scroll` on. Returns how many there was room for.
pub fn draw_lines(frame: &mut Frame<'_>, area: Rect, lines: &[Line<'_>], scroll: usize) -> usize {
    let room = usize::from(area.height);
    let scroll = scroll.min(lines.len().saturating_sub(room));
    for (row, line) in (area.y..area.bottom()).zip(lines.iter().skip(scroll)) {
        frame.buffer_mut().set_line(area.x, row, line, area.width);
    }
    room
}

/// Says on the border below the `inside` of a popup how many lines of a text are out of sight there, and the key that
/// brings them.
pub fn draw_more(
    frame: &mut Frame<'_>,
    inside: Rect,
    theme: &Theme,
    Reading { top, height, length }: Reading,
    key: &str,
) {
    let hidden = length.saturating_sub(top.min(length.saturating_sub(height)) + height);
    if hidden > 0 {
        let below = Rect { y: inside.bottom(), height: 1, ..inside };
        put(frame, below, 0, &format!(" {hidden} more below: {key} "), theme.style(Role::Caution));
    }
}

/// What is typed, with the cursor; scrolled so that the cursor is seen.
pub fn draw_input(frame: &mut Frame<'_>, area: Rect, text: &str, cursor_chars: usize, style: Style) {
    let room = usize::from(area.width);
    if room == 0 || area.height == 0 {
        return;
    }
    let before: usize = text.chars().take(cursor_chars).map(|c| c.width().unwrap_or(0)).sum();
    let mut hidden = 0;
    let mut shown = text;
    while before - hidden >= room {
        let mut chars = shown.chars();
        hidden += chars.next().and_then(UnicodeWidthChar::width).unwrap_or(0);
        shown = chars.as_str();
    }
    put(frame, area, 0, shown, style);
    let column = u16::try_from(before - hidden).unwrap_or(0);
    frame.set_cursor_position(Position { x: area.x + column, y: area.y });
}

/// A list to choose from.
pub fn draw_choice(frame: &mut Frame<'_>, area: Rect, theme: &Theme, choice: &Choice) {
    let widest = choice.options.iter().map(|(value, about)| width_of(value) + width_of(about) + 4).max().unwrap_or(0);
    let width = u16::try_from(widest.max(width_of(&choice.title) + 2) + 4).unwrap_or(u16::MAX);
    let height = u16::try_from(choice.options.len() + 2).unwrap_or(u16::MAX);
    let inside = draw_popup(frame, area, theme, &choice.title, width, height);
    let lines: Vec<Line<'_>> = choice
        .options
        .iter()
        .enumerate()
        .map(|(place, (value, about))| {
            let chosen = place == choice.cursor;
            let mark = if chosen { "> " } else { "  " };
            let style = theme.style(if chosen { Role::Selected } else { Role::Text });
            let about_style = if chosen { style } else { theme.style(Role::Muted) };
            Line::from(vec![Span::styled(format!("{mark}{value}  "), style), Span::styled(about.as_str(), about_style)])
        })
        .collect();
    let scroll = (choice.cursor + 1).saturating_sub(inside.height.into());
    let height = draw_lines(frame, inside, &lines, scroll);
    draw_more(frame, inside, theme, Reading { top: scroll, height, length: lines.len() }, "j");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_cells_and_shows_that_it_cut() {
        assert_eq!(cut("10.9.0.1", 8), "10.9.0.1");
        assert_eq!(cut("10.9.0.1", 5), "10.9…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!((cut("abc", 1), cut("abc", 0)), ("…".to_owned(), String::new()));
    }

    #[test]
    fn wrapping_breaks_at_blanks_and_splits_what_is_too_long() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }
}
