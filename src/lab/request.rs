//! What the part of the lab that is outside tells the part that is inside.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use super::{HostName, LabError, Options, Profile};

/// Bytes of a path, an argument or a variable: they need not be text.
pub(super) type Bytes = Vec<u8>;

/// Everything that the inside needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What protects the traffic.
    pub profile: Profile,
    /// Where the command runs.
    pub on: HostName,
    /// The command and its arguments.
    command: Vec<Bytes>,
    /// The caller's environment.
    environment: Vec<(Bytes, Bytes)>,
    /// The caller's working folder.
    folder: Bytes,
    /// This program.
    program: Bytes,
    /// Folders that are writable inside.
    out: Vec<Bytes>,
    /// Rows and columns of the caller's terminal, if the command gets one of its own.
    pub terminal: Option<(u16, u16)>,
}

fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

impl Request {
    /// The request of this process, for these options.
    pub(super) fn of_process(options: &Options) -> Result<Self, LabError> {
        let out = options.out.iter().map(|folder| {
            let known = fs::canonicalize(folder).and_then(|path| {
                if !path.is_dir() {
                    return Err(std::io::ErrorKind::NotADirectory.into());
                }
                access(&path, Access::WRITE_OK | Access::EXEC_OK)?;
                Ok(path)
            });
            known
                .map(|path| path.into_os_string().into_vec())
                .map_err(|error| LabError::Out { folder: folder.clone(), error })
        });
        let program = std::env::current_exe().map_err(LabError::io("finding this program's own file"))?;
        Ok(Self {
            profile: options.profile,
            on: options.on,
            command: options.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
            environment: std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect(),
            folder: std::env::current_dir().unwrap_or_else(|_| "/".into()).into_os_string().into_vec(),
            program: program.into_os_string().into_vec(),
            out: out.collect::<Result<_, _>>()?,
            terminal: super::terminal::size_if_all_are_terminals(),
        })
    }

    /// The command and its arguments.
    pub fn command(&self) -> impl Iterator<Item = &OsStr> {
        self.command.iter().map(|word| os(word))
    }

    /// The caller's environment.
    pub fn environment(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.environment.iter().map(|(name, value)| (os(name), os(value)))
    }

    /// The caller's working folder.
    pub fn folder(&self) -> &Path {
        Path::new(os(&self.folder))
    }

    /// The file of this program.
    pub fn program(&self) -> &Path {
        Path::new(os(&self.program))
    }

    /// Folders that are writable inside.
    pub fn out(&self) -> impl Iterator<Item = PathBuf> {
        self.out.iter().map(|folder| PathBuf::from(OsString::from_vec(folder.clone())))
    }

    /// As text to be handed over.
    pub(super) fn to_text(&self) -> Result<String, LabError> {
        serde_json::to_string(self).map_err(|error| LabError::Inside(format!("writing the request: {error}")))
    }

    /// From the text that was handed over.
    pub(super) fn from_text(text: &str) -> Result<Self, LabError> {
        serde_json::from_str(text).map_err(|error| LabError::Inside(format!("reading the request: {error}")))
    }
}
