//! What the columns of the tables say of a row: the text, which is drawn and filtered, and the order, which is sorted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Write};

pub mod packet;
pub mod policy;
pub mod sa;

pub use packet::PacketColumn;
pub use policy::{PolicyColumn, PolicyRow};
pub use sa::{SaColumn, SaRow};

/// What there is to say of a column without a row.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What it is called in the configuration and on the command line.
    pub name: &'static str,
    /// Its head.
    pub title: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    /// How soon it is left out where there is no room: the lowest goes last.
    pub rank: u8,
    /// To how many cells its text may be cut before a column is left out; `None` if it may not.
    pub least_width: Option<usize>,
    /// Whether its text stands at the right.
    pub is_number: bool,
    /// Whether its order changes as time passes.
    pub is_live: bool,
}

impl About {
    /// How soon a column goes that somebody must have asked for: later than most.
    const ASKED_FOR: u8 = 2;

    const fn new(name: &'static str, title: &'static str, help: &'static str) -> Self {
        Self { name, title, help, rank: Self::ASKED_FOR, least_width: None, is_number: false, is_live: false }
    }

    const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    const fn cut_to(self, cells: usize) -> Self {
        Self { least_width: Some(cells), ..self }
    }

    const fn number(self) -> Self {
        Self { is_number: true, ..self }
    }

    const fn live(self) -> Self {
        Self { is_live: true, ..self }
    }
}

/// The columns of a table, whatever its rows are.
pub trait Columns: Copy + Eq + fmt::Debug + 'static {
    /// All that there are.
    const ALL: &'static [Self];
    /// Those that are shown where nobody chose, in the order of the screen.
    const USUAL: &'static [Self];

    /// What there is to say of it.
    fn about(self) -> About;

    /// The column of this name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|column| column.about().name == name)
    }

    /// The columns of these names, each once.
    ///
    /// # Errors
    /// Which name is none, and which there are; or that there must be one.
    fn read(names: &[impl AsRef<str>]) -> Result<Vec<Self>, String> {
        let mut columns = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            let Some(column) = Self::named(name) else {
                let names: Vec<&str> = Self::ALL.iter().map(|column| column.about().name).collect();
                return Err(format!("there is no column {name:?}; there are {}", names.join(", ")));
            };
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        if columns.is_empty() { Err("at least one column must be shown".to_owned()) } else { Ok(columns) }
    }
}

/// The columns that somebody chose, table by table; the usual ones where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenColumns {
    /// Those of SAs.
    pub sas: Option<Vec<SaColumn>>,
    /// Those of policies.
    pub policies: Option<Vec<PolicyColumn>>,
    /// Those of packets.
    pub packets: Option<Vec<PacketColumn>>,
}

/// A column of a table of `Row`s.
pub trait Column<Row>: Columns {
    /// What it says of a row.
    fn text(self, row: &Row) -> Cow<'_, str>;

    /// Which of two rows comes first.
    fn compare(self, a: &Row, b: &Row) -> Ordering;
}

/// Which of two times comes first; what has none stands behind all that have one.
fn sooner(a: Option<u64>, b: Option<u64>) -> Ordering {
    a.unwrap_or(u64::MAX).cmp(&b.unwrap_or(u64::MAX))
}

/// Tells of words in small letters whether a row has them: in the usual columns, and in those that are shown. The text
/// is put together when the first word asks for it, in `scratch`, which is reused from row to row.
pub fn search<Row, C: Column<Row>>(row: &Row, shown: &[C], scratch: &mut String) -> impl FnMut(&str) -> bool {
    scratch.clear();
    move |word| {
        if scratch.is_empty() {
            let more = shown.iter().filter(|column| !C::USUAL.contains(column));
            for column in C::USUAL.iter().chain(more) {
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
