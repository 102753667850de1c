//! What the columns of the tables say of a row: the text, which is drawn and filtered, and the order, which is sorted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;

pub mod packet;
pub mod policy;
pub mod sa;

pub use packet::PacketColumn;
pub use policy::PolicyColumn;
pub use sa::{SaColumn, SaRow};

/// A column of a table of `Row`s.
pub trait Column<Row>: Copy + Eq + 'static {
    /// All columns, in the order of the screen.
    const ALL: &'static [Self];

    /// Its head.
    fn title(self) -> &'static str;

    /// What it says of a row.
    fn text(self, row: &Row) -> Cow<'_, str>;

    /// Which of two rows comes first.
    fn compare(self, a: &Row, b: &Row) -> Ordering;

    /// How soon it is left out where there is no room: the lowest goes last.
    fn rank(self) -> u8;

    /// To how many cells its text may be cut before a column is left out; `None` if it may not.
    fn least_width(self) -> Option<usize> {
        None
    }

    /// Whether its text stands at the right.
    fn is_number(self) -> bool {
        false
    }

    /// Whether its order changes as time passes.
    fn is_live(self) -> bool {
        false
    }
}

/// Tells of words in small letters whether a row's columns contain them. The text is put together when the first word
/// asks for it, in `scratch`, which is reused from row to row.
pub fn search<Row, C: Column<Row>>(row: &Row, scratch: &mut String) -> impl FnMut(&str) -> bool {
    scratch.clear();
    move |word| {
        if scratch.is_empty() {
            for column in C::ALL {
                let _ = write!(scratch, "{} ", column.text(row));
            }
            scratch.make_ascii_lowercase();
        }
        scratch.contains(word)
    }
}

/// Words that a text must all contain, letter case aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// The words of a line.
    pub fn of(line: &str) -> Self {
        Self(line.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether every text will do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text contains all words.
    pub fn match_text(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.0.iter().all(|word| text.contains(word.as_str()))
    }
}
