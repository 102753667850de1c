//! What the console's parts look like: a style for each role, read from TOML.
//!
//! The themes in `themes/` are compiled in; a user adds files of the same form. A role that a file leaves out is that
//! of the theme it inherits, `dark` unless it says otherwise. Words carry every meaning, so a theme cannot take one
//! away; but one that paints alarms like ordinary text is refused all the same.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// A part of the screen that has a look of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything that is nothing else.
    Text,
    /// What may be overlooked: labels, units, what is empty.
    Muted,
    /// Titles and the screen that is open.
    Title,
    /// Lines around things.
    Border,
    /// The head of a table.
    Header,
    /// The row or field that keys go to.
    Selected,
    /// A key in a hint.
    Key,
    /// What is as it should be.
    Good,
    /// What will need care.
    Caution,
    /// What needs it now.
    Alarm,
    /// What is being typed.
    Input,
    /// Key material, masked or shown.
    Secret,
}

impl Role {
    /// All roles, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Text,
        Self::Muted,
        Self::Title,
        Self::Border,
        Self::Header,
        Self::Selected,
        Self::Key,
        Self::Good,
        Self::Caution,
        Self::Alarm,
        Self::Input,
        Self::Secret,
    ];
}

/// A look for every role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    name: String,
    styles: [Style; Role::ALL.len()],
}

/// The themes that are compiled in: name and text.
const BUILT_IN: [(&str, &str); 6] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("terminal", include_str!("../../themes/terminal.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// The theme that a user gets who asks for none.
pub const DEFAULT: &str = "dark";
/// The theme without colours, which `NO_COLOR` asks for.
pub const MONO: &str = "mono";

/// Why a theme cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// There is none of that name.
    #[error("there is no theme {name:?}; there are {}", .known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Its file cannot be read.
    #[error("reading theme {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's refusal.
        error: io::Error,
    },
    /// Its text is not a theme.
    #[error("theme {name:?}: {reason}")]
    Malformed {
        /// The theme.
        name: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// It inherits itself.
    #[error("theme {0:?} inherits itself")]
    Circular(String),
    /// It would hide what must be seen.
    #[error("theme {0:?} paints alarms like ordinary text")]
    HidesAlarms(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inherits: Option<String>,
    #[serde(default)]
    roles: BTreeMap<Role, Paint>,
}

/// A style in words.
#[allow(clippy::struct_excessive_bools, reason = "as many words as ratatui has modifiers")]
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Paint {
    fg: Option<Color>,
    bg: Option<Color>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

impl From<Paint> for Style {
    fn from(paint: Paint) -> Self {
        let flags = [
            (paint.bold, Modifier::BOLD),
            (paint.dim, Modifier::DIM),
            (paint.italic, Modifier::ITALIC),
            (paint.underlined, Modifier::UNDERLINED),
            (paint.reversed, Modifier::REVERSED),
        ];
        let modifiers = flags.into_iter().filter(|(set, _)| *set).fold(Modifier::empty(), |all, (_, flag)| all | flag);
        Style { fg: paint.fg, bg: paint.bg, ..Style::default() }.add_modifier(modifiers)
    }
}

impl Theme {
    /// The theme of this name: a file `NAME.toml` of the user's folder, or one that is compiled in.
    ///
    /// # Errors
    /// When there is none, or it is wrong; the error says what and where.
    pub fn load(name: &str, folder: Option<&Path>) -> Result<Self, ThemeError> {
        Self::load_below(name, folder, &mut Vec::new())
    }

    fn load_below(name: &str, folder: Option<&Path>, above: &mut Vec<String>) -> Result<Self, ThemeError> {
        // A user's file may bear a built-in's name and inherit from that: it is not itself it then means.
        let own = folder.filter(|_| !above.iter().any(|other| other == name)).and_then(|f| read_own(name, f));
        let text = match own {
            Some(read) => read?,
            None => built_in(name).ok_or_else(|| {
                if above.contains(&name.to_owned()) {
                    ThemeError::Circular(name.to_owned())
                } else {
                    ThemeError::Unknown { name: name.to_owned(), known: names(folder) }
                }
            })?,
        };
        if above.len() > 8 {
            return Err(ThemeError::Circular(name.to_owned()));
        }
        let malformed = |error: toml::de::Error| ThemeError::Malformed {
            name: name.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let file: File = toml::from_str(&text).map_err(malformed)?;
        let base = file.inherits.as_deref().or_else(|| (name != DEFAULT || !above.is_empty()).then_some(DEFAULT));
        let mut styles = [Style::default(); Role::ALL.len()];
        let complete = file.roles.len() == Role::ALL.len();
        if let Some(base) = base.filter(|_| !complete) {
            above.push(name.to_owned());
            styles = Self::load_below(base, folder, above)?.styles;
        }
        for (role, paint) in file.roles {
            styles[role as usize] = paint.into();
        }
        let theme = Self { name: name.to_owned(), styles };
        if theme.style(Role::Alarm) == theme.style(Role::Text) {
            return Err(ThemeError::HidesAlarms(name.to_owned()));
        }
        Ok(theme)
    }

    /// The look of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Default for Theme {
    /// The theme without colours, for where nothing was loaded.
    fn default() -> Self {
        Self::load(MONO, None).unwrap_or_else(|_| Self { name: MONO.to_owned(), styles: [Style::default(); 12] })
    }
}

fn built_in(name: &str) -> Option<String> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
}

fn read_own(name: &str, folder: &Path) -> Option<Result<String, ThemeError>> {
    // A name is a file's, not a path's.
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return None;
    }
    let path = folder.join(format!("{name}.toml"));
    match fs::read_to_string(&path) {
        Ok(text) => Some(Ok(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(ThemeError::Unreadable { path, error })),
    }
}

/// The names of all themes: those compiled in, then the user's own.
pub fn names(folder: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut own: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| !names.contains(name))
        .map(|name| crate::model::text::harmless(&name).into_owned())
        .collect();
    own.sort();
    names.append(&mut own);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_theme_fills_every_role_and_shows_alarms() {
        for (name, text) in BUILT_IN {
            let file: File = toml::from_str(text).unwrap();
            assert_eq!(file.roles.len(), Role::ALL.len(), "{name}");
            let theme = Theme::load(name, None).unwrap();
            for quiet in [Role::Text, Role::Muted, Role::Good] {
                assert_ne!(theme.style(Role::Alarm), theme.style(quiet), "{name} {quiet:?}");
            }
            assert_ne!(theme.style(Role::Selected), theme.style(Role::Text), "{name}");
        }
    }

    #[test]
    fn the_theme_without_colours_has_none() {
        let theme = Theme::load(MONO, None).unwrap();
        for role in Role::ALL {
            let style = theme.style(role);
            assert!(style.fg.is_none() && style.bg.is_none(), "{role:?}");
        }
        assert!(theme.style(Role::Selected).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn a_users_theme_changes_only_what_it_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.toml"), "[roles]\nalarm = { fg = \"#ff0000\", bold = true }\n").unwrap();
        fs::write(folder.path().join("light.toml"), "inherits = \"light\"\n[roles]\nkey = { underlined = true }\n")
            .unwrap();
        let mine = Theme::load("mine", Some(folder.path())).unwrap();
        assert_eq!(mine.style(Role::Alarm).fg, Some(Color::Rgb(255, 0, 0)));
        assert_eq!(mine.style(Role::Text), Theme::load("dark", None).unwrap().style(Role::Text));
        let light = Theme::load("light", Some(folder.path())).unwrap();
        assert!(light.style(Role::Key).add_modifier.contains(Modifier::UNDERLINED));
        assert_eq!(light.style(Role::Text), Theme::load("light", None).unwrap().style(Role::Text));
        assert_eq!(names(Some(folder.path())).last().unwrap(), "mine");
    }

    #[test]
    fn wrong_themes_say_what_and_where() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            ("[roles]\nalarm = { fg = \"mauvish\" }\n", "line 2, column"),
            ("[roles]\nalarrm = { fg = \"red\" }\n", "alarrm"),
            ("[roles]\ntext = { colour = \"red\" }\n", "colour"),
            ("inherits = \"nothing\"\n", "there is no theme \"nothing\"; there are dark, light"),
            ("inherits = \"wrong\"\n", "inherits itself"),
            ("[roles]\ntext = { fg = \"red\" }\nalarm = { fg = \"red\" }\n", "paints alarms like ordinary text"),
        ];
        for (text, expected) in cases {
            fs::write(folder.path().join("wrong.toml"), text).unwrap();
            let error = Theme::load("wrong", Some(folder.path())).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?} gives {error:?}");
        }
        assert!(Theme::load("../wrong", Some(folder.path())).is_err());
    }
}
