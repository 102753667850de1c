//! A script's text as tokens.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Kind {
    /// Anything between blanks.
    Word,
    /// Text between quotes.
    Quoted,
    /// Text behind a quote that never ends, to the end of the line.
    Unended,
    /// The end of a statement.
    Semicolon,
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dialect) struct Token {
    pub kind: Kind,
    pub span: Range<usize>,
}

impl Token {
    /// Its text in the source.
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.span.clone()).unwrap_or_default()
    }
}

/// The tokens of a text, one after the other; behind the last one [`Kind::End`] for ever. Blanks and comments (`#` to the
/// end of the line) are left out.
pub(super) struct Lexer<'a> {
    source: &'a str,
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of a text.
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, rest: source }
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Token {
        while let Some(c) = self.rest.chars().next() {
            let (kind, length) = match c {
                '#' => {
                    self.rest = self.rest.find('\n').and_then(|end| self.rest.get(end..)).unwrap_or_default();
                    continue;
                }
                ';' => (Kind::Semicolon, 1),
                '"' => quoted(self.rest),
                c if c.is_whitespace() => {
                    self.rest = self.rest.trim_start();
                    continue;
                }
                _ => {
                    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '"' | '#');
                    (Kind::Word, self.rest.find(ends).unwrap_or(self.rest.len()))
                }
            };
            let start = self.source.len() - self.rest.len();
            self.rest = self.rest.get(length..).unwrap_or_default();
            return Token { kind, span: start..start + length };
        }
        Token { kind: Kind::End, span: self.source.len()..self.source.len() }
    }
}

/// All tokens; the last is [`Kind::End`].
pub(in crate::dialect) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(source);
    let mut tokens = vec![lexer.take()];
    while tokens.last().is_some_and(|token| token.kind != Kind::End) {
        tokens.push(lexer.take());
    }
    tokens
}

fn quoted(rest: &str) -> (Kind, usize) {
    let line = rest.split('\n').next().unwrap_or_default();
    match line.get(1..).and_then(|inner| inner.find('"')) {
        Some(end) => (Kind::Quoted, end + 2),
        None => (Kind::Unended, line.trim_end().len()),
    }
}

/// Whether this is hex, and longer than any SPI or reqid: a key, or the rest of one that was cut in two.
pub(super) fn is_long_number(text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.len() > 10 && (text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x")) || hex(text))
}

/// The parts of the text that are or may be keys: what is quoted, long hex numbers, and whatever follows `-E NAME` or
/// `-A NAME` up to the next option. Found by the tokens alone, so that a statement that cannot be parsed shows no key either.
pub(in crate::dialect) fn key_spans(source: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    // The last four are those of `ip xfrm`, in a script that does not begin with a command of its own.
    let is_option = |token: Option<&Token>| {
        let options = ["-E", "-A", "-e", "-a", "enc", "auth", "auth-trunc", "aead"];
        token.is_some_and(|token| options.contains(&token.text(source)))
    };
    let line_end = |at: usize| at + source.get(at..).and_then(|rest| rest.find('\n')).unwrap_or(source.len() - at);
    let mut spans = Vec::new();
    let mut behind_algorithm = false;
    for (place, token) in tokens.iter().enumerate() {
        let text = token.text(source);
        let goes_on = behind_algorithm && token.kind != Kind::Semicolon && !text.starts_with('-');
        behind_algorithm = goes_on || (place >= 2 && is_option(tokens.get(place - 2)));
        let long_number = is_long_number(text);
        // A word that touches a quote is a part of what was meant to be quoted.
        let touches = |other: Option<&Token>, ends: bool| {
            other.is_some_and(|other| {
                let meets = if ends { other.span.end == token.span.start } else { other.span.start == token.span.end };
                matches!(other.kind, Kind::Quoted | Kind::Unended) && meets
            })
        };
        let before = place.checked_sub(1).and_then(|before| tokens.get(before));
        let in_quotes = touches(before, true) || touches(tokens.get(place + 1), false);
        let secret = match token.kind {
            Kind::Quoted => true,
            Kind::Word => long_number || in_quotes || (behind_algorithm && !text.starts_with('-')),
            Kind::Unended | Kind::Semicolon | Kind::End => false,
        };
        match token.kind {
            // Which quotes belong together cannot be known: nothing behind the line's first one is safe to show.
            Kind::Unended => {
                let line = source.get(..token.span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
                let first = source.get(line..).and_then(|line| line.find('"')).map_or(token.span.start, |at| line + at);
                spans.push(first..token.span.end);
            }
            // The rest of a text in the quotes of a shell.
            _ if secret && text.starts_with('\'') && !(text.len() > 1 && text.ends_with('\'')) => {
                spans.push(token.span.start..line_end(token.span.start));
            }
            // What setkey takes for a comment or for another statement may be the rest of a key.
            Kind::Word if secret && is_cut(source.get(token.span.end..).unwrap_or_default()) => {
                spans.push(token.span.start..line_end(token.span.start));
            }
            _ if secret => spans.push(token.span.clone()),
            _ => {}
        }
    }
    spans
}

/// Whether the word before this text may go on in it, to a reader that knows no comments and no semicolons.
fn is_cut(rest: &str) -> bool {
    let mut behind = rest.chars();
    match behind.next() {
        Some('#') => true,
        Some(';') => behind.next().is_some_and(|c| !c.is_whitespace()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(Kind, &str)]) {
        let tokens = tokens(source);
        let found: Vec<_> = tokens.iter().map(|token| (token.kind, token.text(source))).collect();
        assert_eq!(found[..found.len() - 1], *expected, "{source:?}");
        assert_eq!(tokens.last().unwrap().kind, Kind::End);
    }

    #[test]
    fn words_quotes_comments() {
        use Kind::{Quoted, Semicolon, Unended, Word};
        check("#!/usr/sbin/setkey -f\nflush;# x\n", &[(Word, "flush"), (Semicolon, ";")]);
        check("a\t\"b ; # c\"d;", &[(Word, "a"), (Quoted, "\"b ; # c\""), (Word, "d"), (Semicolon, ";")]);
        check("x \"abc  \ny", &[(Word, "x"), (Unended, "\"abc"), (Word, "y")]);
        check("\"", &[(Unended, "\"")]);
        check("é\u{a0}漢", &[(Word, "é"), (Word, "漢")]);
        check("", &[]);
    }

    #[test]
    fn whatever_may_be_a_key_is_found_in_any_statement() {
        let source = "add x -E 3des-cbc secret -A hmac-md5 \"a b\" 0x0123456789abcdef 0123456789a -u 0x1001 -E -A x;";
        let tokens = tokens(source);
        let found: Vec<_> = key_spans(source, &tokens).into_iter().map(|span| &source[span]).collect();
        assert_eq!(found, ["secret", "\"a b\"", "0x0123456789abcdef", "0123456789a", "x"]);
    }
}
