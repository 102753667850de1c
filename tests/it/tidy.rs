//! The house in order: who may know whom, and other rules that a compiler does not hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may use. Arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "cli",
        &["capture", "console", "dialect", "evidence", "kernel", "lab", "model", "packet", "privilege", "settings"],
    ),
    ("console", &["capture", "dialect", "evidence", "kernel", "model", "packet", "privilege", "sys"]),
    ("lab", &["dialect", "kernel", "model", "privilege", "sys"]),
    ("capture", &["model", "packet", "privilege", "sys"]),
    ("evidence", &["crypto", "model", "packet"]),
    ("kernel", &["model", "sys"]),
    ("dialect", &["model"]),
    ("crypto", &["model"]),
    ("packet", &["model"]),
    ("model", &[]),
    ("privilege", &[]),
    ("settings", &["capture"]),
    ("sys", &[]),
];

/// Rooms that do no I/O and read no clock.
const PURE: &[&str] = &["model", "dialect", "packet", "crypto", "evidence"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "std::env",
];

/// Where unsafe code may stand.
const UNSAFE: &str = "sys";
/// Who may print.
const PRINTS: &str = "cli";
/// Who may start threads that outlive a call.
const STARTS_THREADS: &[&str] = &["console/runtime.rs", "capture/ahead.rs", "cli/console.rs", "lab"];
/// The most lines of a file, its unit tests left out.
const MOST_LINES: usize = 700;

struct Source {
    room: String,
    path: PathBuf,
    /// Without the unit tests at its end.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let mut paths = Vec::new();
    files(&folder, "rs", &mut paths);
    assert!(paths.len() > 30, "the sources are not where they were");
    paths
        .into_iter()
        .map(|path| {
            let within = path.strip_prefix(&folder).unwrap().to_owned();
            let room = within.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            Source { room, path: within, code }
        })
        .collect()
}

/// The lines of code without comments.
fn lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap()))
}

/// The rooms that a line names: `crate::room`, or `use crate::{room, ...}`.
fn named(line: &str) -> BTreeSet<&str> {
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    line.match_indices("crate::").map(|(at, _)| &line[at + 7..]).map(|rest| &rest[..word(rest)]).collect()
}

#[test]
fn arrows_point_down_only() {
    let mut seen = BTreeSet::new();
    for source in sources() {
        let room = source.room.as_str();
        if matches!(room, "lib" | "main") {
            continue;
        }
        seen.insert(source.room.clone());
        let allowed = ARROWS.iter().find(|(name, _)| *name == room);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{room} is a room without arrows: add it to this test"));
        for (number, line) in lines(&source.code) {
            for other in named(line) {
                let fine = other == room || allowed.contains(&other);
                assert!(fine, "{}:{number}: {room} must not know {other}", source.path.display());
            }
            assert!(!line.contains("use crate::{"), "{}:{number}: name the room in each use", source.path.display());
        }
    }
    for (room, _) in ARROWS {
        assert!(seen.contains(*room), "there is no room {room} any more");
    }
}

#[test]
fn only_the_console_knows_ratatui() {
    for source in sources().iter().filter(|source| !matches!(source.room.as_str(), "console" | "cli")) {
        for (number, line) in lines(&source.code) {
            let fine = !line.contains("ratatui") && !line.contains("crossterm");
            assert!(fine, "{}:{number}: a screen is not this room's business", source.path.display());
        }
    }
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for (number, line) in lines(&source.code) {
            for word in IMPURE {
                assert!(!line.contains(word), "{}:{number}: {word} in a pure room", source.path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_printing_and_threads_stay_in_their_rooms() {
    for source in sources() {
        for (number, line) in lines(&source.code) {
            let place = format!("{}:{number}", source.path.display());
            assert!(source.room == UNSAFE || !line.contains("unsafe {"), "{place}: unsafe code");
            let prints = ["println!", "print!(", "dbg!("].iter().any(|word| line.contains(word));
            assert!(source.room == PRINTS || !prints, "{place}: printing");
            let spawns = ["thread::spawn", "thread::Builder"].iter().any(|word| line.contains(word));
            let may = STARTS_THREADS.iter().any(|room| source.path.starts_with(room));
            assert!(may || !spawns, "{place}: a thread");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_read_in_one_sitting() {
    for source in sources() {
        let place = source.path.display();
        assert!(source.code.starts_with("//! "), "{place} does not open with what it is for");
        let length = source.code.lines().count();
        assert!(length <= MOST_LINES, "{place} has {length} lines");
        let name = source.path.file_stem().unwrap().to_str().unwrap();
        for drawer in ["helper", "util", "common", "manager", "types", "misc"] {
            assert!(!name.contains(drawer), "{place}: a drawer, not a name");
        }
    }
}

#[test]
fn the_front_page_names_every_room() {
    let front = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (room, _) in ARROWS {
        assert!(front.contains(room), "lib.rs does not speak of {room}");
    }
}

#[test]
fn the_readme_shows_the_keys_that_there_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let keys = espial::cli::print::keys();
    assert!(readme.contains(&keys), "the README's keys are not those of --print-keys:\n{keys}");
}

#[test]
fn the_programs_that_the_makefile_runs_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let named = |option: &str| {
        let words = makefile.split_whitespace().collect::<Vec<_>>();
        words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].to_owned()).collect::<Vec<_>>()
    };
    let examples = named("--example");
    assert!(!examples.is_empty());
    for example in examples {
        assert!(root().join(format!("examples/{example}.rs")).is_file(), "{example}");
    }
}

#[test]
fn the_changelog_speaks_of_this_version() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(
        changelog.contains("## [Unreleased]") || changelog.contains(&format!("## [{}]", env!("CARGO_PKG_VERSION")))
    );
}
