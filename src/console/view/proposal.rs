//! Both halves of what is to protect the traffic with another host, before anything is changed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::widget::{draw_lines, draw_popup, wrap};
use crate::console::state::proposal::{CANNOT_SAY, Progress, Proposal};
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, proposal: &Proposal) -> Reading {
    let width = area.width.saturating_sub(2).min(140);
    let cells = usize::from(width.saturating_sub(4));
    let mut lines: Vec<Line<'_>> = Vec::new();
    match proposal.words() {
        Some([ours, theirs]) => {
            let other = state.setting.other_host.as_deref().unwrap_or("the other host");
            let halves = [("here", ours, Some(&proposal.here)), (other, theirs, Some(&proposal.there))];
            for (name, text, progress) in halves {
                lines.push(heading(theme, name, progress.filter(|_| name != "the other host")));
                for line in text.lines().filter(|line| !line.starts_with("#!")) {
                    let role = if line.starts_with('#') { Role::Muted } else { Role::Text };
                    lines.extend(command(line, cells).into_iter().map(|part| Line::styled(part, theme.style(role))));
                }
                lines.push(Line::default());
            }
            lines.pop();
        }
        None => lines.extend(wrap(CANNOT_SAY, cells).into_iter().map(|l| Line::styled(l, theme.style(Role::Caution)))),
    }
    let mut below = Vec::new();
    for progress in [&proposal.here, &proposal.there] {
        if let Progress::Refused(why) = progress {
            let sentence = format!("refused, and nothing of it was made: {why}");
            below.extend(wrap(&sentence, cells).into_iter().map(|l| Line::styled(l, theme.style(Role::Alarm))));
        }
    }
    let (sentence, role) = consequence(proposal);
    below.extend(wrap(sentence, cells).into_iter().map(|line| Line::styled(line, theme.style(role))));
    let foot = u16::try_from(below.len() + 1).unwrap_or(2);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(foot + 2).min(area.height);
    let title = format!("{} and {}", proposal.plan.here, proposal.plan.there);
    let inside = draw_popup(frame, area, theme, &title, width, height);
    let [list, sentences] = Layout::vertical([Constraint::Min(0), Constraint::Length(foot)]).areas(inside);
    let room = draw_lines(frame, list, &lines, proposal.scroll);
    let sentences = Rect { y: sentences.y + 1, height: sentences.height.saturating_sub(1), ..sentences };
    draw_lines(frame, sentences, &below, 0);
    Reading { top: proposal.scroll.min(lines.len().saturating_sub(room)), height: room, length: lines.len() }
}

/// A command in as many lines as it takes; it begins where the others do.
fn command(line: &str, cells: usize) -> Vec<String> {
    let parts = wrap(line, cells.saturating_sub(2));
    parts.into_iter().enumerate().map(|(place, part)| if place == 0 { part } else { format!("  {part}") }).collect()
}

fn heading<'a>(theme: &Theme, name: &str, progress: Option<&Progress>) -> Line<'a> {
    let (word, role) = match progress {
        None => ("by its script", Role::Muted),
        Some(Progress::Proposed) => ("not made yet", Role::Muted),
        Some(Progress::Pending) => ("waiting for the kernel", Role::Caution),
        Some(Progress::Made) => ("made", Role::Good),
        Some(Progress::Refused(_)) => ("refused", Role::Alarm),
    };
    Line::from(vec![
        Span::styled(format!("{name}: "), theme.style(Role::Header)),
        Span::styled(word, theme.style(role)),
    ])
}

fn consequence(proposal: &Proposal) -> (&'static str, Role) {
    match (&proposal.here, &proposal.there, proposal.plan.only_keys) {
        (Progress::Made, Progress::Made, false) => {
            ("Both hosts have it. c on the SAs' screen checks the traffic.", Role::Good)
        }
        (Progress::Made, Progress::Made, true) => {
            ("Both hosts use the new keys. The old SAs can be deleted now, on both.", Role::Good)
        }
        (Progress::Made, ..) => ("The traffic is lost until the other host has its half too.", Role::Caution),
        (_, Progress::Made, _) => ("The traffic is lost until this host has its half too.", Role::Caution),
        (_, _, true) => ("While only one host has the new keys, packets are lost.", Role::Caution),
        _ => {
            ("From the moment that one host has it, the traffic is lost until the other one has it too.", Role::Caution)
        }
    }
}
