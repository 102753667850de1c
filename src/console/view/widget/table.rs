//! A table of the rows that are in sight, whose least important columns go where there is no room.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::{cut, draw_words, put, width_of};
use crate::console::columns::{Column, Columns};
use crate::console::theme::{Role, Theme};

/// One row in sight.
pub struct TableRow<Row, C> {
    /// What its columns speak of.
    pub row: Row,
    /// Whether keys go to it.
    pub selected: bool,
    /// Whether it is marked.
    pub marked: bool,
    /// A look for one column's cell that says what its word says.
    pub accent: Option<(C, Role)>,
}

/// What a table shows of its rows.
pub struct TableHead<'a, C> {
    /// The columns, in their order.
    pub columns: &'a [C],
    /// The column that the rows are sorted by, and whether backwards.
    pub sorted: Option<(C, bool)>,
    /// Whether any row is marked, in sight or not.
    pub has_marks: bool,
    /// What stands below the titles where there are no rows.
    pub nothing: &'a str,
}

/// Draws the head and the rows. Tells whether the column that they are sorted by is in sight.
pub fn draw_table<Row, C: Column<Row>>(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    head: &TableHead<'_, C>,
    rows: &[TableRow<Row, C>],
) -> bool {
    let columns = head.columns;
    let titles: Vec<String> = columns.iter().map(|column| title(*column, head.sorted)).collect();
    let texts: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| columns.iter().map(|column| column.text(&row.row)).collect()).collect();
    // A sign for the selected row, one for the marked ones.
    let signs = 1 + usize::from(head.has_marks);
    let widths = widths(columns, &titles, &texts, usize::from(area.width).saturating_sub(signs));
    let (first, below) = (Rect { height: area.height.min(1), ..area }, area.y + 1..area.bottom());
    let cells = titles.iter().map(String::as_str);
    put(frame, first, 0, &line(&" ".repeat(signs), columns, cells, &widths), theme.style(Role::Header));
    for ((row, texts), y) in rows.iter().zip(&texts).zip(below) {
        let place = Rect { y, height: 1, ..area };
        let style = theme.style(if row.selected { Role::Selected } else { Role::Text });
        if row.selected {
            frame.buffer_mut().set_style(place, style);
        }
        let sign = format!("{}{}", if row.selected { '>' } else { ' ' }, if row.marked { '*' } else { ' ' });
        let sign: String = sign.chars().take(signs).collect();
        put(frame, place, 0, &line(&sign, columns, texts.iter().map(AsRef::as_ref), &widths), style);
        if let Some((column, role)) = row.accent
            && let Some(column) = columns.iter().position(|other| *other == column)
            && let Some((start, width)) = start_of(&widths, column, signs)
        {
            let text = cut(&texts[column], width);
            put(frame, place, start, &text, theme.style(role));
        }
    }
    if rows.is_empty() {
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        draw_words(frame, below, head.nothing, theme.style(Role::Muted));
    }
    let sorted = head.sorted.and_then(|(by, _)| columns.iter().position(|column| *column == by));
    head.sorted.is_none() || sorted.is_some_and(|place| widths.get(place).is_some_and(|width| *width > 0))
}

/// A column's head, with an arrow where the rows are sorted by it.
pub fn title<C: Columns>(column: C, sorted: Option<(C, bool)>) -> String {
    match sorted {
        Some((by, backwards)) if by == column => {
            format!("{}{}", column.about().title, if backwards { "▼" } else { "▲" })
        }
        _ => column.about().title.to_owned(),
    }
}

/// The width of each column, 0 for those that are left out.
fn widths<C: Columns>(columns: &[C], titles: &[String], texts: &[Vec<Cow<'_, str>>], room: usize) -> Vec<usize> {
    let natural = |place: usize, title: &String| {
        let cells = texts.iter().filter_map(|row| row.get(place)).map(|text| width_of(text));
        cells.chain([width_of(title)]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = titles.iter().enumerate().map(|(place, title)| natural(place, title)).collect();
    // A blank behind each column.
    let total = |widths: &[usize]| widths.iter().filter(|w| **w > 0).map(|w| w + 1).sum::<usize>();
    let excess = |widths: &[usize]| total(widths).saturating_sub(room + 1);
    // First long texts are cut, the widest first; then columns go, the least important first; then all is cut.
    while excess(&widths) > 0 {
        let spare = |(place, column): (usize, &C)| {
            let over = widths[place].saturating_sub(column.about().least_width?);
            (over > 0).then_some((over, place))
        };
        let Some((over, place)) = columns.iter().enumerate().filter_map(spare).max() else {
            break;
        };
        widths[place] -= over.min(excess(&widths));
    }
    while excess(&widths) > 0 {
        let shown = columns.iter().enumerate().filter(|(place, column)| widths[*place] > 0 && column.about().rank > 0);
        let Some((place, _)) = shown.max_by_key(|(_, column)| column.about().rank) else {
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

fn start_of(widths: &[usize], column: usize, signs: usize) -> Option<(u16, usize)> {
    let width = *widths.get(column).filter(|width| **width > 0)?;
    let before: usize = widths.iter().take(column).filter(|w| **w > 0).map(|w| w + 1).sum();
    Some((u16::try_from(before + signs).ok()?, width))
}

fn line<'a, C: Columns>(signs: &str, columns: &[C], cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut line = signs.to_owned();
    for ((text, width), column) in cells.zip(widths).zip(columns) {
        if *width > 0 {
            let text = cut(text, *width);
            let blanks = " ".repeat(width - width_of(&text));
            line += &if column.about().is_number { format!("{blanks}{text} ") } else { format!("{text}{blanks} ") };
        }
    }
    line
}
