//! The keys and commands, made from their tables.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::widget::{draw_lines, draw_more, draw_popup};
use crate::console::keymap::{self, Context};
use crate::console::state::line::commands;
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};

/// Draws what works in `contexts`.
pub fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    theme: &Theme,
    contexts: &[Context],
    scroll: usize,
) -> Reading {
    let mut lines = Vec::new();
    for binding in keymap::bindings(contexts, state.setting.read_only) {
        let keys: Vec<String> = binding.keys.iter().map(ToString::to_string).collect();
        lines.push(row(theme, &keys.join(" "), binding.action.help()));
    }
    lines.push(Line::default());
    lines.push(Line::styled("Commands, behind :", theme.style(Role::Header)));
    for command in commands(state.setting.read_only) {
        let name = format!("{} {}", command.names.first().unwrap_or(&""), command.argument);
        lines.push(row(theme, name.trim_end(), command.help));
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let inside = draw_popup(frame, area, theme, "Keys", WIDTH, height);
    let height = draw_lines(frame, inside, &lines, scroll);
    let reading = Reading { top: scroll, height, length: lines.len() };
    draw_more(frame, inside, theme, reading, "j");
    reading
}

/// As wide as the narrowest terminal that most people have.
const WIDTH: u16 = 80;

fn row<'a>(theme: &Theme, keys: &str, help: &'a str) -> Line<'a> {
    Line::from(vec![
        Span::styled(format!("{keys:<22} "), theme.style(Role::Key)),
        Span::styled(help, theme.style(Role::Text)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::keymap::BINDINGS;
    use crate::console::state::line::COMMANDS;

    #[test]
    fn no_sentence_is_cut() {
        let room = usize::from(WIDTH) - 4 - 23;
        let sentences = BINDINGS.iter().map(|binding| binding.action.help()).chain(COMMANDS.iter().map(|c| c.help));
        for sentence in sentences {
            assert!(sentence.chars().count() <= room, "{sentence:?} is longer than {room}");
        }
    }
}
