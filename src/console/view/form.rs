//! A form: a line for each field, what is wrong below it, what it means at the foot.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::widget::{cut, draw_input, draw_more, draw_popup, put, width_of, wrap};
use crate::console::command::Change;
use crate::console::form::said::in_both_languages;
use crate::console::form::{Form, Kind, Place, Progress};
use crate::console::state::{Reading, State};
use crate::console::text_field::TextField;
use crate::console::theme::{Role, Theme};
use crate::model::check::Severity;

/// Where values begin.
const LABEL_WIDTH: u16 = 21;

/// A line of the form.
enum Row {
    Field(Place),
    Complaint(Severity, String),
    Button,
}

/// Draws it, or its last step.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, form: &Form) {
    match form.in_review() {
        Some(change) => draw_review(frame, area, theme, form, &change),
        None => draw_fields(frame, area, state, theme, form),
    }
}

/// What will be sent, in both languages and without keys, and everything that may be a mistake.
fn draw_review(frame: &mut Frame<'_>, area: Rect, theme: &Theme, form: &Form, change: &Change) {
    const INDENT: u16 = 2;
    let width = area.width.saturating_sub(2).min(92);
    let cells = usize::from(width.saturating_sub(4 + INDENT));
    let mut lines = Vec::new();
    for (name, text) in in_both_languages(change, form.edited_sa()) {
        lines.push((0, name.to_owned(), Role::Muted));
        // What setkey cannot say stands above as a command already.
        let said = text.lines().filter(|line| !line.starts_with("# ip xfrm")).map(|line| line.trim_end_matches(':'));
        let wrapped = said.flat_map(|line| wrap(line, cells));
        lines.extend(wrapped.map(|line| (INDENT, line, Role::Text)));
    }
    for warning in form.warnings() {
        lines.extend(
            wrap(&format!("warning: {}", warning.sentence), cells)
                .into_iter()
                .enumerate()
                .map(|(place, line)| (if place == 0 { 0 } else { INDENT }, line, Role::Caution)),
        );
    }
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let title = format!("{}: this will be sent", form.title());
    let inside = draw_popup(frame, area, theme, &title, width, rows.saturating_add(5));
    let [list, button, _, foot] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(1), Constraint::Length(1), Constraint::Length(1)])
            .areas(inside);
    // Warnings stand at the end: they must be seen even if there is no room for all of it.
    let hidden = lines.len().saturating_sub(list.height.into());
    if let Some(first) = lines.get_mut(hidden).filter(|_| hidden > 0) {
        let words = format!("({} lines above have no room: a larger window shows them)", hidden + 1);
        *first = (0, words, Role::Caution);
    }
    for ((column, line, role), y) in lines.iter().skip(hidden).zip(list.y..list.bottom()) {
        put(frame, Rect { y, height: 1, ..list }, *column, line, theme.style(*role));
    }
    let text = if form.warnings().is_empty() { "[ Send ]" } else { "[ Send it all the same ]" };
    put(frame, button, LABEL_WIDTH, text, theme.style(Role::Selected));
    put(frame, foot, 0, "Enter sends it. Esc goes back to the form; nothing was sent yet.", theme.style(Role::Muted));
}

fn draw_fields(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, form: &Form) {
    let width = area.width.saturating_sub(2).min(92);
    let inner_width = usize::from(width.saturating_sub(4));
    let rows = rows(form, inner_width.saturating_sub(usize::from(LABEL_WIDTH)));
    let help = wrap(help(form), inner_width);
    let foot = u16::try_from(help.len() + 1).unwrap_or(2);
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(foot + 2);
    let inside = draw_popup(frame, area, theme, form.title(), width, height);
    // Where there is little room the help gives way: nobody must type into a field that cannot be seen.
    let least = u16::try_from(rows.len()).unwrap_or(u16::MAX).min(3);
    let [list, below] = Layout::vertical([Constraint::Min(least), Constraint::Length(foot)]).areas(inside);
    let focus = rows.iter().position(|row| match (row, form.focused()) {
        (Row::Field(place), Some(focused)) => is_same(*place, focused),
        (Row::Button, None) => true,
        _ => false,
    });
    // The complaint below the focused field is to be seen too.
    let focus = focus.unwrap_or(0);
    let scroll = (focus + 2).min(rows.len()).saturating_sub(usize::from(list.height)).min(focus);
    for (row, y) in rows.iter().skip(scroll).zip(list.y..list.bottom()) {
        let place = Rect { y, height: 1, ..list };
        match row {
            Row::Field(field) => draw_field(frame, place, state, theme, form, *field),
            Row::Complaint(severity, sentence) => {
                let role = if *severity == Severity::Error { Role::Alarm } else { Role::Caution };
                put(frame, place, LABEL_WIDTH, sentence, theme.style(role));
            }
            Row::Button => draw_button(frame, place, theme, form),
        }
    }
    let reading = Reading { top: scroll, height: list.height.into(), length: rows.len() };
    draw_more(frame, inside, theme, reading, "Tab");
    for (line, y) in help.iter().zip(below.y + 1..below.bottom()) {
        put(frame, Rect { y, height: 1, ..below }, 0, line, theme.style(Role::Muted));
    }
}

fn rows(form: &Form, cells: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let complaints = form.complaints();
    for place in form.places() {
        rows.push(Row::Field(place));
        if let Some((_, words)) = form.refusal().filter(|(about, _)| about.is_some_and(|field| place.is(field))) {
            let sentence = format!("the kernel: {words}");
            rows.extend(wrap(&sentence, cells).into_iter().map(|line| Row::Complaint(Severity::Error, line)));
        } else if let Some(complaint) = form.complaint(&complaints, place) {
            let lines = wrap(&complaint.sentence, cells);
            rows.extend(lines.into_iter().map(|line| Row::Complaint(complaint.severity, line)));
        }
    }
    if let Some((_, words)) = form.refusal().filter(|(about, _)| about.is_none()) {
        let sentence = format!("the kernel: {words}");
        rows.extend(wrap(&sentence, cells).into_iter().map(|line| Row::Complaint(Severity::Error, line)));
    }
    rows.push(Row::Button);
    rows
}

fn help(form: &Form) -> &'static str {
    match form.focused() {
        Some(place) => place.field.help,
        None => "Enter or Ctrl-S goes on; Esc leaves the form and changes nothing.",
    }
}

fn is_same(a: Place, b: Place) -> bool {
    (a.item, a.field.id) == (b.item, b.field.id)
}

/// What stands before a field. The small forms of a list are counted, and their other fields stand further in.
fn label(form: &Form, Place { item, field }: Place) -> String {
    let is_first = |item: usize| form.part(Some(item)).plan().all().next().is_some_and(|first| first.id == field.id);
    match item {
        Some(item) if is_first(item) => format!("{} {}", field.label, item + 1),
        Some(_) => format!("  {}", field.label),
        None => field.label.to_owned(),
    }
}

/// What a fold hides, in a few words.
fn fold_words(form: &Form, place: Place, focused: bool) -> String {
    let part = form.part(place.item);
    match (part.folds_out(place.field.id), part.filled_in_under(place.field.id)) {
        (true, _) => "▾".to_owned(),
        (false, 0) if focused => "▸ Space shows it".to_owned(),
        (false, 0) => "▸".to_owned(),
        (false, count) => format!("▸ {count} filled in"),
    }
}

fn draw_field(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, form: &Form, place: Place) {
    let focused = form.focused().is_some_and(|other| is_same(place, other));
    let label = format!("{}{}", if focused { "> " } else { "  " }, label(form, place));
    put(frame, area, 0, &label, theme.style(if focused { Role::Title } else { Role::Muted }));
    let value = Rect { x: area.x + LABEL_WIDTH.min(area.width), width: area.width.saturating_sub(LABEL_WIDTH), ..area };
    let (part, id) = (form.part(place.item), place.field.id);
    let style = theme.style(if focused { Role::Selected } else { Role::Text });
    match place.field.kind {
        Kind::Choice(_) => {
            let chosen = part.value(id);
            let text = if focused { format!("◂ {chosen} ▸") } else { chosen.to_owned() };
            put(frame, value, 0, &text, style);
        }
        Kind::Fold => put(frame, value, 0, &fold_words(form, place, focused), style),
        Kind::List(_) => {
            let count = form.items().len();
            let text = if focused { format!("{count}; Ctrl-N adds one") } else { count.to_string() };
            put(frame, value, 0, &text, style);
        }
        Kind::Text => {
            if let Some(text) = part.text(id) {
                draw_text(frame, value, theme, text, focused, None);
            }
        }
        Kind::Key => {
            if let Some(text) = part.text(id) {
                let shown = form.reveals(state.facts.now.uptime_ms);
                let masked = (!shown).then(|| "•".repeat(text.text().chars().count()));
                draw_text(frame, value, theme, text, focused, masked.as_deref());
            }
        }
    }
}

fn draw_text(frame: &mut Frame<'_>, area: Rect, theme: &Theme, field: &TextField, focused: bool, masked: Option<&str>) {
    let style = theme.style(if masked.is_some() { Role::Secret } else { Role::Input });
    let text = masked.unwrap_or(field.text());
    if focused {
        // An empty field must be seen to be one.
        frame.buffer_mut().set_style(area, style);
        let style = if field.is_marked() { theme.style(Role::Selected) } else { style };
        draw_input(frame, area, text, field.cursor_chars(), style);
    } else {
        put(frame, area, 0, &cut(text, area.width.into()), style);
    }
}

fn draw_button(frame: &mut Frame<'_>, area: Rect, theme: &Theme, form: &Form) {
    let button = form.button();
    let (text, role) = match (form.progress(), form.focused().is_none()) {
        (Progress::Pending, _) => ("  waiting for the kernel".to_owned(), Role::Caution),
        (Progress::Review, true) => (format!("[ {button} all the same ]"), Role::Selected),
        (Progress::Review, false) => (format!("  {button} all the same"), Role::Caution),
        (Progress::Editing, true) => (format!("[ {button} ]"), Role::Selected),
        (Progress::Editing, false) => (format!("  {button}"), Role::Muted),
    };
    put(frame, area, LABEL_WIDTH, &text, theme.style(role));
    let hint = "Ctrl-S";
    let column = LABEL_WIDTH + u16::try_from(width_of(&text)).unwrap_or(0) + 2;
    put(frame, area, column, hint, theme.style(Role::Key));
}
