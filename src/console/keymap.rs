//! Which key means what, where: one table. Help, the hint line and the README are made from it.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;

/// A place where keys have a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere, forms and dialogs included.
    Always,
    /// Any of the four screens with nothing before it.
    Screen,
    /// The screen of SAs.
    Sas,
    /// The screen of policies.
    Policies,
    /// The screen of packets.
    Packets,
    /// The screen of events.
    Events,
    /// Text to read: help, or one row whole.
    Reading,
    /// The keys of an SA that is seen whole.
    Whole,
    /// The keys of a packet that is seen whole.
    Frame,
    /// The keys among the sums of each peer.
    Peers,
    /// A question.
    Question,
    /// A form.
    Form,
    /// A list of small forms within a form.
    List,
    /// What is to protect the traffic with another host.
    Proposal,
    /// A list to choose from.
    Choice,
    /// The columns of a table, to choose from.
    Columns,
    /// A line to type: a filter or a command.
    Line,
}

/// A key with what is held down beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// The key of an event. Shift is part of the character and says nothing more: some terminals report it, some do
    /// not.
    pub fn of(event: KeyEvent) -> Self {
        let mut modifiers = event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code: event.code, modifiers }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("Ctrl-")?;
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) => {
                write!(f, "{}", c.to_ascii_uppercase())
            }
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::Up => f.write_str("↑"),
            KeyCode::Down => f.write_str("↓"),
            KeyCode::Left => f.write_str("←"),
            KeyCode::Right => f.write_str("→"),
            other => write!(f, "{other}"),
        }
    }
}

const fn char(c: char) -> Key {
    Key { code: KeyCode::Char(c), modifiers: KeyModifiers::NONE }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), modifiers: KeyModifiers::CONTROL }
}

const fn key(code: KeyCode) -> Key {
    Key { code, modifiers: KeyModifiers::NONE }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Where.
    pub context: Context,
    /// Which keys; the first is the one that hints show.
    pub keys: &'static [Key],
    /// What for.
    pub action: Action,
    /// Whether the hint line shows it.
    pub hinted: bool,
}

const fn bind(context: Context, keys: &'static [Key], action: Action) -> Binding {
    Binding { context, keys, action, hinted: false }
}

const fn hint(context: Context, keys: &'static [Key], action: Action) -> Binding {
    Binding { context, keys, action, hinted: true }
}

/// Every key that means something.
pub static BINDINGS: &[Binding] = {
    use Action as A;
    use Context as C;
    use KeyCode as K;
    &[
        bind(C::Always, &[ctrl('c')], A::Quit),
        hint(C::Sas, &[key(K::Enter)], A::Open),
        hint(C::Sas, &[char('a')], A::Add),
        hint(C::Sas, &[char('A')], A::Pair),
        hint(C::Sas, &[char('d'), key(K::Delete)], A::Delete),
        hint(C::Sas, &[char('F')], A::Flush),
        bind(C::Sas, &[char('r')], A::Reveal),
        hint(C::Sas, &[char('c')], A::Check),
        hint(C::Sas, &[char('e')], A::Edit),
        hint(C::Sas, &[char('s')], A::Sort),
        bind(C::Sas, &[char('S')], A::SortBackwards),
        bind(C::Sas, &[char('>')], A::SortByNext),
        bind(C::Sas, &[char('<')], A::SortByPrevious),
        hint(C::Sas, &[char(' ')], A::MarkRow),
        bind(C::Sas, &[char('*')], A::MarkOthers),
        bind(C::Sas, &[char('y')], A::CopyRows),
        bind(C::Sas, &[char('C')], A::Columns),
        hint(C::Sas, &[char('p')], A::ItsPackets),
        hint(C::Policies, &[key(K::Enter)], A::Open),
        hint(C::Policies, &[char('a')], A::Add),
        hint(C::Policies, &[char('A')], A::Pair),
        hint(C::Policies, &[char('d'), key(K::Delete)], A::Delete),
        hint(C::Policies, &[char('F')], A::Flush),
        hint(C::Policies, &[char('c')], A::Check),
        hint(C::Policies, &[char('e')], A::Edit),
        hint(C::Policies, &[char('s')], A::Sort),
        bind(C::Policies, &[char('S')], A::SortBackwards),
        bind(C::Policies, &[char('>')], A::SortByNext),
        bind(C::Policies, &[char('<')], A::SortByPrevious),
        hint(C::Policies, &[char(' ')], A::MarkRow),
        bind(C::Policies, &[char('*')], A::MarkOthers),
        bind(C::Policies, &[char('y')], A::CopyRows),
        bind(C::Policies, &[char('C')], A::Columns),
        hint(C::Packets, &[key(K::Enter)], A::Open),
        hint(C::Packets, &[char(' ')], A::Freeze),
        hint(C::Packets, &[char('c')], A::Check),
        hint(C::Packets, &[char('f')], A::Follow),
        hint(C::Packets, &[char('i')], A::Interface),
        hint(C::Packets, &[char('P')], A::Peers),
        hint(C::Packets, &[char('s')], A::GoToSa),
        bind(C::Packets, &[char('p')], A::GoToPolicy),
        bind(C::Packets, &[char('=')], A::OnlyThisSa),
        bind(C::Packets, &[char('>')], A::NextOfSa),
        bind(C::Packets, &[char('<')], A::PreviousOfSa),
        hint(C::Packets, &[char('t')], A::Search),
        bind(C::Packets, &[char(']')], A::NextMatch),
        bind(C::Packets, &[char('[')], A::PreviousMatch),
        bind(C::Packets, &[char('m')], A::Mark),
        bind(C::Packets, &[char('M')], A::NextMarked),
        hint(C::Packets, &[char('w')], A::Record),
        hint(C::Packets, &[char('x')], A::Clear),
        bind(C::Packets, &[char('C')], A::Columns),
        hint(C::Events, &[key(K::Enter)], A::Open),
        hint(C::Events, &[char('f')], A::Follow),
        hint(C::Screen, &[char('/')], A::Filter),
        hint(C::Screen, &[char('?'), key(K::F(1))], A::Help),
        bind(C::Screen, &[char(':')], A::Command),
        hint(C::Screen, &[char('q')], A::Leave),
        bind(C::Screen, &[key(K::Esc)], A::Back),
        bind(C::Screen, &[key(K::Tab)], A::NextScreen),
        bind(C::Screen, &[key(K::BackTab)], A::PreviousScreen),
        bind(C::Screen, &[char('1')], A::ShowSas),
        bind(C::Screen, &[char('2')], A::ShowPolicies),
        bind(C::Screen, &[char('3')], A::ShowPackets),
        bind(C::Screen, &[char('4')], A::ShowEvents),
        bind(C::Screen, &[char('k'), key(K::Up)], A::Up),
        bind(C::Screen, &[char('j'), key(K::Down)], A::Down),
        bind(C::Screen, &[ctrl('u')], A::HalfPageUp),
        bind(C::Screen, &[ctrl('d')], A::HalfPageDown),
        bind(C::Screen, &[key(K::PageUp), ctrl('b')], A::PageUp),
        bind(C::Screen, &[key(K::PageDown), ctrl('f')], A::PageDown),
        bind(C::Screen, &[char('g'), key(K::Home)], A::First),
        bind(C::Screen, &[char('G'), key(K::End)], A::Last),
        bind(C::Screen, &[ctrl('l')], A::Refresh),
        hint(C::Whole, &[char('r')], A::Reveal),
        hint(C::Frame, &[key(K::Tab)], A::NextLayer),
        bind(C::Frame, &[key(K::BackTab)], A::PreviousLayer),
        hint(C::Frame, &[char('n')], A::NextPacket),
        bind(C::Frame, &[char('N')], A::PreviousPacket),
        hint(C::Frame, &[char('>')], A::NextOfSa),
        bind(C::Frame, &[char('<')], A::PreviousOfSa),
        hint(C::Frame, &[char('s')], A::GoToSa),
        bind(C::Frame, &[char('p')], A::GoToPolicy),
        hint(C::Frame, &[char('t')], A::Search),
        bind(C::Frame, &[char(']')], A::NextMatch),
        bind(C::Frame, &[char('[')], A::PreviousMatch),
        bind(C::Frame, &[char('m')], A::Mark),
        hint(C::Peers, &[char('c')], A::Check),
        hint(C::Reading, &[char('j'), key(K::Down)], A::Down),
        hint(C::Reading, &[char('k'), key(K::Up)], A::Up),
        bind(C::Reading, &[key(K::PageUp), ctrl('b'), ctrl('u')], A::PageUp),
        bind(C::Reading, &[key(K::PageDown), ctrl('f'), ctrl('d'), char(' ')], A::PageDown),
        bind(C::Reading, &[char('g'), key(K::Home)], A::First),
        bind(C::Reading, &[char('G'), key(K::End)], A::Last),
        bind(C::Reading, &[char('?'), key(K::F(1))], A::Help),
        hint(C::Reading, &[key(K::Esc), char('q'), key(K::Enter)], A::Back),
        hint(C::Question, &[char('y')], A::Confirm),
        hint(C::Question, &[char('n'), key(K::Esc), char('q'), key(K::Enter)], A::Decline),
        bind(C::Question, &[char('j'), key(K::Down)], A::Down),
        bind(C::Question, &[char('k'), key(K::Up)], A::Up),
        bind(C::Question, &[key(K::PageUp)], A::PageUp),
        bind(C::Question, &[key(K::PageDown)], A::PageDown),
        hint(C::List, &[ctrl('n')], A::AddItem),
        hint(C::List, &[ctrl('x')], A::RemoveItem),
        hint(C::List, &[ctrl('t')], A::MoveItemUp),
        hint(C::Form, &[key(K::Tab), key(K::Down)], A::NextField),
        bind(C::Form, &[key(K::Enter)], A::Accept),
        bind(C::Form, &[key(K::BackTab), key(K::Up)], A::PreviousField),
        hint(C::Form, &[key(K::Right), char(' ')], A::NextChoice),
        bind(C::Form, &[key(K::Left)], A::PreviousChoice),
        hint(C::Form, &[ctrl('g')], A::Generate),
        hint(C::Form, &[ctrl('r')], A::Reveal),
        hint(C::Form, &[ctrl('s')], A::Submit),
        hint(C::Form, &[key(K::Esc)], A::Back),
        hint(C::Proposal, &[char('y')], A::MakeHere),
        hint(C::Proposal, &[char('o')], A::MakeThere),
        hint(C::Proposal, &[char('u')], A::TakeBack),
        hint(C::Proposal, &[char('Y')], A::Copy),
        hint(C::Proposal, &[char('w')], A::Save),
        hint(C::Proposal, &[char('l')], A::OtherLanguage),
        hint(C::Proposal, &[char('j'), key(K::Down)], A::Down),
        bind(C::Proposal, &[char('k'), key(K::Up)], A::Up),
        bind(C::Proposal, &[key(K::PageUp), ctrl('b'), ctrl('u')], A::PageUp),
        bind(C::Proposal, &[key(K::PageDown), ctrl('f'), ctrl('d'), char(' ')], A::PageDown),
        hint(C::Proposal, &[key(K::Esc), char('q')], A::Back),
        hint(C::Choice, &[char('j'), key(K::Down)], A::Down),
        hint(C::Choice, &[char('k'), key(K::Up)], A::Up),
        bind(C::Choice, &[char('g'), key(K::Home)], A::First),
        bind(C::Choice, &[char('G'), key(K::End)], A::Last),
        hint(C::Choice, &[key(K::Enter)], A::Accept),
        hint(C::Choice, &[key(K::Esc), char('q')], A::Back),
        hint(C::Columns, &[char(' ')], A::ShowColumn),
        hint(C::Columns, &[char('K'), char('-')], A::ColumnEarlier),
        hint(C::Columns, &[char('J'), char('+')], A::ColumnLater),
        hint(C::Columns, &[char('u')], A::UsualColumns),
        hint(C::Columns, &[key(K::Enter)], A::Accept),
        hint(C::Columns, &[key(K::Esc), char('q')], A::Back),
        bind(C::Columns, &[char('j'), key(K::Down)], A::Down),
        bind(C::Columns, &[char('k'), key(K::Up)], A::Up),
        bind(C::Columns, &[key(K::PageUp), ctrl('b')], A::PageUp),
        bind(C::Columns, &[key(K::PageDown), ctrl('f')], A::PageDown),
        bind(C::Columns, &[char('g'), key(K::Home)], A::First),
        bind(C::Columns, &[char('G'), key(K::End)], A::Last),
        hint(C::Line, &[key(K::Enter)], A::Accept),
        hint(C::Line, &[key(K::Esc)], A::Back),
        bind(C::Line, &[key(K::Tab)], A::Complete),
    ]
};

/// What a key means in these contexts; the first that knows it decides.
pub fn action(contexts: &[Context], key: Key) -> Option<Action> {
    contexts.iter().find_map(|context| {
        let here = BINDINGS.iter().filter(|binding| binding.context == *context);
        here.filter(|binding| binding.keys.contains(&key)).map(|binding| binding.action).next()
    })
}

/// The rows for these contexts, in the table's order, without what would change the kernel if `read_only`.
pub fn bindings(contexts: &[Context], read_only: bool) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |b| contexts.contains(&b.context) && !(read_only && b.action.is_dangerous()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let mut seen = HashSet::new();
        for binding in BINDINGS {
            for key in binding.keys {
                assert!(seen.insert((binding.context, *key)), "{key} twice in {:?}", binding.context);
            }
        }
        // Contexts that hold at the same time.
        for special in [Context::Whole, Context::Frame, Context::Peers] {
            for binding in BINDINGS.iter().filter(|binding| binding.context == special) {
                for key in binding.keys {
                    assert!(!seen.contains(&(Context::Reading, *key)), "{key} in {special:?} hides a reader's key");
                }
            }
        }
        for screen in [Context::Sas, Context::Policies, Context::Packets, Context::Events] {
            for binding in BINDINGS.iter().filter(|binding| binding.context == screen) {
                for key in binding.keys {
                    assert!(!seen.contains(&(Context::Screen, *key)), "{key} in {screen:?} hides a screen's key");
                }
            }
        }
    }

    #[test]
    fn shift_says_nothing_about_a_character() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            let event = KeyEvent::new(KeyCode::Char('?'), modifiers);
            assert_eq!(action(&[Context::Screen], Key::of(event)), Some(Action::Help));
            let event = KeyEvent::new(KeyCode::BackTab, modifiers);
            assert_eq!(action(&[Context::Screen], Key::of(event)), Some(Action::PreviousScreen));
        }
        let control = KeyEvent::new(KeyCode::Char('d'), KeyModifiers::CONTROL);
        assert_eq!(action(&[Context::Sas, Context::Screen], Key::of(control)), Some(Action::HalfPageDown));
    }

    #[test]
    fn read_only_leaves_no_dangerous_key() {
        let contexts = [Context::Sas, Context::Policies, Context::Screen, Context::Question, Context::Form];
        assert!(bindings(&contexts, true).all(|binding| !binding.action.is_dangerous()));
        assert!(bindings(&contexts, false).any(|binding| binding.action == Action::Flush));
    }

    #[test]
    fn ctrl_c_leaves_from_everywhere() {
        let key = Key::of(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert_eq!(action(&[Context::Form, Context::Always], key), Some(Action::Quit));
    }
}
