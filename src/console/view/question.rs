//! "Are you sure?", with exactly what would go.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::widget::{cut, draw_lines, draw_popup, wrap};
use crate::console::state::question::Question;
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, question: &Question) -> Reading {
    let deed = &question.deed;
    let (count, _) = deed.victims(&state.facts.sad, &state.facts.spd, 0..0);
    let width = area.width.saturating_sub(4).min(100);
    let consequence = wrap(&question.consequence, usize::from(width.saturating_sub(4)));
    let least = u16::try_from(consequence.len()).unwrap_or(1) + 4;
    // One row is shown whole, in as many lines as it takes; of many each has a line.
    let (_, first) = deed.victims(&state.facts.sad, &state.facts.spd, 0..1);
    let single: Vec<String> = match first.first() {
        Some(victim) if count == 1 => wrap(victim, usize::from(width.saturating_sub(4))),
        _ => Vec::new(),
    };
    let rows = count.max(single.len());
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(least).min(area.height);
    let inside = draw_popup(frame, area, theme, &deed.title(count), width, height);
    let below = Constraint::Length(u16::try_from(consequence.len()).unwrap_or(1));
    let [list, sentence, answer] = Layout::vertical([Constraint::Min(0), below, Constraint::Length(1)])
        .areas(inside.inner(ratatui::layout::Margin { horizontal: 0, vertical: 0 }));
    let room = usize::from(list.height);
    let scroll = question.scroll.min(count.saturating_sub(room));
    let (_, victims) = deed.victims(&state.facts.sad, &state.facts.spd, scroll..scroll + room);
    let lines: Vec<Line<'_>> = if count == 1 {
        single.iter().map(|line| Line::styled(line.as_str(), theme.style(Role::Text))).collect()
    } else if count == 0 {
        vec![Line::styled("it is gone already", theme.style(Role::Muted))]
    } else {
        let cells = usize::from(list.width);
        victims.iter().map(|victim| Line::styled(cut(victim, cells), theme.style(Role::Text))).collect()
    };
    draw_lines(frame, list, &lines, 0);
    let sentences: Vec<Line<'_>> =
        consequence.iter().map(|line| Line::styled(line.as_str(), theme.style(Role::Caution))).collect();
    draw_lines(frame, sentence, &sentences, 0);
    let more = count.saturating_sub(scroll + room);
    let mut answers = vec![
        Span::styled("y", theme.style(Role::Key)),
        Span::raw(" yes, delete    "),
        Span::styled("n", theme.style(Role::Key)),
        Span::raw(" no"),
    ];
    if more > 0 {
        answers.push(Span::styled(format!("    {more} more below: j"), theme.style(Role::Caution)));
    }
    frame.buffer_mut().set_line(answer.x, answer.y, &Line::from(answers), answer.width);
    Reading { top: question.scroll, height: room, length: count }
}
