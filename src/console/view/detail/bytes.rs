//! The bytes of a frame, and beside them what they say after decryption; those of one layer can be marked in both.

use std::ops::Range;

use ratatui::text::{Line, Span};

use crate::console::state::packets::{PacketRow, layers};
use crate::console::theme::{Role, Theme};
use crate::evidence::Looked;
use crate::packet::filter::places_of;
use crate::packet::hexdump;

/// The bytes to be marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::console::view) struct Marks {
    wire: Vec<Range<usize>>,
    /// Which of the decrypted payloads is shown, and the bytes of it; the innermost, if none is said.
    inside: Option<(usize, Vec<Range<usize>>)>,
}

impl Marks {
    /// The bytes of a layer, counted from the outermost on the wire to the innermost that could be decrypted: where they
    /// stand in clear, and those of the wire that hide them.
    pub(super) fn of_layer(row: &PacketRow<'_>, looked: &Looked, place: usize) -> Self {
        let Some((inside, layer)) = layers(&row.dissection, looked).nth(place) else {
            return Self::default();
        };
        if let Some(inside) = inside {
            return Self::inside(looked, inside, vec![layer.range()]);
        }
        let mut insides = looked.insides.iter().enumerate();
        let opened = insides.find(|(_, inside)| inside.within.is_none() && inside.outer == layer.range());
        let whole = |length| std::iter::once(0..length).collect();
        Self { wire: vec![layer.range()], inside: opened.map(|(at, inside)| (at, whole(inside.plaintext.len()))) }
    }

    /// A text wherever it stands: on the wire, and in the outermost payload that has it.
    pub(in crate::console::view) fn of_text(row: &PacketRow<'_>, looked: &Looked, text: &[u8]) -> Self {
        let found = looked.insides.iter().map(|inside| places_of(&inside.plaintext, text).collect::<Vec<_>>());
        let inside = found.enumerate().find(|(_, places)| !places.is_empty());
        let mut marks = inside.map_or_else(Self::default, |(inside, places)| Self::inside(looked, inside, places));
        marks.wire.extend(places_of(&row.frame.bytes, text));
        marks
    }

    fn inside(looked: &Looked, inside: usize, places: Vec<Range<usize>>) -> Self {
        Self {
            wire: places.iter().filter_map(|bytes| looked.on_wire(inside, bytes)).collect(),
            inside: Some((inside, places)),
        }
    }
}

/// Bytes, drawn.
pub(in crate::console::view) struct Bytes {
    /// Offset, hex and ASCII in each.
    pub(in crate::console::view) lines: Vec<Line<'static>>,
    /// The first line with a marked byte; one of the wire, where what was decrypted stands below.
    pub(in crate::console::view) first_marked: Option<usize>,
}

/// The bytes of the wire, and beside them, where there is room, those that could be decrypted. Where there is no room
/// they follow below.
pub(in crate::console::view) fn draw(
    wire: &[u8],
    looked: &Looked,
    marks: &Marks,
    theme: &Theme,
    cells: usize,
) -> Bytes {
    let first = marks.wire.iter().map(|bytes| bytes.start).min();
    let line_of = |in_a_row: usize, heads: usize| first.map(|first| first / in_a_row + heads);
    let shown = marks.inside.as_ref().map_or(looked.insides.len().saturating_sub(1), |(inside, _)| *inside);
    let Some(inside) = looked.insides.get(shown) else {
        let in_a_row = if cells >= row_width(16) { 16 } else { 8 };
        return Bytes { lines: column(wire, in_a_row, &marks.wire, theme), first_marked: line_of(in_a_row, 0) };
    };
    let head = |text: &str| Line::styled(format!(" {text}"), theme.style(Role::Header));
    let in_a_row = if cells >= 2 * row_width(16) { 16 } else { 8 };
    let mark = marks.inside.as_ref().map_or(&[][..], |(_, bytes)| bytes);
    let mut left = column(wire, in_a_row, &marks.wire, theme);
    let mut right = column(&inside.plaintext, in_a_row, mark, theme);
    left.insert(0, head("on the wire"));
    right.insert(0, head("decrypted"));
    let first_marked = line_of(in_a_row, 1);
    if cells < 2 * row_width(in_a_row) {
        left.extend(right);
        return Bytes { lines: left, first_marked };
    }
    // What can be read was hidden further on: headers stand before it on the wire.
    let readable = mark.iter().map(|bytes| bytes.start / in_a_row + 1).min();
    let first_marked = readable.into_iter().chain(first_marked).min();
    Bytes { lines: beside(left, right, row_width(in_a_row)), first_marked }
}

/// Two columns of lines beside one another, the left one so many cells wide.
pub(super) fn beside(left: Vec<Line<'static>>, right: Vec<Line<'static>>, width: usize) -> Vec<Line<'static>> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let row = |_| {
        let mut line = left.next().unwrap_or_default();
        let blanks = width.saturating_sub(line.width());
        line.push_span(Span::raw(" ".repeat(blanks)));
        let right = right.next().unwrap_or_default();
        line.spans.extend(right.spans.into_iter().map(|span| {
            let style = right.style.patch(span.style);
            span.style(style)
        }));
        line
    };
    (0..rows).map(row).collect()
}

/// The cells of a row of so many bytes.
pub(in crate::console::view) const fn row_width(in_a_row: usize) -> usize {
    1 + 4 + 1 + in_a_row * 3 + in_a_row
}

fn column(bytes: &[u8], in_a_row: usize, marked: &[Range<usize>], theme: &Theme) -> Vec<Line<'static>> {
    let style = |is_marked| theme.style(if is_marked { Role::Selected } else { Role::Text });
    let is_marked = |at: usize| marked.iter().any(|range| range.contains(&at));
    let line = |row: hexdump::Row<'_>| {
        let marks: Vec<bool> = (row.offset..row.offset + row.bytes.len()).map(is_marked).collect();
        // Runs of bytes that look the same.
        let runs = || {
            marks.chunk_by(|a, b| a == b).scan(0, |end, run| {
                let start = std::mem::replace(end, *end + run.len());
                Some((start..*end, style(run[0])))
            })
        };
        let mut line = Line::styled(format!(" {:04x} ", row.offset), theme.style(Role::Muted));
        for (range, style) in runs() {
            let hex: Vec<String> = row.bytes[range].iter().map(|byte| format!("{byte:02x}")).collect();
            line.push_span(Span::styled(hex.join(" "), style));
            line.push_span(Span::raw(" "));
        }
        line.push_span(Span::raw("   ".repeat(in_a_row - row.bytes.len())));
        let ascii = row.ascii();
        for (range, style) in runs() {
            // ASCII: a character is a byte.
            line.push_span(Span::styled(ascii[range].to_owned(), style));
        }
        line
    };
    hexdump::rows(bytes, in_a_row).map(line).collect()
}
