//! A table of the rows that are in sight, whose least important columns go where there is no room.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{cut, put, width_of};
use crate::console::columns::Column;
use crate::console::theme::{Role, Theme};

/// One row in sight.
pub struct TableRow<Row> {
    /// What its columns speak of.
    pub row: Row,
    /// Whether keys go to it.
    pub selected: bool,
    /// A look for one column's cell that says what its word says.
    pub accent: Option<(usize, Role)>,
}

/// Draws the head and the rows; `sorted` is the column that they are sorted by, and whether backwards.
pub fn draw_table<Row, C: Column<Row>>(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    rows: &[TableRow<Row>],
    sorted: Option<(C, bool)>,
) {
    let titles: Vec<String> = C::ALL.iter().map(|column| title(*column, sorted)).collect();
    let texts: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| C::ALL.iter().map(|column| column.text(&row.row)).collect()).collect();
    let widths = widths::<Row, C>(&titles, &texts, usize::from(area.width));
    let (head, below) = (Rect { height: area.height.min(1), ..area }, area.y + 1..area.bottom());
    let cells = titles.iter().map(String::as_str);
    put(frame, head, 0, &line::<Row, C>(" ", cells, &widths), theme.style(Role::Header));
    for ((row, texts), y) in rows.iter().zip(&texts).zip(below) {
        let place = Rect { y, height: 1, ..area };
        let style = theme.style(if row.selected { Role::Selected } else { Role::Text });
        if row.selected {
            frame.buffer_mut().set_style(place, style);
        }
        let mark = if row.selected { ">" } else { " " };
        put(frame, place, 0, &line::<Row, C>(mark, texts.iter().map(AsRef::as_ref), &widths), style);
        if let Some((column, role)) = row.accent
            && let Some((start, width)) = start_of(&widths, column)
        {
            let text = cut(&texts[column], width);
            put(frame, place, start, &text, theme.style(role));
        }
    }
    if rows.is_empty() && area.height > 1 {
        let place = Rect { y: area.y + 1, height: 1, ..area };
        frame.render_widget(Line::styled("  nothing here", theme.style(Role::Muted)), place);
    }
}

fn title<Row, C: Column<Row>>(column: C, sorted: Option<(C, bool)>) -> String {
    match sorted {
        Some((by, backwards)) if by == column => format!("{}{}", column.title(), if backwards { "▼" } else { "▲" }),
        _ => column.title().to_owned(),
    }
}

/// The width of each column, 0 for those that are left out.
fn widths<Row, C: Column<Row>>(titles: &[String], texts: &[Vec<Cow<'_, str>>], room: usize) -> Vec<usize> {
    let natural = |place: usize, title: &String| {
        let cells = texts.iter().filter_map(|row| row.get(place)).map(|text| width_of(text));
        cells.chain([width_of(title)]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = titles.iter().enumerate().map(|(place, title)| natural(place, title)).collect();
    // A mark before the row, a blank behind each column.
    let total = |widths: &[usize]| 1 + widths.iter().filter(|w| **w > 0).map(|w| w + 1).sum::<usize>();
    let excess = |widths: &[usize]| total(widths).saturating_sub(room + 1);
    // First long texts are cut, the widest first; then columns go, the least important first; then all is cut.
    while excess(&widths) > 0 {
        let spare = |(place, column): (usize, &C)| {
            let over = widths[place].saturating_sub(column.least_width()?);
            (over > 0).then_some((over, place))
        };
        let Some((over, place)) = C::ALL.iter().enumerate().filter_map(spare).max() else {
            break;
        };
        widths[place] -= over.min(excess(&widths));
    }
    while excess(&widths) > 0 {
        let shown = C::ALL.iter().enumerate().filter(|(place, column)| widths[*place] > 0 && column.rank() > 0);
        let Some((place, _)) = shown.max_by_key(|(_, column)| column.rank()) else {
            break;
        };
        widths[place] = 0;
    }
    while excess(&widths) > 0 {
        let excess = excess(&widths);
        match widths.iter_mut().max() {
            Some(widest) if *widest > 4 => *widest = widest.saturating_sub(excess).max(4),
            _ => break,
        }
    }
    widths
}

fn start_of(widths: &[usize], column: usize) -> Option<(u16, usize)> {
    let width = *widths.get(column).filter(|width| **width > 0)?;
    let before: usize = widths.iter().take(column).filter(|w| **w > 0).map(|w| w + 1).sum();
    Some((u16::try_from(before + 1).ok()?, width))
}

fn line<'a, Row, C: Column<Row>>(mark: &str, cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = mark.to_owned();
    for ((text, width), column) in cells.zip(widths).zip(C::ALL) {
        if *width > 0 {
            let text = cut(text, *width);
            let blanks = " ".repeat(width - width_of(&text));
            line += &if column.is_number() { format!("{blanks}{text} ") } else { format!("{text}{blanks} ") };
        }
    }
    line
}
