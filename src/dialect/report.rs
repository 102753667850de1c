//! Errors as a user reads them: the place, the line with a caret, what was expected. Keys are never shown.

use std::fmt::Write;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use super::{ip_script, setkey};

/// Something in a script that cannot be understood, or that the kernel would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What is wrong. Never holds a key.
    pub problem: String,
    /// What would be right here, if that can be said.
    pub expected: Option<String>,
}

/// The line and column, both from 1, of a byte in a text. Columns count characters.
pub fn place_of(source: &str, byte: usize) -> (usize, usize) {
    let before = source.get(..byte.min(source.len())).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

impl SyntaxError {
    /// `problem` at `span`, where `expected` would be right.
    pub(super) fn wanted(span: Range<usize>, problem: &str, expected: impl Into<String>) -> Self {
        Self { span, problem: problem.to_owned(), expected: Some(expected.into()) }
    }

    /// The error in full: `FILE:LINE:COLUMN: problem`, the line with a caret below it, and what was expected.
    pub fn render(&self, file: &str, source: &str) -> String {
        let (line, column) = place_of(source, self.span.start);
        let mut text = format!("{file}:{line}:{column}: {}\n", self.problem);
        text += &excerpt(source, &self.span);
        if let Some(expected) = &self.expected {
            let _ = writeln!(text, "  expected {expected}");
        }
        text
    }
}

/// The most cells of a line that are shown.
const WINDOW: usize = 100;
/// How many cells before the caret are shown of a longer line.
const LEAD: usize = 40;

/// The line that a span begins in with carets below the span; keys are dots, and control characters question marks,
/// so that every character takes the place that it has in the file.
pub fn excerpt(source: &str, span: &Range<usize>) -> String {
    let start = span.start.min(source.len());
    let line_start = source.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line_end = source.get(start..).and_then(|rest| rest.find('\n')).map_or(source.len(), |newline| start + newline);
    let line = source.get(line_start..line_end).unwrap_or_default();
    let mut keys = if ip_script::looks_like(source) {
        ip_script::key_spans(source)
    } else {
        setkey::key_spans(source, &setkey::tokens(source))
    };
    keys.retain(|key| key.start < line_end && line_start < key.end);
    keys.sort_unstable_by_key(|key| key.start);
    // One walk over both: a line may be as long as its file.
    let (mut keys, mut secret_until) = (keys.into_iter().peekable(), 0);
    let cells: Vec<(usize, String, usize)> = line
        .char_indices()
        .map(|(at, c)| {
            let at = line_start + at;
            while let Some(key) = keys.next_if(|key| key.start <= at) {
                secret_until = secret_until.max(key.end);
            }
            if at < secret_until {
                return (at, "*".to_owned(), 1);
            }
            match (c, c.width()) {
                ('\t', _) => (at, " ".to_owned(), 1),
                (_, None | Some(0)) => (at, "?".to_owned(), 1),
                (c, Some(width)) => (at, c.to_string(), width),
            }
        })
        .collect();
    let total: usize = cells.iter().map(|(.., width)| width).sum();
    let before: usize = cells.iter().take_while(|(at, ..)| *at < start).map(|(.., width)| width).sum();
    let hidden = if total > WINDOW { before.saturating_sub(LEAD) } else { 0 };
    let (mut shown, mut carets, mut cell) = (String::new(), String::new(), 0);
    for (at, text, width) in &cells {
        if cell >= hidden && cell + width <= hidden + WINDOW {
            shown += text;
            carets += &if span.contains(at) { "^".repeat(*width) } else { " ".repeat(*width) };
        }
        cell += width;
    }
    let mut carets = carets.trim_end().to_owned();
    if !carets.contains('^') {
        // An empty span, as at the end of the text, still has a place.
        carets = " ".repeat(before - hidden.min(before)) + "^";
    }
    let front = if hidden > 0 { "…" } else { "" };
    let indent = if hidden > 0 { " " } else { "" };
    format!("  | {front}{}\n  | {indent}{carets}\n", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &str, part: &str) -> String {
        let start = source.find(part).unwrap();
        let error = SyntaxError {
            span: start..start + part.len(),
            problem: "it is wrong".to_owned(),
            expected: Some("something else".to_owned()),
        };
        error.render("x.conf", source)
    }

    #[test]
    fn an_error_shows_its_line_with_a_caret() {
        assert_eq!(
            error("flush;\nadd\t10.9.0 10.9.0.2;\n", "10.9.0 "),
            "x.conf:2:5: it is wrong\n  | add 10.9.0 10.9.0.2;\n  |     ^^^^^^^\n  expected something else\n"
        );
        assert!(error("a 漢字 b", "b").contains("  | a 漢字 b\n  |        ^\n"));
    }

    #[test]
    fn keys_and_control_characters_are_not_shown() {
        let text = error("add x y esp 9 -E 3des-cbc \"top secret\" -A hmac-md5 hunter2 -u \u{1b}[2J;", "esp");
        assert!(!text.contains("secret") && !text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("-E 3des-cbc ************ -A hmac-md5 ******* -u ?[2J"), "{text}");
    }

    #[test]
    fn a_script_in_one_line_is_shown_in_part_soon() {
        let statement = "add 10.9.0.1 10.9.0.2 esp 9 -E des-cbc 0x0123456789abcdef; ";
        let text = error(&(statement.repeat(20_000) + "wrong"), "wrong");
        assert!(text.contains("-E des-cbc ******************; wrong"), "{text}");
    }

    #[test]
    fn a_key_is_not_shown_whatever_stands_in_it_or_around_it() {
        let add = "ip xfrm state add src 10.9.0.1 dst 10.9.0.2 proto esp spi 0x1001";
        for rest in [
            "enc cbc(aes) ab#hunter bogus",
            "enc cbc(aes) ab;hunter bogus",
            "enc 'cbc(aes)' \"ab\\\"hunter hunter\" bogus",
            "enc 'cbc(aes)' 'ab'#hunter bogus",
            "enc cbc(aes) \\\n hunter2 bogus",
            "enc \\\n cbc(aes) \\\n hunter2 bogus",
            "enc cbc(aes) ab\\\nhunter bogus",
            "enc cbc(aes) my hunter bogus mode tunnel",
            "enc hunter2 bogus",
            "enc \"hunter (2)\" bogus",
            "auth-trunc hmac(sha1) my hunter 96 bogus",
        ] {
            let source = format!("{add} {rest}\n");
            for place in 0..source.len() {
                let shown = excerpt(&source, &(place..place + 1));
                assert!(!shown.contains("hunter"), "{source}\n{shown}");
            }
            for error in ip_script::parse(&source, &|_| None).err().unwrap_or_default() {
                assert!(!error.render("x", &source).contains("hunter"), "{source}");
            }
        }
        let plain = format!("{add} enc cbc(aes) secret mode tunnel reqid seven\n");
        assert!(error(&plain, "seven").contains("enc cbc(aes) ****** mode tunnel reqid seven"));
        for rest in ["my hunter2", "my \\\n hunter2", "ab#hunter2", "ab;hunter2", "my hunter2 -A hmac-md5 your hunter2"]
        {
            let source = format!("add 10.9.0.1 10.9.0.2 esp 0x1001 -E 3des-cbc {rest};\n");
            for place in 0..source.len() {
                assert!(!excerpt(&source, &(place..place + 1)).contains("hunter"), "{source}");
            }
            for error in setkey::parse(&source).unwrap_err() {
                // One that was taken for a statement of its own is not repeated either.
                assert!(!error.render("x", &source).contains("hunter"), "{source}\n{}", error.render("x", &source));
            }
        }
    }

    #[test]
    fn long_lines_are_shown_around_the_place() {
        let source = format!("{} here {}", "x".repeat(500), "y".repeat(500));
        let text = error(&source, "here");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].chars().count() < 110 && lines[1].contains(" here "), "{text}");
        assert_eq!(lines[1].chars().position(|c| c == 'h'), lines[2].chars().position(|c| c == '^'));
    }

    #[test]
    fn the_end_of_the_text_is_a_place() {
        let error = SyntaxError { span: 3..3, problem: "more is missing".to_owned(), expected: None };
        assert_eq!(error.render("-", "add"), "-:1:4: more is missing\n  | add\n  |    ^\n");
        assert_eq!(error.render("-", ""), "-:1:1: more is missing\n  | \n  | ^\n");
    }
}
