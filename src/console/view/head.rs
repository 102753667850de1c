//! The first lines: the program, the host, the four screens; and what is wrong with the console itself.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::widget::{cut, put, wrap};
use crate::console::state::{Screen, State};
use crate::console::theme::{Role, Theme};
use crate::model::text::quantity;

/// The most lines that the banner takes.
const MOST_BANNER_LINES: usize = 3;

/// How many lines the banner takes in a window of this width; none if nothing is wrong.
pub fn banner_height(state: &State, width: u16) -> u16 {
    banner(state).map_or(0, |(_, text)| u16::try_from(banner_lines(&text, width).len()).unwrap_or(1))
}

fn banner_lines(text: &str, width: u16) -> Vec<String> {
    let cells = usize::from(width).saturating_sub(2);
    let mut lines = wrap(text, cells);
    if lines.len() > MOST_BANNER_LINES {
        lines.truncate(MOST_BANNER_LINES);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), cells);
        }
    }
    lines
}

/// Draws them.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let first = Rect { height: 1, ..area };
    // What is wrong goes before everything else in this line.
    let (left, right) = head_line(state, theme, first.width.into());
    let right_width = u16::try_from(right.width()).unwrap_or(0).min(first.width);
    frame.buffer_mut().set_line(first.x, first.y, &left, first.width - right_width);
    let x = first.right() - right_width;
    frame.buffer_mut().set_line(x, first.y, &right, right_width);
    if let Some((role, text)) = banner(state) {
        for (line, y) in banner_lines(&text, area.width).iter().zip(area.y + 1..area.bottom()) {
            let place = Rect { y, height: 1, ..area };
            frame.buffer_mut().set_style(place, theme.style(role));
            put(frame, place, 1, line, theme.style(role));
        }
    }
}

/// The screens, and what is wrong: with as much as there is room for.
fn head_line<'a>(state: &State, theme: &Theme, width: usize) -> (Line<'a>, Line<'a>) {
    let name = match &state.setting.namespace {
        Some(namespace) => format!(" espial {} ", cut(namespace, 24)),
        None => format!(" espial {} ", cut(&state.setting.host, 24)),
    };
    let [plain, short] = ["packets lost", "lost"].map(|lost| status(state, theme, lost));
    // In a narrow window the counts are left out, then the host, then the program's name, then the other screens. Only
    // behind a count it is plain that what was lost are no events.
    let variants = [
        (name.as_str(), true, &plain),
        (&name, true, &short),
        (&name, false, &plain),
        (" espial ", false, &plain),
        ("", false, &plain),
    ];
    for (name, counts, right) in variants {
        let left = tabs(state, theme, name, counts);
        if left.width() + right.width() <= width {
            return (left, right.clone());
        }
    }
    let (number, title, count) =
        (state.screen as usize + 1, state.screen.title(), quantity(count(state, state.screen)));
    let words = cut(&format!(" {number} {title} {count} "), width.saturating_sub(plain.width()));
    (Line::from(Span::styled(words, theme.style(Role::Selected))), plain)
}

fn tabs<'a>(state: &State, theme: &Theme, name: &str, counts: bool) -> Line<'a> {
    let mut spans = Vec::new();
    if !name.is_empty() {
        spans.push(Span::styled(name.to_owned(), theme.style(Role::Title)));
    }
    for (place, screen) in Screen::ALL.into_iter().enumerate() {
        let style = theme.style(if screen == state.screen { Role::Selected } else { Role::Muted });
        let count = if counts { format!(" {}", quantity(count(state, screen))) } else { String::new() };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(format!(" {} {}{count} ", place + 1, screen.title()), style));
    }
    Line::from(spans)
}

fn count(state: &State, screen: Screen) -> u64 {
    let count = match screen {
        Screen::Sas => state.facts.sad.len(),
        Screen::Policies => state.facts.spd.len(),
        Screen::Packets => state.packets.ring.len(),
        Screen::Events => state.log.len(),
    };
    count as u64
}

/// What is wrong; `lost_words`: the words for packets that the kernel lost.
fn status<'a>(state: &State, theme: &Theme, lost_words: &str) -> Line<'a> {
    let mut words = Vec::new();
    let mut say = |text: String, role| {
        words.push(Span::styled(text, theme.style(role)));
        words.push(Span::raw(" "));
    };
    if state.setting.read_only {
        say("read-only".to_owned(), Role::Good);
    }
    if !state.facts.synced && state.facts.silent.is_none() {
        say("reading".to_owned(), Role::Caution);
    }
    let leaks = state.packets.judge.totals.all.forbidden;
    if leaks > 0 {
        say(format!("{} CLEAR !", quantity(leaks)), Role::Alarm);
    }
    let lost = state.facts.statistics.total();
    if lost > 0 {
        say(format!("{} {lost_words}", quantity(lost)), Role::Caution);
    }
    Line::from(words)
}

/// The worst of what is wrong with the console itself.
fn banner(state: &State) -> Option<(Role, String)> {
    if let Some(name) = state.lost_threads.last() {
        return Some((Role::Alarm, format!("thread {name} has ended: what it showed is not up to date (see Events)")));
    }
    let complaints = &state.setting.complaints;
    if let Some(silent) = &state.facts.silent {
        // Where rights are missing, what to do about it is the better sentence.
        return Some((Role::Alarm, complaints.first().unwrap_or(silent).clone()));
    }
    let more = if complaints.len() > 1 { format!(" (+{} in Events)", complaints.len() - 1) } else { String::new() };
    complaints.first().map(|complaint| (Role::Caution, format!("{complaint}{more}")))
}
