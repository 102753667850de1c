//! Whether the traffic with a peer is encrypted: the dialog of a check, and the sums of each peer.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::detail::bytes::{self, Marks};
use super::widget::{draw_lines, draw_popup, wrap};
use crate::console::state::packets::Checking;
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};
use crate::evidence::Sums;
use crate::evidence::check::Answer;

/// Draws a check: what was found so far, then the answer, with the newest frame as proof.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, checking: &Checking) {
    let width = area.width.saturating_sub(2).min(140);
    let cells = usize::from(width.saturating_sub(4));
    let left = checking.until_ms.saturating_sub(state.facts.now.uptime_ms).div_ceil(1000);
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut say =
        |text: &str, role| lines.extend(wrap(text, cells).into_iter().map(|l| Line::styled(l, theme.style(role))));
    if left > 0 {
        let count = checking.check.seen();
        say(&format!("watching for {left} more seconds; {count} frames so far"), Role::Muted);
    }
    let (sentence, next) = checking.check.sentence();
    let role = match checking.check.answer() {
        Answer::Encrypted => Role::Good,
        Answer::InClear | Answer::Mixed => Role::Alarm,
        Answer::Undecided => Role::Caution,
    };
    if left == 0 || checking.check.seen() > 0 {
        say(&sentence, role);
    }
    if left == 0
        && let Some(next) = next
    {
        say(&format!("Next: {next}"), Role::Text);
    }
    if let Some(row) = checking.sample.and_then(|number| state.packet_row(number)) {
        lines.push(Line::default());
        let looked = state.look_into(&row);
        lines.extend(bytes::draw(&row.frame.bytes, &looked, &Marks::default(), theme, cells).lines);
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).max(6);
    let title = format!("Is the traffic with {} encrypted?", checking.peer);
    let inside = draw_popup(frame, area, theme, &title, width, height);
    draw_lines(frame, inside, &lines, 0);
}

/// Draws the sums of each peer.
pub fn draw_peers(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, scroll: usize) -> Reading {
    let peers = state.packets.judge.totals.peers();
    let head =
        format!("{:<30}{:>10}{:>8}{:>7}{:>9}{:>11}", "peer", "protected", "WEAK !", "clear", "CLEAR !", "undecided");
    let mut lines = vec![Line::styled(head, theme.style(Role::Header))];
    for (peer, Sums { protected, weak, clear, forbidden, undecided }) in &peers {
        let role = match (forbidden + weak, undecided) {
            (1.., _) => Role::Alarm,
            (0, 1..) => Role::Caution,
            (0, 0) => Role::Text,
        };
        let text = format!("{:<30}{protected:>10}{weak:>8}{clear:>7}{forbidden:>9}{undecided:>11}", peer.to_string());
        lines.push(Line::styled(text, theme.style(role)));
    }
    if peers.is_empty() {
        lines.push(Line::styled("no packets yet", theme.style(Role::Muted)));
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let inside = draw_popup(frame, area, theme, "Frames with each peer", 84, height);
    let height = draw_lines(frame, inside, &lines, scroll);
    Reading { top: scroll, height, length: lines.len() }
}
