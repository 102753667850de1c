//! Conditions joined by `and`, `or`, `not` and brackets: what the languages that choose packets and rows share. It
//! knows nothing of what the conditions are about.
//!
//! ```text
//! expression = factor { ( "or" | [ "and" ] ) factor }         "||" is "or", "&&" is "and"; whether "and" may be left
//!                                                            out, a language says
//! factor     = "not" factor | "(" expression ")" | condition "!" is "not"
//! ```
//!
//! `and` and `or` bind alike, from left to right, as pcap-filter(7) has it: `a or b and c` is `(a or b) and c`. Whoever
//! knows tcpdump's filters must not get other packets for the same words, and one rule for all lists is kept in mind.

use super::text::harmless;

/// Deeper brackets are a slip, or meant to harm.
const DEEPEST: usize = 64;
/// More conditions than anybody writes. Each lies in all those before it: too many would leave the stack.
pub const MOST_CONDITIONS: usize = 1000;

/// What something fits, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression<Test> {
    /// Both.
    And(Box<Self>, Box<Self>),
    /// At least one.
    Or(Box<Self>, Box<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A single condition.
    Is(Test),
}

/// Which end of a packet, an SA or a selector is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// One of them.
    #[default]
    Either,
}

impl End {
    /// Whether what stands at this end fits.
    pub fn find<T>(self, (source, destination): (T, T), mut fits: impl FnMut(T) -> bool) -> bool {
        match self {
            Self::Source => fits(source),
            Self::Destination => fits(destination),
            Self::Either => fits(source) || fits(destination),
        }
    }
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct FilterError {
    /// The place, in characters from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

/// A language of conditions.
pub trait Language {
    /// What a condition is.
    type Test;
    /// Characters that are words by themselves wherever they stand, and with their like behind them: `>=`.
    const SIGNS: &'static str = "";
    /// Whether two conditions with no word between them must both hold.
    const AND_MAY_BE_LEFT_OUT: bool = false;
    /// The word behind which a whole piece is one word, whatever it holds.
    const TAKES_WHOLE: Option<&'static str> = None;

    /// Reads a condition.
    ///
    /// # Errors
    /// What was found in its place.
    fn condition(&mut self, words: &mut Words<'_>) -> Result<Expression<Self::Test>, FilterError>;
}

impl<Test> Expression<Test> {
    /// Reads an expression that comes in pieces. An empty one is `None`: everything fits.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read<L: Language<Test = Test>>(pieces: &[&str], language: &mut L) -> Result<Option<Self>, FilterError> {
        let mut words = Words { tokens: Vec::new(), at: 0, end: 0, depth: 0, conditions: 0 };
        for piece in pieces {
            let is_whole = words.tokens.last().is_some_and(|(_, word)| L::TAKES_WHOLE == Some(word));
            let tokens = if is_whole { vec![(1, *piece)] } else { tokens(piece, L::SIGNS) };
            let before = words.end;
            words.tokens.extend(tokens.into_iter().map(|(column, word)| (before + column, word)));
            words.end += piece.chars().count() + 1;
        }
        if words.tokens.is_empty() {
            return Ok(None);
        }
        let expression = Self::joined(&mut words, language)?;
        match words.peek() {
            None => Ok(Some(expression)),
            Some(_) => Err(words.expected("\"and\", \"or\", or the end")),
        }
    }

    /// Reads what is joined: a condition, a negation, or brackets. A language calls it for brackets behind its own words.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn factor<L: Language<Test = Test>>(words: &mut Words<'_>, language: &mut L) -> Result<Self, FilterError> {
        if words.depth == DEEPEST {
            return Err(words.expected(&format!("fewer than {DEEPEST} brackets in one another")));
        }
        words.depth += 1;
        let expression = if words.take(&["not", "!"]) {
            Self::Not(Box::new(Self::factor(words, language)?))
        } else if words.take(&["("]) {
            let inner = Self::joined(words, language)?;
            if !words.take(&[")"]) {
                return Err(words.expected("\")\""));
            }
            inner
        } else if words.conditions == MOST_CONDITIONS {
            return Err(words.expected(&format!("at most {MOST_CONDITIONS} conditions")));
        } else {
            words.conditions += 1;
            language.condition(words)?
        };
        words.depth -= 1;
        Ok(expression)
    }

    fn joined<L: Language<Test = Test>>(words: &mut Words<'_>, language: &mut L) -> Result<Self, FilterError> {
        let mut expression = Self::factor(words, language)?;
        loop {
            let before = Box::new(expression);
            expression = if words.take(&["or", "||"]) {
                Self::Or(before, Box::new(Self::factor(words, language)?))
            } else if words.take(&["and", "&&"])
                || (L::AND_MAY_BE_LEFT_OUT && words.peek().is_some_and(|word| word != ")"))
            {
                Self::And(before, Box::new(Self::factor(words, language)?))
            } else {
                return Ok(*before);
            };
        }
    }

    /// Whether it holds where these conditions do.
    pub fn holds(&self, fits: &mut impl FnMut(&Test) -> bool) -> bool {
        match self {
            Self::And(a, b) => a.holds(fits) && b.holds(fits),
            Self::Or(a, b) => a.holds(fits) || b.holds(fits),
            Self::Not(inner) => !inner.holds(fits),
            Self::Is(test) => fits(test),
        }
    }

    /// Whether one of its conditions is such.
    pub fn mentions(&self, is_such: &mut impl FnMut(&Test) -> bool) -> bool {
        match self {
            Self::And(a, b) | Self::Or(a, b) => a.mentions(is_such) || b.mentions(is_such),
            Self::Not(inner) => inner.mentions(is_such),
            Self::Is(test) => is_such(test),
        }
    }
}

/// A word with its column.
type Token<'a> = (usize, &'a str);

/// The words of an expression, and the one that is looked at.
pub struct Words<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// The column behind the last character.
    end: usize,
    depth: usize,
    conditions: usize,
}

impl<'a> Words<'a> {
    /// The word at hand.
    pub fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|(_, word)| *word)
    }

    /// The word behind it.
    pub fn peek_behind(&self) -> Option<&'a str> {
        self.tokens.get(self.at + 1).map(|(_, word)| *word)
    }

    /// Goes on to the next word.
    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Goes on to the next word if this is one of these.
    pub fn take(&mut self, words: &[&str]) -> bool {
        let fits = self.peek().is_some_and(|word| words.contains(&word));
        self.at += usize::from(fits);
        fits
    }

    /// The value behind the word at hand; moves onto it.
    ///
    /// # Errors
    /// When it is not `what` was expected.
    pub fn argument<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, FilterError> {
        self.at += 1;
        self.peek().and_then(read).ok_or_else(|| self.expected(what))
    }

    /// That something else should stand here.
    pub fn expected(&self, what: &str) -> FilterError {
        match self.tokens.get(self.at) {
            Some((column, word)) => {
                FilterError { column: *column, message: format!("expected {what}, found \"{}\"", harmless(word)) }
            }
            None => FilterError { column: self.end, message: format!("expected {what}") },
        }
    }
}

/// Words between blanks; brackets, signs, and `!` before a word, are words by themselves; quotes hold blanks together.
fn tokens<'a>(text: &'a str, signs: &str) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    let mut quoted = false;
    let mut characters = text.char_indices().enumerate().peekable();
    while let Some((column, (at, c))) = characters.next() {
        quoted ^= c == '"';
        if quoted {
            start = start.or(Some((at, column + 1)));
            continue;
        }
        let is_sign = signs.contains(c);
        let ends = c.is_whitespace() || is_sign || "()".contains(c);
        if ends && let Some((from, column)) = start.take() {
            tokens.push((column, text.get(from..at).unwrap_or_default()));
        }
        if is_sign {
            let mut end = at + c.len_utf8();
            while let Some((_, (next, c))) = characters.next_if(|(_, (_, c))| signs.contains(*c)) {
                end = next + c.len_utf8();
            }
            tokens.push((column + 1, text.get(at..end).unwrap_or_default()));
        } else if "()".contains(c) || (c == '!' && start.is_none()) {
            tokens.push((column + 1, text.get(at..=at).unwrap_or_default()));
        } else if !c.is_whitespace() && start.is_none() {
            start = Some((at, column + 1));
        }
    }
    if let Some((from, column)) = start {
        tokens.push((column, text.get(from..).unwrap_or_default()));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, signs: &str, expected: &[&str]) {
        let found: Vec<&str> = tokens(text, signs).into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_signs_and_quotes() {
        check("a (b or!c)", "", &["a", "(", "b", "or!c", ")"]);
        check("not !c", "", &["not", "!", "c"]);
        check("errors>0", "<>=!", &["errors", ">", "0"]);
        check("a>=1 b != 2", "<>=!", &["a", ">=", "1", "b", "!=", "2"]);
        check("text \"a > b\" c", "<>=!", &["text", "\"a > b\"", "c"]);
        check("ü>1", "<>=!", &["ü", ">", "1"]);
        check("weak!", "", &["weak!"]);
    }
}
