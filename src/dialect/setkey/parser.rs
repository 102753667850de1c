//! Tokens into statements, by recursive descent. An error ends its statement; the next one is read all the same.

use std::net::IpAddr;
use std::ops::Range;

use super::lexer::{Kind, Token, is_long_number, tokens};
use crate::dialect::deed::{Deed, Script, Statement, Warning};
use crate::dialect::report::SyntaxError;
use crate::model::check::Severity;
use crate::model::number::parse_u32;
use crate::model::{IpsecProtocol, PolicyKind};

mod policy;
mod sa;

pub use policy::forward_twin;

/// The most errors that are reported; behind them one fault may cause all the others.
const MOST_ERRORS: usize = 20;

/// Reads a script.
///
/// # Errors
/// Every error that was found, in the order of the text.
pub fn parse(source: &str) -> Result<Script, Vec<SyntaxError>> {
    let mut parser = Parser { source, tokens: tokens(source), next: 0, warnings: Vec::new() };
    let mut script = Script::default();
    let mut errors = Vec::new();
    while parser.peek().kind != Kind::End && errors.len() < MOST_ERRORS {
        if parser.peek().kind == Kind::Semicolon {
            parser.take();
            continue;
        }
        let start = parser.peek().span.start;
        match parser.statement() {
            Ok(Some(deed)) => {
                let span = start..parser.end_of_last();
                match parser.end_of_statement() {
                    Ok(()) => script.statements.push(Statement { deed, span }),
                    Err(error) => {
                        errors.push(error);
                        parser.skip_statement();
                    }
                }
            }
            Ok(None) => break,
            Err(found) => {
                errors.extend(found);
                parser.skip_statement();
            }
        }
    }
    script.warnings = parser.warnings;
    if errors.is_empty() { Ok(script) } else { Err(errors) }
}

type Parsed<T> = Result<T, SyntaxError>;

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    next: usize,
    warnings: Vec<Warning>,
}

fn wrong(span: &Range<usize>, problem: impl Into<String>) -> SyntaxError {
    SyntaxError { span: span.clone(), problem: problem.into(), expected: None }
}

fn wanted(span: &Range<usize>, problem: impl Into<String>, expected: impl Into<String>) -> SyntaxError {
    SyntaxError { span: span.clone(), problem: problem.into(), expected: Some(expected.into()) }
}

/// Statements of setkey that are not understood yet, and why one would miss them.
const NOT_YET: [&str; 8] = ["getspi", "get", "deleteall", "dump", "update", "spdupdate", "spddump", "tagged"];

impl Parser<'_> {
    fn peek(&self) -> Token {
        let end = Token { kind: Kind::End, span: self.source.len()..self.source.len() };
        self.tokens.get(self.next).cloned().unwrap_or(end)
    }

    fn take(&mut self) -> Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// The word at the cursor in lower case, if a word stands there.
    fn peek_word(&self) -> Option<String> {
        let token = self.peek();
        (token.kind == Kind::Word).then(|| token.text(self.source).to_ascii_lowercase())
    }

    /// Takes a word in its own spelling.
    fn word(&mut self, expected: &str) -> Parsed<(String, Range<usize>)> {
        let token = self.peek();
        if token.kind == Kind::Word {
            self.take();
            return Ok((token.text(self.source).to_owned(), token.span));
        }
        Err(wanted(&token.span, self.name_of(&token), expected))
    }

    /// What stands there instead of what should.
    fn name_of(&self, token: &Token) -> String {
        match token.kind {
            Kind::End => "the text ends here".to_owned(),
            Kind::Semicolon => "the statement ends here".to_owned(),
            Kind::Quoted => "a quoted text stands here".to_owned(),
            Kind::Unended => "the quote at the end of this text is missing".to_owned(),
            Kind::Word if is_long_number(token.text(self.source)) => "a long number stands here".to_owned(),
            Kind::Word => format!("{:?} is not understood here", crate::model::text::harmless(token.text(self.source))),
        }
    }

    /// The error of a word that means nothing where it stands.
    fn misread(&self, span: &Range<usize>, expected: impl Into<String>) -> SyntaxError {
        let token = Token { kind: Kind::Word, span: span.clone() };
        wanted(span, self.name_of(&token), expected)
    }

    fn end_of_last(&self) -> usize {
        self.next.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.span.end)
    }

    fn end_of_statement(&mut self) -> Parsed<()> {
        let token = self.peek();
        if token.kind == Kind::Semicolon {
            self.take();
            return Ok(());
        }
        Err(wanted(&token.span, self.name_of(&token), "; at the end of the statement"))
    }

    fn skip_statement(&mut self) {
        while !matches!(self.take().kind, Kind::Semicolon | Kind::End) {}
    }

    /// One statement without its semicolon; `None` where the script ends by its own word.
    fn statement(&mut self) -> Result<Option<Deed>, Vec<SyntaxError>> {
        let one = |error| vec![error];
        let (word, span) = self.word("a statement: add, delete, flush, spdadd, spddelete or spdflush").map_err(one)?;
        match word.to_ascii_lowercase().as_str() {
            "flush" => self.flush().map(Some).map_err(one),
            "spdflush" => Ok(Some(Deed::FlushPolicies(PolicyKind::Main))),
            "add" => self.add(&span).map(Some),
            "delete" => self.delete().map(Some).map_err(one),
            "spdadd" => self.spdadd(&span).map(Some),
            "spddelete" => self.spddelete().map(Some).map_err(one),
            "exit" | "quit" | "bye" => Ok(None),
            other if NOT_YET.contains(&other) => {
                Err(one(wrong(&span, format!("the statement `{other}` is not understood yet"))))
            }
            _ => Err(one(self.misread(&span, "a statement: add, delete, flush, spdadd, spddelete or spdflush"))),
        }
    }

    fn flush(&mut self) -> Parsed<Deed> {
        if self.peek().kind == Kind::Word {
            return self.protocol().map(|(protocol, _)| Deed::FlushSas(protocol));
        }
        Ok(Deed::FlushSas(IpsecProtocol::Any))
    }

    /// `-4`, `-6`, `-n`: which addresses a name means. Names are not looked up here, so there is nothing to choose.
    fn address_options(&mut self) -> Parsed<()> {
        while let Some(word) = self.peek_word().filter(|word| word.starts_with('-')) {
            let span = self.take().span;
            if word.len() < 2 || !word.chars().skip(1).all(|c| matches!(c, '4' | '6' | 'n')) {
                return Err(wanted(&span, format!("there is no option {word:?} here"), "an address"));
            }
        }
        Ok(())
    }

    fn address(&mut self) -> Parsed<(IpAddr, Range<usize>)> {
        let (word, span) = self.word("an IPv4 or IPv6 address")?;
        if word.contains('[') {
            return Err(wrong(&span, "ports at addresses belong to esp-udp, which is not understood yet"));
        }
        match word.parse() {
            Ok(address) => Ok((address, span)),
            Err(_) => Err(self.misread(&span, "an IPv4 or IPv6 address; host names are not looked up")),
        }
    }

    fn protocol(&mut self) -> Parsed<(IpsecProtocol, Range<usize>)> {
        let (word, span) = self.word("esp, ah or ipcomp")?;
        match word.to_ascii_lowercase().as_str() {
            "esp" => Ok((IpsecProtocol::Esp, span)),
            "ah" => Ok((IpsecProtocol::Ah, span)),
            "ipcomp" => Ok((IpsecProtocol::Comp, span)),
            old @ ("esp-old" | "ah-old") => Err(wrong(&span, format!("Linux has no `{old}` (RFC 1826 and 1827)"))),
            "tcp" => Err(wrong(&span, "TCP signatures are not made by XFRM on Linux")),
            "esp-udp" => Err(wrong(&span, "the protocol `esp-udp` is not understood yet")),
            _ => Err(self.misread(&span, "esp, ah or ipcomp")),
        }
    }

    fn number(&mut self, what: &str) -> Parsed<(u32, Range<usize>)> {
        let (word, span) = self.word(what)?;
        match parse_u32(&word) {
            Ok(number) => Ok((number, span)),
            Err(_) => Err(self.misread(&span, format!("{what}: a number to 4294967295, decimal or 0x hex"))),
        }
    }

    /// Errors end the statement; warnings are kept for who applies the script.
    fn judge(
        &mut self,
        problems: impl Iterator<Item = (Range<usize>, Severity, String)>,
    ) -> Result<(), Vec<SyntaxError>> {
        let mut errors = Vec::new();
        for (span, severity, sentence) in problems {
            match severity {
                Severity::Error => errors.push(wrong(&span, sentence)),
                Severity::Warning => self.warnings.push(Warning { span, sentence }),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
