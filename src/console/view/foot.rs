//! The last two lines: what was just said or is being typed, and the keys that matter here. What was said may need more.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use super::widget::{cut, draw_input, put, width_of, wrap};
use crate::console::action::Action;
use crate::console::form::Kind;
use crate::console::keymap;
use crate::console::state::line::Purpose;
use crate::console::state::log::Weight;
use crate::console::state::{Layer, State};
use crate::console::theme::{Role, Theme};
use crate::model::pair::Side;

/// The most lines that a notice takes.
const MOST_NOTICE_LINES: usize = 3;

/// Draws them.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (first, second) = (Rect { height: 1, ..area }, Rect { y: area.y + 1, height: 1, ..area });
    match state.layers.last() {
        Some(Layer::Line(line)) => {
            let prompt = match line.purpose {
                Purpose::Command => ":",
                Purpose::Filter { .. } => "/",
                Purpose::Search => "text ",
                Purpose::SaveScript => "save as ",
            };
            put(frame, first, 0, prompt, theme.style(Role::Key));
            let taken = u16::try_from(width_of(prompt)).unwrap_or(0);
            let input = Rect { x: first.x + taken, width: first.width.saturating_sub(taken), ..first };
            draw_input(frame, input, line.field.text(), line.field.cursor_chars(), theme.style(Role::Input));
            if let Some(error) = &line.error {
                // In the place of the hints there is room for the whole sentence.
                let text = cut(error, usize::from(second.width).saturating_sub(2));
                put(frame, second, 1, &text, theme.style(Role::Caution));
                return;
            }
        }
        _ => draw_notice(frame, first, state, theme),
    }
    draw_hints(frame, second, state, theme);
}

fn draw_notice(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(notice) = &state.notice else {
        if let Some(waits) = state.waits.first() {
            let text = cut(&format!("{waits}: waiting for the kernel"), usize::from(area.width).saturating_sub(2));
            put(frame, area, 1, &text, theme.style(Role::Muted));
        }
        return;
    };
    let (word, role) = match notice.weight {
        Weight::Note => ("", Role::Good),
        Weight::Warning => ("! ", Role::Caution),
        Weight::Alarm => ("refused: ", Role::Alarm),
    };
    let text = format!("{word}{}", notice.text);
    let cells = usize::from(area.width).saturating_sub(2);
    let mut lines = wrap(&text, cells);
    // The end of a sentence may be the half that decides: it is worth more than the rows above for as long as it is said.
    if lines.len() > MOST_NOTICE_LINES {
        lines.truncate(MOST_NOTICE_LINES);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), cells);
        }
    }
    let above = u16::try_from(lines.len().saturating_sub(1)).unwrap_or(0).min(area.y);
    let area = Rect { y: area.y - above, height: above + 1, ..area };
    if above > 0 {
        frame.render_widget(Clear, area);
        frame.buffer_mut().set_style(area, theme.style(Role::Text));
    }
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        put(frame, Rect { y, height: 1, ..area }, 1, line, theme.style(role));
    }
}

fn draw_hints(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let contexts = state.contexts();
    let mut spans = vec![Span::raw(" ")];
    let mut room = usize::from(area.width).saturating_sub(1);
    let hints: Vec<(Action, String, Cow<'static, str>)> = keymap::bindings(&contexts, state.setting.read_only)
        .filter(|binding| binding.hinted)
        .filter_map(|binding| {
            let word = word(state, binding.action)?;
            Some((binding.action, binding.keys.first()?.to_string(), word))
        })
        .collect();
    let width = |key: &str, word: &str| width_of(key) + width_of(word) + 3;
    // A newcomer needs these before all others.
    let is_kept = |action: Action| matches!(action, Action::Help | Action::Leave | Action::Submit);
    let kept: usize = hints.iter().filter(|(a, ..)| is_kept(*a)).map(|(_, key, word)| width(key, word)).sum();
    let mut room_for_others = room.saturating_sub(kept);
    for (action, key, word) in hints {
        let width = width(&key, &word);
        if !is_kept(action) {
            if width > room_for_others {
                room_for_others = 0;
                continue;
            }
            room_for_others -= width;
        }
        if width > room {
            continue;
        }
        room -= width;
        spans.push(Span::styled(key, theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {word}  "), theme.style(Role::Muted)));
    }
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// What a key does now, in a word; none where it does nothing.
fn word(state: &State, action: Action) -> Option<Cow<'static, str>> {
    let does_something = match (state.layers.last(), action) {
        (Some(Layer::Form(form)), Action::Submit) => {
            let word = if form.in_review().is_some() { action.hint().to_owned() } else { form.button().to_lowercase() };
            return Some(word.into());
        }
        (None, Action::Freeze) if state.packets.feed.frozen_at().is_some() => return Some("go on".into()),
        (Some(Layer::Form(_)), Action::Back) => true,
        (Some(Layer::Form(form)), _) if form.in_review().is_some() => false,
        (Some(Layer::Form(form)), Action::NextChoice) => {
            form.focused().is_some_and(|place| matches!(place.field.kind, Kind::Choice(_) | Kind::Fold))
        }
        (Some(Layer::Form(form)), Action::Generate) => form.can_make_up(),
        (Some(Layer::Form(form)), Action::Reveal) => form.has_keys(),
        (Some(Layer::Proposal(proposal)), Action::MakeHere) => {
            proposal.next(Side::Here).is_some() || proposal.trial_until.is_some()
        }
        (Some(Layer::Proposal(proposal)), Action::MakeThere) => {
            state.setting.other_host.is_some() && proposal.next(Side::There).is_some()
        }
        (Some(Layer::Proposal(proposal)), Action::TakeBack) => proposal.is_begun(),
        _ => true,
    };
    does_something.then(|| action.hint().into())
}
