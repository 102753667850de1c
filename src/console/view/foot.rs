//! The last two lines: what was just said or is being typed, and the keys that matter here.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::widget::{cut, draw_input, put, width_of};
use crate::console::keymap;
use crate::console::state::line::Purpose;
use crate::console::state::log::Weight;
use crate::console::state::{Layer, State};
use crate::console::theme::{Role, Theme};

/// Draws them.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (first, second) = (Rect { height: 1, ..area }, Rect { y: area.y + 1, height: 1, ..area });
    match state.layers.last() {
        Some(Layer::Line(line)) => {
            let prompt = if line.purpose == Purpose::Command { ":" } else { "/" };
            put(frame, first, 0, prompt, theme.style(Role::Key));
            let input = Rect { x: first.x + 1, width: first.width - 1, ..first };
            draw_input(frame, input, line.field.text(), line.field.cursor_chars(), theme.style(Role::Input));
            if let Some(error) = &line.error {
                let typed = u16::try_from(width_of(line.field.text())).unwrap_or(u16::MAX).saturating_add(4);
                put(frame, first, typed, error, theme.style(Role::Caution));
            }
        }
        _ => draw_notice(frame, first, state, theme),
    }
    draw_hints(frame, second, state, theme);
}

fn draw_notice(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(notice) = &state.notice else {
        return;
    };
    let (word, role) = match notice.weight {
        Weight::Note => ("", Role::Good),
        Weight::Warning => ("! ", Role::Caution),
        Weight::Alarm => ("refused: ", Role::Alarm),
    };
    let text = cut(&format!("{word}{}", notice.text), usize::from(area.width).saturating_sub(2));
    put(frame, area, 1, &text, theme.style(role));
}

fn draw_hints(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let contexts = state.contexts();
    let mut spans = vec![Span::raw(" ")];
    let mut room = usize::from(area.width).saturating_sub(1);
    for binding in keymap::bindings(&contexts, state.setting.read_only).filter(|binding| binding.hinted) {
        let (Some(key), word) = (binding.keys.first(), binding.action.hint()) else {
            continue;
        };
        let key = key.to_string();
        let width = width_of(&key) + width_of(word) + 3;
        if width > room {
            break;
        }
        room -= width;
        spans.push(Span::styled(key, theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {word}  "), theme.style(Role::Muted)));
    }
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
}
