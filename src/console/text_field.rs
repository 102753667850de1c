//! A line of text being typed: filters, commands, the fields of forms.
//!
//! Crates for this move the text about in ordinary strings. Here it may be a key, so it stays in one buffer that is
//! wiped when it goes, and is limited to what fits there.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use zeroize::Zeroizing;

/// The most bytes that a line holds: more than the longest key in hex.
const CAPACITY: usize = 1024;

/// Text with a cursor.
#[derive(Clone)]
pub struct TextField {
    text: Zeroizing<String>,
    /// A byte offset, always between characters.
    cursor: usize,
    /// Whether the text is marked whole, so that typing replaces it.
    marked: bool,
}

impl Default for TextField {
    fn default() -> Self {
        Self { text: Zeroizing::new(String::with_capacity(CAPACITY)), cursor: 0, marked: false }
    }
}

impl std::fmt::Debug for TextField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextField({} bytes)", self.text.len())
    }
}

impl TextField {
    /// A line that holds `text` already, the cursor behind it.
    pub fn with(text: &str) -> Self {
        let mut field = Self::default();
        field.paste(text);
        field
    }

    /// What stands there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The cursor's place, in characters from the start.
    pub fn cursor_chars(&self) -> usize {
        self.before().chars().count()
    }

    /// What stands before the cursor.
    pub fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    /// Puts `text` in place of everything.
    pub fn set(&mut self, text: &str) {
        *self = Self::with(text);
    }

    /// Marks the text, if there is any: what is typed or pasted next replaces it.
    pub fn mark(&mut self) {
        self.marked = !self.text.is_empty();
    }

    /// Whether the text is marked.
    pub fn is_marked(&self) -> bool {
        self.marked
    }

    fn replace_marked(&mut self) {
        if std::mem::take(&mut self.marked) {
            self.remove(0, self.text.len());
        }
    }

    /// Inserts text at the cursor; control characters are left out, and what does not fit.
    pub fn paste(&mut self, text: &str) {
        self.replace_marked();
        for c in text.chars().filter(|c| !c.is_control()) {
            self.insert(c);
        }
    }

    fn insert(&mut self, c: char) {
        // Never beyond the capacity: a larger buffer would leave the smaller one behind unwiped.
        if self.text.len() + c.len_utf8() <= CAPACITY {
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    /// Takes a key; `false` if it means nothing here.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let types = !control && !key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char(_) if types => self.replace_marked(),
            KeyCode::Backspace | KeyCode::Delete if self.marked => {
                self.replace_marked();
                return true;
            }
            _ => self.marked = false,
        }
        match key.code {
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => self.remove(0, self.cursor),
            KeyCode::Char('k') if control => self.remove(self.cursor, self.text.len()),
            KeyCode::Char('w') if control => self.remove(self.word_start(), self.cursor),
            KeyCode::Char(c) if types => self.insert(c),
            KeyCode::Backspace => self.remove(self.cursor - self.step_back(), self.cursor),
            KeyCode::Delete => self.remove(self.cursor, self.cursor + self.step_forward()),
            KeyCode::Left => self.cursor -= self.step_back(),
            KeyCode::Right => self.cursor += self.step_forward(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.drain(from..to);
        self.cursor = from;
    }

    fn step_back(&self) -> usize {
        self.before().chars().next_back().map_or(0, char::len_utf8)
    }

    fn step_forward(&self) -> usize {
        self.text.get(self.cursor..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
    }

    fn word_start(&self) -> usize {
        let trimmed = self.before().trim_end();
        trimmed.rfind(char::is_whitespace).map_or(0, |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(field: &mut TextField, code: KeyCode) {
        field.on_key(KeyEvent::new(code, KeyModifiers::NONE));
    }

    fn control(field: &mut TextField, c: char) {
        field.on_key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    }

    #[test]
    fn editing_keeps_to_character_borders() {
        let mut field = TextField::with("aé漢b");
        press(&mut field, KeyCode::Left);
        press(&mut field, KeyCode::Backspace);
        assert_eq!(field.text(), "aéb");
        press(&mut field, KeyCode::Left);
        press(&mut field, KeyCode::Delete);
        press(&mut field, KeyCode::Char('ü'));
        assert_eq!((field.text(), field.cursor_chars()), ("aüb", 2));
        press(&mut field, KeyCode::Home);
        press(&mut field, KeyCode::Backspace);
        press(&mut field, KeyCode::Left);
        press(&mut field, KeyCode::End);
        press(&mut field, KeyCode::Delete);
        press(&mut field, KeyCode::Right);
        assert_eq!(field.text(), "aüb");
    }

    #[test]
    fn marked_text_is_replaced_by_what_is_typed_and_kept_by_moving() {
        let mut field = TextField::with("old");
        field.mark();
        press(&mut field, KeyCode::Char('n'));
        press(&mut field, KeyCode::Char('e'));
        assert_eq!(field.text(), "ne");
        field.mark();
        press(&mut field, KeyCode::Right);
        press(&mut field, KeyCode::Char('w'));
        assert_eq!(field.text(), "new");
        field.mark();
        press(&mut field, KeyCode::Backspace);
        assert_eq!(field.text(), "");
        field.mark();
        field.paste("x");
        assert_eq!(field.text(), "x");
    }

    #[test]
    fn words_and_lines_go_at_once() {
        let mut field = TextField::with("theme  dark");
        control(&mut field, 'w');
        assert_eq!(field.text(), "theme  ");
        control(&mut field, 'w');
        assert_eq!(field.text(), "");
        field.set("one two");
        control(&mut field, 'a');
        press(&mut field, KeyCode::Right);
        control(&mut field, 'k');
        assert_eq!(field.text(), "o");
        control(&mut field, 'u');
        assert_eq!(field.text(), "");
    }

    #[test]
    fn a_paste_brings_no_control_characters_and_never_outgrows_the_buffer() {
        let mut field = TextField::default();
        field.paste("a\x1b[31m\r\nb");
        assert_eq!(field.text(), "a[31mb");
        field.paste(&"é".repeat(5000));
        assert!(field.text().len() <= CAPACITY && field.text.capacity() == CAPACITY);
        assert!(!format!("{field:?}").contains('a') || !format!("{field:?}").contains('é'));
    }
}
