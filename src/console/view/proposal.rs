//! What is to become of the protection of the traffic with another host, on both hosts, before anything is changed; and
//! what to do next.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::widget::{draw_lines, draw_more, draw_popup, wrap};
use crate::console::state::proposal::{CANNOT_SAY, Progress, Proposal, Step};
use crate::console::state::{Reading, State};
use crate::console::theme::{Role, Theme};
use crate::model::pair::{Purpose, Side};

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, proposal: &Proposal) -> Reading {
    let width = area.width.saturating_sub(2).min(140);
    let cells = usize::from(width.saturating_sub(4));
    let mut lines: Vec<Line<'_>> = Vec::new();
    let other = state.setting.other_host.as_deref();
    let next = proposal.turn().map(|(place, _)| place).filter(|_| proposal.is_ordered());
    let mut scroll = 0;
    for (place, step) in proposal.steps.iter().enumerate() {
        let number = if proposal.is_ordered() { format!("{}. ", place + 1) } else { String::new() };
        let name = if step.side == Side::Here { "here" } else { other.unwrap_or("the other host") };
        if next == Some(place) {
            scroll = lines.len();
        }
        lines.push(heading(theme, &format!("{number}{name}"), step, other.is_some()));
        let Some(text) = proposal.words(step) else {
            let words = wrap(CANNOT_SAY, cells).into_iter();
            lines.extend(words.map(|line| Line::styled(line, theme.style(Role::Caution))).chain([Line::default()]));
            continue;
        };
        for line in text.lines().filter(|line| !line.starts_with("#!")) {
            let role = if line.starts_with('#') { Role::Muted } else { Role::Text };
            lines.extend(command(line, cells).into_iter().map(|part| Line::styled(part, theme.style(role))));
        }
        lines.push(Line::default());
    }
    lines.pop();
    let is_all_done = proposal.is_ordered() && next.is_none();
    let scroll = proposal.scroll.unwrap_or(if is_all_done { lines.len() } else { scroll });
    let mut below = Vec::new();
    for step in &proposal.steps {
        if let Progress::Refused(why) = &step.progress {
            let host = name(proposal, state, step.side);
            let sentence = format!("{host} refused, and nothing of it was done: {why}");
            below.extend(wrap(&sentence, cells).into_iter().map(|l| Line::styled(l, theme.style(Role::Alarm))));
        }
        if let Some(why) = step.why_unknown() {
            let sentence = format!("on {}: {why}", name(proposal, state, step.side));
            below.extend(wrap(&sentence, cells).into_iter().map(|l| Line::styled(l, theme.style(Role::Alarm))));
        }
    }
    let (sentence, role) = advice(proposal, state);
    below.extend(wrap(&sentence, cells).into_iter().map(|line| Line::styled(line, theme.style(role))));
    let foot = u16::try_from(below.len() + 1).unwrap_or(2);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(foot + 2).min(area.height);
    let what = match proposal.plan.purpose {
        Purpose::Make => "Protect the traffic of",
        Purpose::NewKeys(_) => "New keys for",
        Purpose::Remove => "Remove what protects the traffic of",
    };
    let title = format!("{what} {} and {}", proposal.plan.here, proposal.plan.there);
    let inside = draw_popup(frame, area, theme, &title, width, height);
    let [list, sentences] = Layout::vertical([Constraint::Min(0), Constraint::Length(foot)]).areas(inside);
    let room = draw_lines(frame, list, &lines, scroll);
    let sentences = Rect { y: sentences.y + 1, height: sentences.height.saturating_sub(1), ..sentences };
    draw_lines(frame, sentences, &below, 0);
    let reading = Reading { top: scroll.min(lines.len().saturating_sub(room)), height: room, length: lines.len() };
    draw_more(frame, inside, theme, reading, "j");
    reading
}

/// A command in as many lines as it takes; it begins where the others do.
fn command(line: &str, cells: usize) -> Vec<String> {
    let parts = wrap(line, cells.saturating_sub(2));
    parts.into_iter().enumerate().map(|(place, part)| if place == 0 { part } else { format!("  {part}") }).collect()
}

fn heading<'a>(theme: &Theme, name: &str, step: &Step, is_reached: bool) -> Line<'a> {
    let mut rest = String::new();
    let (word, role) = match &step.progress {
        Progress::Proposed if step.side == Side::There && !is_reached => {
            if step.is_handed_over {
                ("by its script, which is handed over", Role::Text)
            } else {
                ("by its script", Role::Muted)
            }
        }
        Progress::Proposed => ("not done yet", Role::Muted),
        Progress::Pending => ("waiting for the kernel", Role::Caution),
        Progress::Made => match &step.missing {
            Some(what) => {
                rest = format!(", but not there: {what}");
                ("done", Role::Caution)
            }
            None => ("done", Role::Good),
        },
        Progress::Refused(_) => ("refused", Role::Alarm),
        Progress::Unknown(_) => ("not known", Role::Alarm),
    };
    Line::from(vec![
        Span::styled(format!("{name}: "), theme.style(Role::Header)),
        Span::styled(format!("{word}{rest}"), theme.style(role)),
    ])
}

/// What to do next, and what follows from it.
fn advice(proposal: &Proposal, state: &State) -> (String, Role) {
    if proposal.is_unknown() {
        return (not_known(proposal, state), Role::Alarm);
    }
    match proposal.plan.purpose {
        Purpose::Make => making(proposal, state),
        Purpose::NewKeys(_) => renewing(proposal, state),
        Purpose::Remove => removing(proposal, state),
    }
}

/// A host, as it is called here.
fn name(proposal: &Proposal, state: &State, side: Side) -> String {
    match side {
        Side::Here => "this host".to_owned(),
        Side::There => other(proposal, state).0,
    }
}

/// Where it is not known what a host has, nothing is advised but to look.
fn not_known(proposal: &Proposal, state: &State) -> String {
    let is_open = |side| proposal.steps.iter().any(|step| step.side == side && step.why_unknown().is_some());
    let (other, _) = other(proposal, state);
    let look = match [is_open(Side::Here), is_open(Side::There)] {
        [true, true] => format!(
            "What this host and {other} have of this plan is not known, and the traffic may be lost: the screens 1 and 2, \
             and on {other} ip xfrm state and ip xfrm policy, show it."
        ),
        [false, true] => format!(
            "What {other} has of this plan is not known, and the traffic may be lost: ip xfrm state and ip xfrm policy \
             there show it."
        ),
        [_, false] => "What this host has of this plan is not known, and the traffic may be lost: the screens 1 and 2 \
                       show it."
            .to_owned(),
    };
    let rest = if proposal.is_begun() { " u takes back what else was done;" } else { "" };
    format!("{look}{rest} Esc leaves it so.")
}

/// Whether all steps of this host, and of the other one, are done.
fn done(proposal: &Proposal) -> [bool; 2] {
    [Side::Here, Side::There].map(|side| {
        let mut steps = proposal.steps.iter().filter(|step| step.side == side);
        steps.all(|step| step.progress == Progress::Made)
    })
}

/// The other host, and how its next step is done.
fn other(proposal: &Proposal, state: &State) -> (String, &'static str) {
    match &state.setting.other_host {
        Some(name) => (name.clone(), "o does it there"),
        None => (proposal.plan.there.to_string(), "Y copies its script, w saves it, to be run there"),
    }
}

/// What is said while a step is on trial. `deed`: what was done; `undone`: what becomes of it unless it is kept; `lacks`:
/// what the other host has not done yet.
fn on_trial(proposal: &Proposal, state: &State, deed: &str, undone: &str, lacks: &str) -> Option<(String, Role)> {
    let seconds = proposal.trial_until?.saturating_sub(state.facts.now.uptime_ms).div_ceil(1000);
    let (place, back) = if proposal.tried_there().is_empty() { ("here", "") } else { ("on both hosts", " on both") };
    let mut words = format!(
        "{deed} {place}, on trial: y keeps it. Otherwise all of it {undone}{back} by itself in {seconds} s, in case that \
         this cut you off."
    );
    if !done(proposal)[1] {
        let (other, _) = other(proposal, state);
        // A script that has run there is not taken back from here.
        let how = if state.setting.other_host.is_some() { ": o does it there, on trial as well" } else { "" };
        words.push_str(&format!(" The traffic is lost until {other} {lacks} too{how}."));
    }
    Some((words, Role::Alarm))
}

fn making(proposal: &Proposal, state: &State) -> (String, Role) {
    let (other, how) = other(proposal, state);
    if let Some(sentence) = on_trial(proposal, state, "Made", "goes again", "has its half") {
        return sentence;
    }
    if proposal.has_lapsed {
        let mut words =
            "Nobody said that it shall be kept: it was taken back. y makes it here, y again keeps it.".to_owned();
        if done(proposal)[1] {
            words.push_str(&format!(" {other} has its half, so the traffic is lost until then."));
        }
        return (words, Role::Alarm);
    }
    let words = match done(proposal) {
        [true, true] => return ("Both hosts have it. c on the SAs' screen checks the traffic.".to_owned(), Role::Good),
        [true, false] => format!("The traffic is lost until {other} has its half too: {how}."),
        [false, true] => format!(
            "Made on {other}, where it stays: it is not on trial. The traffic is lost until this host has its half too: y \
             makes it, and then both are on trial; u takes {other}'s half back."
        ),
        [false, false] => format!(
            "y makes it here, on trial for half a minute. From the moment that one host has it, the traffic is lost until \
             the other one has it too; for {other}, {how}."
        ),
    };
    (words, Role::Caution)
}

fn renewing(proposal: &Proposal, state: &State) -> (String, Role) {
    let (other, how) = other(proposal, state);
    let is_lab = state.setting.other_host.is_some();
    let Some((place, step)) = proposal.turn() else {
        let words = if is_lab {
            "Both hosts use the new keys, and the old SAs that this console knew of are gone from both.".to_owned()
        } else {
            format!(
                "This host uses the new keys. When both scripts have run on {other}, the old SAs that this console knew of \
                 are gone from both."
            )
        };
        return (words, Role::Good);
    };
    let is_last = place + 1 == proposal.steps.len();
    let words = match step.side {
        Side::Here if place == 0 => {
            "In this order no packet is lost. First y: this host can read what comes with the new keys; it goes on \
             sending with the old ones."
                .to_owned()
        }
        Side::There if is_last => format!("Last, {other} forgets the old keys: {how}."),
        Side::There => format!("Now {other} gets the new keys and sends with them: {how}."),
        Side::Here => {
            // In the lab its script may have been copied instead, and run or not.
            let before = proposal.steps.get(..place).and_then(<[Step]>::last);
            let heard = if before.is_some_and(|step| step.progress == Progress::Made) {
                "Now"
            } else if state.hears_new_keys() {
                "Packets have come with the new keys. Now"
            } else {
                "When the script has run there (nothing has come with the new keys yet),"
            };
            format!("{heard} y: this host sends with the new keys and forgets the old ones.")
        }
    };
    (words, Role::Caution)
}

fn removing(proposal: &Proposal, state: &State) -> (String, Role) {
    let (words, role) = removing_as_planned(proposal, state);
    // Others may protect the same traffic there, and then they still do.
    let missing = proposal.steps.iter().filter_map(|step| {
        let what = step.missing.as_deref()?;
        Some(format!(
            " Of the plan, {what} could not be found on {}; what there is instead stays: ip xfrm state and ip xfrm policy show it.",
            name(proposal, state, step.side)
        ))
    });
    let missing: String = missing.collect();
    let role = if missing.is_empty() || role == Role::Alarm { role } else { Role::Caution };
    (format!("{words}{missing}"), role)
}

fn removing_as_planned(proposal: &Proposal, state: &State) -> (String, Role) {
    let (other, how) = other(proposal, state);
    if let Some((mut words, role)) = on_trial(proposal, state, "Removed", "comes back", "has removed it") {
        if done(proposal)[1] {
            words.push_str(&format!(" {}", proposal.afterwards));
        }
        return (words, role);
    }
    if proposal.has_lapsed {
        let mut words =
            "Nobody said that the removal shall be kept: it was taken back. y removes it here, y again keeps it."
                .to_owned();
        if done(proposal)[1] {
            words.push_str(&format!(" {other} has removed it, so the traffic is lost until then."));
        }
        return (words, Role::Alarm);
    }
    let afterwards = &proposal.afterwards;
    let words = match done(proposal) {
        [true, true] => {
            let what = if proposal.steps.iter().any(|step| step.missing.is_some()) { " what was there" } else { "" };
            format!(
                "Removed{what} from both hosts. {afterwards} u takes back what was done last, as long as this is open."
            )
        }
        [true, false] => format!(
            "Removed here. {other} still sends and takes only protected packets, so the traffic is lost until it is \
             removed there: {how}. {afterwards}"
        ),
        [false, true] => format!(
            "Removed on {other}, where that stays: it is not on trial. This host still sends and takes only protected \
             packets, so the traffic is lost until y removes it here, and then both are on trial. {afterwards} u takes \
             back what {other} did."
        ),
        [false, false] => format!(
            "This goes from both hosts. {afterwards} While only one of them has removed it, the traffic is lost. y \
             removes it here."
        ),
    };
    (words, if proposal.steps.iter().any(Step::is_passed) { Role::Caution } else { Role::Alarm })
}
