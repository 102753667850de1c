//! The line at the foot of the screen where a filter or a command is typed.

use crate::console::text_field::TextField;

/// What the line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The rows of the screen are filtered as it is typed; leaving it brings back what was there before.
    Filter {
        /// The filter before.
        before: String,
    },
    /// Packets with this text are gone to, and the text is marked in them.
    Search,
    /// A command is carried out when it is taken.
    Command,
    /// The path of a file for the other host's script.
    SaveScript,
}

/// A line being typed.
#[derive(Clone, Debug)]
pub struct Line {
    /// What for.
    pub purpose: Purpose,
    /// The text so far.
    pub field: TextField,
    /// What is wrong with it, said when it was taken.
    pub error: Option<String>,
}

/// What can be said behind `:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Another screen, by its place.
    Screen(usize),
    /// Another theme.
    Theme(String),
    /// Another interface to take packets from.
    Interface(String),
    /// A filter; without words, none.
    Filter(String),
    /// A filter for plain packets to be captured; without words, none.
    Capture(String),
    /// The listed packets into this file, with the keys of their SAs beside it or without.
    Record(String, bool),
    /// Packets from now on, whatever screen is open.
    Watch,
    /// A form that no key opens.
    Form(FormName),
    /// The kernel's databases once more.
    Refresh,
    /// The keys.
    Help,
    /// The end.
    Quit,
}

/// The forms that commands open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormName {
    /// What becomes of packets without a policy.
    Defaults,
    /// From which prefix lengths on policies are found by hash.
    Thresholds,
    /// An SPI that the kernel chooses.
    AllocateSpi,
    /// Everything of a kind.
    Flush,
}

/// A command with its names (the first is the one that is shown), what follows it, and what it does.
pub struct TypedCommand {
    /// How it may be called.
    pub names: &'static [&'static str],
    /// What follows it, for help; empty if nothing does.
    pub argument: &'static str,
    /// What it does.
    pub help: &'static str,
    make: fn(&str) -> Typed,
}

/// Every command.
pub static COMMANDS: &[TypedCommand] = &[
    TypedCommand { names: &["sa", "sas", "sad"], argument: "", help: "show the SAs", make: |_| Typed::Screen(0) },
    TypedCommand {
        names: &["policy", "policies", "spd"],
        argument: "",
        help: "show the policies",
        make: |_| Typed::Screen(1),
    },
    TypedCommand { names: &["packets", "packet"], argument: "", help: "show the packets", make: |_| Typed::Screen(2) },
    TypedCommand { names: &["events", "event"], argument: "", help: "show the events", make: |_| Typed::Screen(3) },
    TypedCommand {
        names: &["theme"],
        argument: "NAME",
        help: "use another theme",
        make: |name| Typed::Theme(name.to_owned()),
    },
    TypedCommand {
        names: &["interface"],
        argument: "NAME",
        help: "take packets from another interface",
        make: |name| Typed::Interface(name.to_owned()),
    },
    TypedCommand {
        names: &["filter"],
        argument: "[WORDS]",
        help: "show only rows with all these words",
        make: |words| Typed::Filter(words.to_owned()),
    },
    TypedCommand {
        names: &["capture"],
        argument: "[WORDS]",
        help: "capture plain packets only if they fit; IPsec always",
        make: |words| Typed::Capture(words.to_owned()),
    },
    TypedCommand {
        names: &["watch"],
        argument: "",
        help: "take packets from now on, whatever screen is open",
        make: |_| Typed::Watch,
    },
    TypedCommand {
        names: &["record"],
        argument: "FILE",
        help: "write the listed packets, and what comes, into a file",
        make: |path| Typed::Record(path.to_owned(), false),
    },
    TypedCommand {
        names: &["record-keys"],
        argument: "FILE",
        help: "the same, and the KEYS for Wireshark in FILE.esp_sa",
        make: |path| Typed::Record(path.to_owned(), true),
    },
    TypedCommand {
        names: &["defaults"],
        argument: "",
        help: "decide over packets without a policy",
        make: |_| Typed::Form(FormName::Defaults),
    },
    TypedCommand {
        names: &["thresholds"],
        argument: "",
        help: "decide which policies are found by hash",
        make: |_| Typed::Form(FormName::Thresholds),
    },
    TypedCommand {
        names: &["allocspi"],
        argument: "",
        help: "let the kernel reserve a free SPI",
        make: |_| Typed::Form(FormName::AllocateSpi),
    },
    TypedCommand {
        names: &["flush"],
        argument: "",
        help: "delete all SAs of a protocol, or main or sub policies",
        make: |_| Typed::Form(FormName::Flush),
    },
    TypedCommand {
        names: &["refresh"],
        argument: "",
        help: "read everything from the kernel again",
        make: |_| Typed::Refresh,
    },
    TypedCommand { names: &["help"], argument: "", help: "show the keys", make: |_| Typed::Help },
    TypedCommand { names: &["q", "quit"], argument: "", help: "leave espial", make: |_| Typed::Quit },
];

impl TypedCommand {
    /// Whether it leads to changes of the kernel.
    pub fn is_dangerous(&self) -> bool {
        self.argument.is_empty() && matches!((self.make)(""), Typed::Form(_))
    }
}

/// The commands that there are, without those that change the kernel if `read_only`.
pub fn commands(read_only: bool) -> impl Iterator<Item = &'static TypedCommand> {
    COMMANDS.iter().filter(move |command| !(read_only && command.is_dangerous()))
}

/// Reads a command.
///
/// # Errors
/// A sentence that says what is wrong and what there is.
pub fn parse(text: &str) -> Result<Typed, String> {
    let text = text.trim();
    let (name, argument) = text.split_once(char::is_whitespace).map_or((text, ""), |(name, rest)| (name, rest.trim()));
    let Some(command) = COMMANDS.iter().find(|command| command.names.contains(&name)) else {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.names[0]).collect();
        return Err(format!("there is no command {name:?}; there are {}", names.join(", ")));
    };
    match (command.argument, argument) {
        ("", "") => Ok((command.make)("")),
        ("", more) => Err(format!("{name} takes nothing behind it, and {more:?} follows")),
        (wanted, "") if !wanted.starts_with('[') => Err(format!("{name} needs a {wanted}")),
        (_, argument) => Ok((command.make)(argument)),
    }
}

/// What the word being typed can only become: the common rest of all commands or arguments that begin with it.
pub fn completion(text: &str, themes: &[String], interfaces: &[String]) -> Option<String> {
    let (word, candidates): (&str, Vec<&str>) = match text.split_once(' ') {
        None => (text, COMMANDS.iter().map(|command| command.names[0]).collect()),
        Some(("theme", word)) => (word, themes.iter().map(String::as_str).collect()),
        Some(("interface", word)) => (word, interfaces.iter().map(String::as_str).collect()),
        Some(_) => return None,
    };
    let mut fitting = candidates.into_iter().filter(|candidate| candidate.starts_with(word));
    let first = fitting.next()?;
    let shared = fitting.fold(first.len(), |shared, other| {
        let same = first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        shared.min(same)
    });
    first.get(word.len()..shared).filter(|rest| !rest.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_what_is_wrong_with_them() {
        assert_eq!(parse(" sa "), Ok(Typed::Screen(0)));
        assert_eq!(parse("theme  light"), Ok(Typed::Theme("light".into())));
        assert_eq!(parse("filter"), Ok(Typed::Filter(String::new())));
        assert_eq!(parse("filter esp 10.9"), Ok(Typed::Filter("esp 10.9".into())));
        assert_eq!(parse("theme"), Err("theme needs a NAME".into()));
        assert_eq!(
            parse("q!"),
            Err(
                "there is no command \"q!\"; there are sa, policy, packets, events, theme, interface, filter, capture, \
             watch, record, record-keys, defaults, thresholds, allocspi, flush, refresh, help, q"
                    .into()
            )
        );
        assert_eq!(parse("help me"), Err("help takes nothing behind it, and \"me\" follows".into()));
        assert!(parse("").is_err());
    }

    #[test]
    fn tab_completes_what_is_certain() {
        let themes = ["dark".to_owned(), "daylight".to_owned()];
        let complete = |text| completion(text, &themes, &[]);
        assert_eq!(complete("pac"), Some("kets".into()));
        assert_eq!(complete("p"), None, "packets or policy");
        assert_eq!(complete("theme d"), Some("a".into()));
        assert_eq!(complete("theme dark"), None);
        assert_eq!(complete("nothing"), None);
        assert_eq!(complete("filter d"), None);
    }

    #[test]
    fn no_name_stands_for_two_commands() {
        let mut seen = std::collections::HashSet::new();
        assert!(COMMANDS.iter().flat_map(|command| command.names).all(|name| seen.insert(name)));
    }
}
