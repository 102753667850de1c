//! Tokens into statements, by recursive descent. An error ends its statement; the next one is read all the same.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;

use super::lexer::{Kind, Lexer, Token, is_long_number, key_spans, tokens};
use super::{Names, NoNames};
use crate::dialect::deed::{Deed, Script, Statement, Warning};
use crate::dialect::report::SyntaxError;
use crate::model::check::Severity;
use crate::model::number::parse_u32;
use crate::model::question::Question;
use crate::model::row_filter::Rows;
use crate::model::{IpsecProtocol, PolicyKind, RowFilter};

mod address;
mod options;
mod policy;
mod rule;
mod sa;
mod twin;

pub(super) use rule::MOST_UNIQUE;
pub use twin::forward_twin;

/// The most errors that are reported; behind them one fault may cause all the others.
const MOST_ERRORS: usize = 20;

/// What a script is read with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Who knows what its names mean.
    pub names: &'a dyn Names,
    /// Whether every policy of direction in brings another one for packets passed on, as Linux's setkey has it unless
    /// it is started with -k.
    pub forward_twins: bool,
}

/// Reads a script that names no hosts, as Linux's setkey would.
///
/// # Errors
/// Every error that was found, in the order of the text.
pub fn parse(source: &str) -> Result<Script, Vec<SyntaxError>> {
    parse_with(source, Reading { names: &NoNames, forward_twins: true })
}

/// Reads a script.
///
/// # Errors
/// Every error that was found, in the order of the text.
pub fn parse_with(source: &str, reading: Reading<'_>) -> Result<Script, Vec<SyntaxError>> {
    let mut lexer = Lexer::new(source);
    let next = lexer.take();
    let hosts = HashMap::new();
    let mut parser =
        Parser { source, lexer, next, end_of_last: 0, reading, hosts, warnings: Vec::new(), keys: OnceCell::new() };
    let mut script = Script::default();
    let mut errors = Vec::new();
    while parser.peek().kind != Kind::End && errors.len() < MOST_ERRORS {
        if parser.peek().kind == Kind::Semicolon {
            parser.take();
            continue;
        }
        let start = parser.peek().span.start;
        match parser.statement() {
            Ok(Some(deeds)) => {
                let span = start..parser.end_of_last;
                match parser.end_of_statement() {
                    Ok(()) => {
                        script.statements.extend(deeds.into_iter().map(|deed| Statement { deed, span: span.clone() }));
                    }
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
    twin::leave_out_said(&mut script);
    if errors.is_empty() { Ok(script) } else { Err(errors) }
}

type Parsed<T> = Result<T, SyntaxError>;

struct Parser<'a> {
    source: &'a str,
    lexer: Lexer<'a>,
    /// The token at the cursor.
    next: Token,
    /// Where the token before it ends.
    end_of_last: usize,
    reading: Reading<'a>,
    /// The hosts that were asked for: a name means the same in the whole script.
    hosts: HashMap<String, Result<Vec<IpAddr>, String>>,
    warnings: Vec<Warning>,
    /// Where keys are or may be, once an error asks for it.
    keys: OnceCell<Vec<Range<usize>>>,
}

fn wrong(span: &Range<usize>, problem: impl Into<String>) -> SyntaxError {
    SyntaxError { span: span.clone(), problem: problem.into(), expected: None }
}

fn wanted(span: &Range<usize>, problem: impl Into<String>, expected: impl Into<String>) -> SyntaxError {
    SyntaxError { span: span.clone(), problem: problem.into(), expected: Some(expected.into()) }
}

const STATEMENTS: &str = "a statement: add, update, getspi, get, delete, deleteall, flush, dump, spdadd, spdupdate, \
                          spddelete, spdflush, spddump or quit";

/// A protocol of the language.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SaProtocol {
    number: IpsecProtocol,
    /// `esp-udp`: ESP in UDP.
    in_udp: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Token {
        self.next.clone()
    }

    fn take(&mut self) -> Token {
        let token = std::mem::replace(&mut self.next, self.lexer.take());
        self.end_of_last = token.span.end;
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
            Kind::Word if self.may_be_a_key(token) => "this word is not understood here".to_owned(),
            Kind::Word => format!("{:?} is not understood here", crate::model::text::harmless(token.text(self.source))),
        }
    }

    fn may_be_a_key(&self, token: &Token) -> bool {
        self.keys
            .get_or_init(|| key_spans(self.source, &tokens(self.source)))
            .iter()
            .any(|key| key.contains(&token.span.start))
    }

    /// The error of a word that means nothing where it stands.
    fn misread(&self, span: &Range<usize>, expected: impl Into<String>) -> SyntaxError {
        let token = Token { kind: Kind::Word, span: span.clone() };
        wanted(span, self.name_of(&token), expected)
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

    /// One statement without its semicolon: what it asks for, of which there may be several where a name has several
    /// addresses. `None` where the script ends by its own word.
    fn statement(&mut self) -> Result<Option<Vec<Deed>>, Vec<SyntaxError>> {
        let one = |error| vec![error];
        let (word, span) = self.word(STATEMENTS).map_err(one)?;
        let deeds = match word.to_ascii_lowercase().as_str() {
            "add" => self.add(&span, Deed::AddSa)?,
            "update" => self.add(&span, Deed::UpdateSa)?,
            "getspi" => self.getspi().map_err(one)?,
            "get" => self.get().map_err(one)?,
            "delete" => self.delete().map_err(one)?,
            "deleteall" => vec![self.deleteall().map_err(one)?],
            "flush" => vec![Deed::FlushSas(self.all_of().map_err(one)?)],
            "dump" => vec![self.dump().map_err(one)?],
            "spdadd" => vec![self.spdadd(&span, Deed::AddPolicies)?],
            "spdupdate" => vec![self.spdadd(&span, Deed::UpdatePolicies)?],
            "spddelete" => self.spddelete().map_err(one)?,
            "spdflush" => vec![Deed::FlushPolicies(PolicyKind::Main)],
            "spddump" => vec![Deed::Show(Question::Policies(None))],
            "exit" | "quit" | "bye" => return Ok(None),
            _ => return Err(one(self.misread(&span, STATEMENTS))),
        };
        Ok(Some(deeds))
    }

    /// The protocol of a statement about many SAs; all of them where none stands there.
    fn all_of(&mut self) -> Parsed<IpsecProtocol> {
        if self.peek().kind != Kind::Word {
            return Ok(IpsecProtocol::Any);
        }
        let (protocol, span) = self.protocol()?;
        if protocol.in_udp {
            return Err(wanted(&span, "Linux cannot tell esp-udp from other ESP here", "esp, which means both"));
        }
        Ok(protocol.number)
    }

    fn dump(&mut self) -> Parsed<Deed> {
        let at = self.peek().span;
        let filter = match self.all_of()? {
            IpsecProtocol::Any => None,
            protocol => filter(&format!("proto {protocol}"), &at)?,
        };
        Ok(Deed::Show(Question::Sas(filter)))
    }

    fn protocol(&mut self) -> Parsed<(SaProtocol, Range<usize>)> {
        let expected = "esp, ah, esp-udp or ipcomp";
        let (word, span) = self.word(expected)?;
        let plain = |number| SaProtocol { number, in_udp: false };
        let protocol = match word.to_ascii_lowercase().as_str() {
            "esp" => plain(IpsecProtocol::Esp),
            "ah" => plain(IpsecProtocol::Ah),
            "ipcomp" => plain(IpsecProtocol::Comp),
            "esp-udp" => SaProtocol { number: IpsecProtocol::Esp, in_udp: true },
            old @ ("esp-old" | "ah-old") => {
                return Err(wrong(&span, format!("Linux has no `{old}` (RFC 1826 and 1827)")));
            }
            "tcp" => return Err(wrong(&span, "TCP signatures (`tcp`) are not made by XFRM on Linux")),
            _ => return Err(self.misread(&span, expected)),
        };
        Ok((protocol, span))
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

/// A condition on SAs, in the words of `espial sa`.
fn filter(words: &str, span: &Range<usize>) -> Parsed<Option<RowFilter>> {
    RowFilter::parse(words, Rows::Sas).map_err(|error| wrong(span, error.to_string()))
}
