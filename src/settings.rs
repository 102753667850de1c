//! What the user prefers: defaults, then the configuration file, then the environment, then the command line. The last
//! that says something wins, and what comes out is checked.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use serde::Deserialize;

use crate::capture::Method;

/// The configuration file that says what holds without one; `espial --print-config-template` prints it.
pub const TEMPLATE: &str = include_str!("settings/template.toml");

/// Everything that can be preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The console's theme.
    pub theme: String,
    /// Whether the console may change nothing.
    pub read_only: bool,
    /// The interface that packets are taken from; the first that fits where `None`.
    pub interface: Option<String>,
    /// How packets are taken from it.
    pub capture: Method,
    /// Whether the console takes packets from its start.
    pub capture_at_start: bool,
    /// The folder of the user's own themes, where there is one.
    pub theme_folder: Option<PathBuf>,
    /// Whether colours were asked for in spite of `NO_COLOR`.
    pub force_colour: bool,
}

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--theme`
    pub theme: Option<String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--interface`
    pub interface: Option<String>,
    /// `--capture`
    pub capture: Option<Method>,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `NO_COLOR`: no colours, if it is set to anything (no-color.org).
    pub no_colour: Option<OsString>,
    /// `ESPIAL_CONFIG`: the configuration file.
    pub config: Option<OsString>,
    /// `ESPIAL_THEME`: the theme.
    pub theme: Option<OsString>,
    /// The user's folder for configuration.
    pub folder: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        Self {
            no_colour: std::env::var_os("NO_COLOR"),
            config: std::env::var_os("ESPIAL_CONFIG"),
            theme: std::env::var_os("ESPIAL_THEME"),
            folder: ProjectDirs::from("", "", "espial").map(|folders| folders.config_dir().to_owned()),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("reading {}: {error}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The system's refusal.
        error: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {reason}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A variable of the environment is not text.
    #[error("the environment variable {0} is not valid UTF-8")]
    NotText(&'static str),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    theme: Option<String>,
    read_only: Option<bool>,
    interface: Option<String>,
    capture: Option<Method>,
    capture_at_start: Option<bool>,
}

/// The theme that holds where nobody asks for one.
const DEFAULT_THEME: &str = "dark";
/// The theme that `NO_COLOR` asks for.
const MONO_THEME: &str = "mono";

impl Settings {
    /// Puts together what everybody says.
    ///
    /// # Errors
    /// When a file that was asked for is missing, or one that is there is wrong: what and where.
    pub fn gather(flags: &Flags, environment: &Environment) -> Result<Self, SettingsError> {
        let asked = flags.config.clone().or_else(|| environment.config.clone().map(PathBuf::from));
        let usual = environment.folder.as_ref().map(|folder| folder.join("config.toml"));
        let file = match (asked, usual) {
            (Some(path), _) => read(&path)?.ok_or_else(|| missing(path))?,
            // A file that nobody asked for and that may not be read is somebody else's: as after su or sudo.
            (None, Some(path)) => match read(&path) {
                Err(SettingsError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::PermissionDenied => {
                    File::default()
                }
                read => read?.unwrap_or_default(),
            },
            (None, None) => File::default(),
        };
        let no_colour = environment.no_colour.as_ref().is_some_and(|value| !value.is_empty());
        let from_environment = match &environment.theme {
            Some(theme) => Some(theme.clone().into_string().map_err(|_| SettingsError::NotText("ESPIAL_THEME"))?),
            None => no_colour.then(|| MONO_THEME.to_owned()),
        };
        let theme = flags.theme.clone().or(from_environment).or(file.theme);
        let theme = theme.unwrap_or_else(|| DEFAULT_THEME.to_owned());
        Ok(Self {
            read_only: flags.read_only || file.read_only.unwrap_or(false),
            interface: flags.interface.clone().or(file.interface),
            capture: flags.capture.or(file.capture).unwrap_or_default(),
            capture_at_start: file.capture_at_start.unwrap_or(false),
            theme_folder: environment.folder.as_ref().map(|folder| folder.join("themes")),
            force_colour: no_colour && theme != MONO_THEME,
            theme,
        })
    }
}

fn missing(file: PathBuf) -> SettingsError {
    SettingsError::Unreadable { file, error: io::ErrorKind::NotFound.into() }
}

fn read(path: &Path) -> Result<Option<File>, SettingsError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SettingsError::Unreadable { file: path.to_owned(), error }),
    };
    let malformed = |error: toml::de::Error| SettingsError::Malformed {
        file: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    };
    toml::from_str(&text).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(config: &str) -> (tempfile::TempDir, Environment) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let environment = Environment { folder: Some(folder.path().to_owned()), ..Environment::default() };
        (folder, environment)
    }

    #[test]
    fn the_template_says_what_holds_without_it() {
        let (_folder, with) = folder_with(TEMPLATE);
        let without = Environment { folder: with.folder.clone(), ..Environment::default() };
        let empty = tempfile::tempdir().unwrap();
        let bare = Environment { folder: Some(empty.path().to_owned()), ..without };
        let (with, bare) = (Settings::gather(&Flags::default(), &with), Settings::gather(&Flags::default(), &bare));
        let bare = Settings { theme_folder: with.as_ref().unwrap().theme_folder.clone(), ..bare.unwrap() };
        assert_eq!(with.unwrap(), bare);
        // With its examples uncommented it must be read too.
        let uncommented: String =
            TEMPLATE.lines().map(|line| line.strip_prefix("#! ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let (_folder, all) = folder_with(&uncommented);
        let settings = Settings::gather(&Flags::default(), &all).unwrap();
        assert_eq!((settings.interface.as_deref(), settings.capture), (Some("eth0"), Method::Pnet));
    }

    #[test]
    fn the_last_that_says_something_wins() {
        let (_folder, mut environment) =
            folder_with("theme = \"light\"\nread-only = true\ncapture-at-start = true\ninterface = \"eth1\"\n");
        let mut flags = Flags::default();
        let theme = |flags: &Flags, environment: &Environment| Settings::gather(flags, environment).unwrap().theme;
        assert_eq!(theme(&flags, &environment), "light");
        environment.no_colour = Some("1".into());
        assert_eq!(theme(&flags, &environment), "mono");
        environment.theme = Some("terminal".into());
        assert_eq!(theme(&flags, &environment), "terminal");
        flags.theme = Some("high-contrast".to_owned());
        let settings = Settings::gather(&flags, &environment).unwrap();
        assert_eq!((settings.theme.as_str(), settings.force_colour), ("high-contrast", true));
        assert!(settings.read_only && settings.capture_at_start);
        assert_eq!(settings.interface.as_deref(), Some("eth1"));
        environment.no_colour = Some(OsString::new());
        flags.theme = None;
        assert!(!Settings::gather(&flags, &environment).unwrap().force_colour, "an empty NO_COLOR says nothing");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("theme = 3\n", "config.toml: TOML parse error at line 1, column 9"),
            ("colour = \"red\"\n", "unknown field `colour`"),
            ("capture = \"tcpdump\"\n", "unknown variant `tcpdump`, expected `ring` or `pnet`"),
            ("theme = \"dark\n", "line 1"),
        ];
        for (text, expected) in cases {
            let (_folder, environment) = folder_with(text);
            let error = Settings::gather(&Flags::default(), &environment).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?} gives {error:?}");
        }
        let flags = Flags { config: Some("/nonexistent/espial.toml".into()), ..Flags::default() };
        let error = Settings::gather(&flags, &Environment::default()).unwrap_err().to_string();
        assert!(error.starts_with("reading /nonexistent/espial.toml:"), "{error}");
    }
}
