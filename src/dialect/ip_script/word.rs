//! The text as words, as a shell and `ip -batch` tell them apart.

use std::collections::VecDeque;
use std::ops::Range;

/// What stands between blanks, or between quotes.
#[derive(Clone, Debug)]
pub(in crate::dialect) struct Word<'a> {
    /// Without the quotes.
    pub text: &'a str,
    pub span: Range<usize>,
    pub quoted: bool,
    /// Whether a line begins with it.
    pub is_first: bool,
}

/// All words outside of comments, which begin where a word would. With `-o`, ip puts a backslash where a line would end.
pub(in crate::dialect) fn words(source: &str) -> VecDeque<Word<'_>> {
    let mut words = VecDeque::new();
    let mut start = 0;
    for line in source.split_inclusive(['\n', '\\']) {
        let mut at = 0;
        let mut is_first = true;
        while let Some(rest) = line.get(at..) {
            let blanks = rest.find(|c: char| !c.is_whitespace() && c != '\\').unwrap_or(rest.len());
            at += blanks;
            let rest = rest.get(blanks..).unwrap_or_default();
            let Some(first) = rest.chars().next().filter(|c| *c != '#') else { break };
            let inner = rest.get(1..).filter(|_| matches!(first, '\'' | '"'));
            let quoted = inner.and_then(|inner| Some((inner, inner.find(first)?)));
            let length = match quoted {
                Some((_, length)) => length + 2,
                None => rest.find(|c: char| c.is_whitespace() || c == '\\').unwrap_or(rest.len()),
            };
            let text = match quoted {
                Some((inner, length)) => inner.get(..length),
                None => rest.get(..length),
            };
            let span = start + at..start + at + length;
            words.push_back(Word { text: text.unwrap_or_default(), span, quoted: quoted.is_some(), is_first });
            at += length;
            is_first = false;
        }
        start += line.len();
    }
    words
}
