//! What `espial sa` and `espial policy` share: the forms that a list can take, and tables.

use std::ffi::OsStr;
use std::io::{self, Write};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use unicode_width::UnicodeWidthStr;

use crate::console::columns::{Column, Columns};
use crate::dialect::script::Language;
use crate::dialect::{Keys, listing};
use crate::model::RowFilter;
use crate::model::expression::FilterError;
use crate::model::row_filter::Rows;
use crate::model::text::harmless;

/// The form of a list; a table where none is asked for.
#[derive(Clone, Debug, Default, Args)]
pub struct Form {
    /// Print JSON, as described below
    #[arg(long, group = "form")]
    pub json: bool,
    /// Print setkey statements, as `espial apply` and setkey(8) read them
    #[arg(long, group = "form")]
    pub setkey: bool,
    /// Print `ip xfrm` commands
    #[arg(long, group = "form")]
    pub ip: bool,
}

impl Form {
    /// What is to be written, where it is no table.
    pub fn written(&self) -> Option<listing::Form> {
        match self {
            Self { json: true, .. } => Some(listing::Form::Json),
            Self { setkey: true, .. } => Some(listing::Form::Lines(Language::Setkey)),
            Self { ip: true, .. } => Some(listing::Form::Lines(Language::Ip)),
            Self { .. } => None,
        }
    }
}

/// Columns by name, as clap reads and explains them.
#[derive(Clone)]
pub struct NamedColumns<C>(pub Vec<C>);

impl<C: Columns + Send + Sync> TypedValueParser for NamedColumns<C> {
    type Value = C;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<C, clap::Error> {
        let names = self.0.iter().map(|column| column.about().name);
        let name = PossibleValuesParser::new(names).parse_ref(command, argument, value)?;
        C::named(&name).ok_or_else(|| clap::Error::new(ErrorKind::InvalidValue))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let one = |column: &C| PossibleValue::new(column.about().name).help(column.about().help);
        Some(Box::new(self.0.iter().map(one)))
    }
}

/// Which rows are listed; all where nothing is said.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// List only what fits, as 'dst 10.9.0.0/24 and proto esp and errors > 0'; a word that is no field must stand in
    /// the row; "and" and "or" bind alike, from left to right
    #[arg(value_name = "FILTER")]
    words: Vec<String>,
}

impl Filter {
    /// The filter for such rows.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(&self, rows: Rows) -> anyhow::Result<Option<RowFilter>> {
        let text = self.words.join(" ");
        RowFilter::parse(&text, rows).map_err(|error| pointed(&error, &text))
    }
}

/// The most characters of a filter that are shown, and how many of them before the place that is wrong.
const WINDOW: (usize, usize) = (100, 40);

/// The error, with what stands around its place.
fn pointed(error: &FilterError, text: &str) -> anyhow::Error {
    let (most, lead) = WINDOW;
    let before = error.column.saturating_sub(1);
    let left_out = if text.chars().count() > most { before.saturating_sub(lead) } else { 0 };
    let shown: String = text.chars().skip(left_out).take(most).collect();
    let front = if left_out > 0 { "…" } else { "" };
    let blanks = " ".repeat(front.chars().count() + before - left_out);
    anyhow::anyhow!("filter: {error}\n  {front}{}\n  {blanks}^", harmless(&shown))
}

/// Whether keys are asked for.
pub fn keys(show: bool) -> Keys {
    if show { Keys::Show } else { Keys::Hide }
}

/// A table with a head, as wide as it needs to be.
///
/// # Errors
/// When the output does not take it.
pub fn write_table<Row, C: Column<Row>>(out: &mut dyn Write, columns: &[C], rows: &[Row]) -> io::Result<()> {
    let head = columns.iter().map(|column| column.about().title.to_owned()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|column| column.text(row).into_owned()).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let width = |place: usize| lines.iter().filter_map(|line| line.get(place)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|place| width(place).unwrap_or(0)).collect();
    for line in &lines {
        let mut text = String::new();
        for ((cell, width), column) in line.iter().zip(&widths).zip(columns) {
            let blanks = " ".repeat(width - cell.width());
            text += &if column.about().is_number { format!("{blanks}{cell}  ") } else { format!("{cell}{blanks}  ") };
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(words: String) -> String {
        Filter { words: vec![words] }.read(Rows::Sas).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_filter_is_shown_around_its_place_however_long_it_is() {
        assert!(complaint("esp and (ah".to_owned()).ends_with("\n  esp and (ah\n             ^"));
        let text = complaint(format!("{} mode nothing {}", "x".repeat(70_000), "y".repeat(70_000)));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].chars().count() < 110 && lines[1].contains(" mode nothing y"), "{text}");
        let place = |line: &str, c| line.chars().position(|found| found == c);
        assert_eq!(place(lines[1], 'n'), place(lines[2], '^'), "{text}");
    }
}
