//! What the console remembers from one start to the next: the columns that were chosen. It stands in a file of its own,
//! so that nobody's configuration is written over.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::columns::{ChosenColumns, Columns};

/// The file's name in the folder of what is remembered.
const FILE: &str = "columns.toml";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Remembered {
    sas: Option<Vec<String>>,
    policies: Option<Vec<String>>,
    packets: Option<Vec<String>>,
}

/// What was remembered. Where it cannot be read, or another version of espial wrote what this one does not know, the
/// usual columns hold.
pub fn read(folder: Option<&Path>) -> ChosenColumns {
    let text = folder.and_then(|folder| fs::read_to_string(folder.join(FILE)).ok());
    let remembered: Remembered = text.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
    ChosenColumns {
        sas: remembered.sas.and_then(|names| Columns::read(&names).ok()),
        policies: remembered.policies.and_then(|names| Columns::read(&names).ok()),
        packets: remembered.packets.and_then(|names| Columns::read(&names).ok()),
    }
}

/// Remembers this and nothing else.
///
/// # Errors
/// Why it cannot, with the file's name.
pub fn write(folder: Option<&Path>, columns: &ChosenColumns) -> Result<(), String> {
    let folder = folder.ok_or("there is no home directory")?;
    let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    let written = || {
        fs::create_dir_all(folder)?;
        // Whoever reads meanwhile, or after a crash, finds the one or the other whole.
        fs::write(&new, text(columns))?;
        fs::rename(&new, &file)
    };
    written().map_err(|error| format!("{}: {error}", file.display()))
}

fn text(columns: &ChosenColumns) -> String {
    let mut text = "# What was chosen in espial with C; config.toml goes before it.\n".to_owned();
    say(&mut text, "sas", columns.sas.as_deref());
    say(&mut text, "policies", columns.policies.as_deref());
    say(&mut text, "packets", columns.packets.as_deref());
    text
}

fn say<C: Columns>(text: &mut String, table: &str, columns: Option<&[C]>) {
    if let Some(columns) = columns {
        let names: Vec<&str> = columns.iter().map(|column| column.about().name).collect();
        let _ = writeln!(text, "{table} = {names:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::columns::{PolicyColumn, SaColumn};

    #[test]
    fn what_is_written_is_read_again_and_what_cannot_be_understood_is_not_there() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state/espial");
        assert_eq!(read(Some(&folder)), ChosenColumns::default());
        let chosen = ChosenColumns {
            sas: Some(vec![SaColumn::Spi, SaColumn::Mark]),
            policies: Some(PolicyColumn::ALL.to_vec()),
            packets: None,
        };
        write(Some(&folder), &chosen).unwrap();
        assert_eq!(read(Some(&folder)), chosen);
        fs::write(folder.join(FILE), "sas = [\"colour\"]\npolicies = [\"dir\", \"dir\"]\nthemes = 3\n").unwrap();
        let understood = ChosenColumns { policies: Some(vec![PolicyColumn::Direction]), ..ChosenColumns::default() };
        assert_eq!(read(Some(&folder)), understood);
        fs::write(folder.join(FILE), "sas = [").unwrap();
        assert_eq!(read(Some(&folder)), ChosenColumns::default());
        assert_eq!(read(None), ChosenColumns::default());
    }

    #[test]
    fn where_nothing_can_be_written_it_is_said_why() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        let refusal = write(Some(&home.path().join("file")), &ChosenColumns::default()).unwrap_err();
        assert!(refusal.contains("file/columns.toml: "), "{refusal}");
        assert_eq!(write(None, &ChosenColumns::default()), Err("there is no home directory".to_owned()));
    }
}
