//! What the program knows of itself, printed: the configuration's template, the themes, the keys.

use std::fmt::Write;

use super::{Common, Prints};
use crate::console::keymap::{BINDINGS, Context};
use crate::console::state::line::COMMANDS;
use crate::console::theme;
use crate::settings::{Environment, Settings, TEMPLATE};

/// The text that was asked for, if any was.
pub(super) fn asked(prints: &Prints, common: &Common) -> anyhow::Result<Option<String>> {
    if prints.print_config_template {
        return Ok(Some(TEMPLATE.to_owned()));
    }
    if prints.print_themes {
        let settings = Settings::gather(&common.flags(), &Environment::of_process())?;
        return Ok(Some(theme::names(settings.theme_folder.as_deref()).join("\n") + "\n"));
    }
    Ok(prints.print_keys.then(keys))
}

/// The table of keys as Markdown, as the README has it.
pub fn keys() -> String {
    let mut text = "| where | keys | what for |\n|---|---|---|\n".to_owned();
    for binding in BINDINGS {
        let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
        let place = match binding.context {
            Context::Always => "everywhere",
            Context::Screen => "every screen",
            Context::Sas => "SAs",
            Context::Policies => "policies",
            Context::Packets => "packets",
            Context::Events => "events",
            Context::Reading => "help, a row whole",
            Context::Whole => "an SA whole",
            Context::Frame => "a packet whole",
            Context::Peers => "sums of each peer",
            Context::Question => "a question",
            Context::Form => "a form",
            Context::List => "transforms in a form",
            Context::Proposal => "both halves of a pair",
            Context::Choice => "a list to choose from",
            Context::Line => "a line to type",
        };
        let _ = writeln!(text, "| {place} | {} | {} |", keys.join(" "), binding.action.help());
    }
    text.push_str("\n| command | what for |\n|---|---|\n");
    for command in COMMANDS {
        let names: Vec<String> = command.names.iter().map(|name| format!("`:{name}`")).collect();
        let _ = writeln!(text, "| {} {} | {} |", names.join(" "), command.argument, command.help);
    }
    text
}
