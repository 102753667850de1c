//! A form being filled in: the focus, what is typed and chosen, and the small forms that are added and removed.

use crossterm::event::KeyEvent;

use super::field::SHOWN;
use super::{Content, FieldId, Form, Kind, List, Place};
use crate::console::text_field::TextField;

impl Form {
    /// To the next field; behind the last one stands the button.
    pub fn next_field(&mut self) {
        self.focus = (self.focus + 1) % (self.places().len() + 1);
        self.mark_focused();
    }

    /// As everywhere else, a field that is come to is replaced by what is typed.
    fn mark_focused(&mut self) {
        if let Some(field) = self.focused_text() {
            field.mark();
        }
    }

    fn focused_text(&mut self) -> Option<&mut TextField> {
        let place = self.focused()?;
        match self.part_mut(place.item).content_mut(place.field.id) {
            Some(Content::Text(field)) => Some(field),
            _ => None,
        }
    }

    /// To the field before; from the last step back into the form.
    pub fn previous_field(&mut self) {
        self.leave_review();
        let places = self.places().len() + 1;
        self.focus = (self.focus + places - 1) % places;
        self.mark_focused();
    }

    /// To a field, which is shown if it is folded away.
    pub(super) fn focus_on(&mut self, item: Option<usize>, id: FieldId) {
        let part = self.part_mut(item);
        let fold = part.plan.all().find(|field| field.id == id).and_then(|field| field.fold);
        if let Some(Content::Choice(shown)) = fold.and_then(|fold| part.content_mut(fold)) {
            SHOWN.clone_into(shown);
        }
        let place = self.places().iter().position(|place| place.is_at(item, id));
        self.focus = place.unwrap_or(self.focus);
    }

    /// Chooses `steps` options further in the focused field; `false` if it has none to choose.
    pub fn choose(&mut self, steps: isize) -> bool {
        let Some(Place { item, field }) = self.focused() else {
            return false;
        };
        let part = self.part_mut(item);
        let options = match field.kind {
            Kind::Choice(options) => options(part),
            Kind::Fold => {
                // To look is no change.
                let shown = if part.folds_out(field.id) { "" } else { SHOWN };
                if let Some(Content::Choice(content)) = part.content_mut(field.id) {
                    shown.clone_into(content);
                }
                return true;
            }
            Kind::Text | Kind::Key | Kind::List(_) => return false,
        };
        let at = options.iter().position(|option| option == part.value(field.id)).unwrap_or(0);
        let next = at.cast_signed().saturating_add(steps).rem_euclid(options.len().max(1).cast_signed());
        if let Some(option) = options.get(next.cast_unsigned()) {
            part.set(field.id, option);
        }
        part.keep_choices_valid();
        self.focus = self.focus.min(self.places().len());
        self.touched();
        true
    }

    /// One choice may take options away from another.
    pub fn keep_choices_valid(&mut self) {
        for field in self.plan.all() {
            if let Kind::Choice(options) = field.kind {
                let options = options(self);
                if !options.iter().any(|option| option == self.value(field.id))
                    && let Some(first) = options.first()
                {
                    self.set(field.id, first);
                }
            }
        }
    }

    fn list(&self) -> Option<&'static List> {
        self.plan.all().find_map(|field| match field.kind {
            Kind::List(list) => Some(list),
            _ => None,
        })
    }

    /// Puts another small form into the list, behind the focused one; `false` if there is room for no more.
    pub fn add_item(&mut self) -> bool {
        let (Some(list), false) = (self.list(), self.is_pending()) else {
            return false;
        };
        let behind = self.focused().and_then(|place| place.item).map(|item| item + 1);
        let added = self.insert_item(behind.unwrap_or(self.items.len()), Self::new(list.plan));
        if let Some(place) = added {
            let first = self.places().iter().position(|at| at.item == Some(place));
            self.focus = first.unwrap_or(self.focus);
        }
        added.is_some()
    }

    /// Puts a small form that is filled in at the end of the list; `false` if there is room for no more.
    pub fn push_item(&mut self, item: Self) -> bool {
        self.insert_item(self.items.len(), item).is_some()
    }

    fn insert_item(&mut self, place: usize, item: Self) -> Option<usize> {
        if self.items.len() >= self.list()?.most {
            return None;
        }
        self.items.insert(place, item);
        self.touched();
        Some(place)
    }

    /// Takes the focused small form away; `false` if there is none.
    pub fn remove_item(&mut self) -> bool {
        let Some(item) = self.focused().and_then(|place| place.item).filter(|_| !self.is_pending()) else {
            return false;
        };
        self.items.remove(item);
        let before = |place: &Place| {
            place.item == item.checked_sub(1) && (item > 0 || matches!(place.field.kind, Kind::List(_)))
        };
        self.focus = self.places().iter().position(before).unwrap_or(0);
        self.touched();
        true
    }

    /// Moves the focused small form before the one before it; `false` if there is none.
    pub fn move_item_up(&mut self) -> bool {
        let Some(Place { item: Some(item), field }) = self.focused().filter(|_| !self.is_pending()) else {
            return false;
        };
        let Some(before) = item.checked_sub(1) else {
            return false;
        };
        self.items.swap(item, before);
        self.focus_on(Some(before), field.id);
        self.touched();
        true
    }

    /// Gives a key to the focused field; `false` if it means nothing there.
    pub fn on_key(&mut self, key: KeyEvent) -> bool {
        self.stay();
        let taken = !self.is_pending() && self.focused_text().is_some_and(|field| field.on_key(key));
        if taken {
            self.touched();
        }
        taken
    }

    /// Gives pasted text to the focused field.
    pub fn paste(&mut self, text: &str) {
        self.stay();
        if !self.is_pending()
            && let Some(field) = self.focused_text()
        {
            field.paste(text);
            self.touched();
        }
    }
}
