//! Whether the traffic with a peer is encrypted: the dialog of a check, and the sums of each peer.

use std::net::IpAddr;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::detail::bytes::{self, Marks};
use super::widget::{cut, draw_lines, draw_more, draw_popup, wrap};
use crate::capture::{ANY, LinkState};
use crate::console::state::checking::Checking;
use crate::console::state::packets::CaptureState;
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};
use crate::evidence::Sums;
use crate::evidence::check::{Answer, Proof};
use crate::model::text::harmless;

/// Two columns of sixteen bytes, and the dialog's edges.
const MOST_WIDTH: u16 = 144;

/// Draws a check: what was found so far, then the answer, with the frame that proves it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, checking: &Checking) -> Reading {
    let width = area.width.min(MOST_WIDTH);
    let cells = usize::from(width.saturating_sub(4));
    let mut lines = words(state, theme, checking, cells);
    if let Some((proof, seen)) = &checking.sample {
        let row = state.row_of(seen);
        let looked = state.look_into(&row);
        let marks = checking.text().map_or_else(Marks::default, |text| Marks::of_text(&row, &looked, text.as_bytes()));
        lines.push(Line::default());
        let way = seen.frame.direction.map_or_else(String::new, |way| format!(" {way}"));
        let head = format!("The first {}: {}{way}, {} bytes", proof_words(*proof), row.time, seen.frame.bytes.len());
        lines.extend(wrap(&head, cells).into_iter().map(|line| Line::styled(line, theme.style(Role::Title))));
        lines.extend(bytes::draw(&row.frame.bytes, &looked, &marks, theme, cells).lines);
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).max(6);
    let title = format!("Is the traffic {} encrypted?", checking.plan.traffic);
    let inside = draw_popup(frame, area, theme, &title, width, height);
    let height = draw_lines(frame, inside, &lines, checking.scroll);
    let reading = Reading { top: checking.scroll, height, length: lines.len() };
    draw_more(frame, inside, theme, reading, "j");
    reading
}

fn words(state: &State, theme: &Theme, checking: &Checking, cells: usize) -> Vec<Line<'static>> {
    let left = checking.until_ms.saturating_sub(state.facts.now.uptime_ms).div_ceil(1000);
    let left = if checking.is_over { 0 } else { left.max(1) };
    let mut lines = Vec::new();
    let mut say =
        |text: &str, role| lines.extend(wrap(text, cells).into_iter().map(|l| Line::styled(l, theme.style(role))));
    let place = match &state.packets.capture {
        CaptureState::Running(name) | CaptureState::Down(name) => Some(name.as_str()),
        CaptureState::Idle | CaptureState::Starting | CaptureState::Failed(_) => None,
    };
    if left > 0 {
        let (count, place) =
            (checking.check.seen(), place.map_or_else(String::new, |name| format!(" {}", harmless(name))));
        say(&format!("watching{place} for {left} more seconds; {count} frames so far"), Role::Muted);
    }
    match &state.packets.capture {
        CaptureState::Failed(reason) => say(&format!("no packets: {reason}"), Role::Caution),
        CaptureState::Down(name) => say(&LinkState::Down.words(name), Role::Caution),
        _ => {}
    }
    if let (Some(reason), Some((_, host))) = (&checking.trouble, checking.plan.probe) {
        say(&format!("nothing can be sent to {host}: {reason}"), Role::Caution);
    }
    let (sentence, next) = checking.check.sentence(|at_ns| state.clock.time_of_day_ms(at_ns / 1_000_000));
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
    if left == 0
        && let Some(name) = place.filter(|name| *name != ANY)
    {
        let words = format!("Watched was {}; what leaves by another interface was not seen", harmless(name));
        say(&words, Role::Muted);
    }
    lines
}

fn proof_words(proof: Proof) -> &'static str {
    match proof {
        Proof::Undecided => "of which nothing can be said",
        Proof::Encrypted => "encrypted one, which cannot be opened here",
        Proof::Opened => "encrypted one, with what was inside",
        Proof::TextInside => "with the text inside",
        Proof::Readable => "that can be read on the wire",
        Proof::TextOnWire => "with the text on the wire",
    }
}

/// Draws the sums of each peer, and of all.
pub fn draw_peers(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    theme: &Theme,
    selected: Option<IpAddr>,
) -> Reading {
    const COUNTS: u16 = 10 + 7 + 7 + 8 + 10 + 8;
    let totals = &state.packets.judge.totals;
    let peers = totals.peers();
    let height = u16::try_from(peers.len() + 4).unwrap_or(u16::MAX);
    // Room for the longest IPv6 address, if there is any.
    let inside = draw_popup(frame, area, theme, "Frames with each peer", COUNTS + 40 + 4, height);
    let name_width = usize::from(inside.width.saturating_sub(COUNTS));
    let line = |name: &str, sums: &Sums, dropped: &str| {
        let Sums { protected, weak, clear, forbidden, undecided } = sums;
        let name = cut(name, name_width);
        format!("{name:<name_width$}{protected:>10}{weak:>7}{clear:>7}{forbidden:>8}{undecided:>10}{dropped:>8}")
    };
    let role = |sums: &Sums| match (sums.forbidden + sums.weak, sums.undecided) {
        (1.., _) => Role::Alarm,
        (0, 1..) => Role::Caution,
        (0, 0) => Role::Text,
    };
    let head = format!(
        "{:<name_width$}{:>10}{:>7}{:>7}{:>8}{:>10}{:>8}",
        "peer", "protected", "WEAK !", "clear", "CLEAR !", "undecided", "dropped"
    );
    let [head_line, list, sums_line] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(inside);
    draw_lines(frame, head_line, &[Line::styled(head, theme.style(Role::Header))], 0);
    let place = peers.iter().position(|(peer, _)| Some(*peer) == selected).unwrap_or(0);
    let mut lines: Vec<Line<'_>> = peers
        .iter()
        .enumerate()
        .map(|(at, (peer, sums))| {
            let role = if at == place { Role::Selected } else { role(sums) };
            // Whose frames were dropped nobody knows.
            Line::styled(line(&peer.to_string(), sums, "?"), theme.style(role))
        })
        .collect();
    if peers.is_empty() {
        lines.push(Line::styled("no packets yet", theme.style(Role::Muted)));
    }
    let room = usize::from(list.height);
    let top = (place + 1).saturating_sub(room);
    draw_lines(frame, list, &lines, top);
    let all = line("overall, also without a peer", &totals.all, &state.packets.dropped.to_string());
    draw_lines(frame, sums_line, &[Line::styled(all, theme.style(role(&totals.all)))], 0);
    Reading { top, height: room, length: lines.len() }
}
