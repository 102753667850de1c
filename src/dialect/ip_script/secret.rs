//! Where the keys of a script of `ip xfrm` commands are, found by its words alone: a command that cannot be read shows no
//! key either.

use std::ops::Range;

use super::commands;
use super::word::{Word, words};
use crate::model::AlgorithmName;

/// The words behind which an algorithm's name and its key stand.
const ANNOUNCE: [&str; 4] = ["enc", "auth", "auth-trunc", "aead"];

/// The words of an SA behind which there is no key. One that is left out here only hides more.
const OTHERS: &[&str] = &[
    "src",
    "dst",
    "proto",
    "spi",
    "mode",
    "mark",
    "mask",
    "reqid",
    "seq",
    "sel",
    "flag",
    "extra-flag",
    "limit",
    "comp",
    "encap",
    "offload",
    "dir",
    "coa",
    "ctx",
    "tfcpad",
    "if_id",
    "output-mark",
    "pcpu-num",
    "replay-window",
    "replay-seq",
    "replay-seq-hi",
    "replay-oseq",
    "replay-oseq-hi",
];

/// What is or may be a key: what stands behind an algorithm's name up to the next word of `ip`'s, what is quoted, and
/// long numbers. From a key that a shell might read otherwise, all to the end of the command.
pub(in crate::dialect) fn key_spans(source: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for command in commands(source) {
        let text = source.get(command.clone()).unwrap_or_default();
        // How many words stand behind the one that announces a key.
        let mut behind: Option<usize> = None;
        for word in words(text) {
            behind = match behind {
                Some(0) => Some(1),
                Some(_) | None if !word.quoted && ANNOUNCE.contains(&word.text) => Some(0),
                Some(count) if count > 1 && OTHERS.contains(&word.text) && !word.quoted => None,
                Some(count) => Some(count + 1),
                None => None,
            };
            let is_key = match behind {
                Some(0) => false,
                Some(1) => !is_name(&word),
                Some(_) => true,
                None => word.quoted || is_long(word.text),
            };
            if !is_key {
                continue;
            }
            let span = command.start + word.span.start..command.start + word.span.end;
            if is_doubtful(&word, text) {
                spans.push(span.start..command.end);
                break;
            }
            spans.push(span);
        }
    }
    spans
}

/// Whether this is an algorithm's name, and no key in its place.
fn is_name(word: &Word<'_>) -> bool {
    let has_blanks = word.text.contains(char::is_whitespace);
    (word.text.contains('(') && !has_blanks) || AlgorithmName::from_kernel(word.text).known().is_some()
}

/// More digits than any other number has.
fn is_long(text: &str) -> bool {
    text.len() > 10 && (text.starts_with("0x") || text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether it may go on behind what is taken for its end.
fn is_doubtful(word: &Word<'_>, command: &str) -> bool {
    let next = command.get(word.span.end..).unwrap_or_default();
    let touches = next.chars().next().is_some_and(|c| !c.is_whitespace());
    touches || (!word.quoted && word.text.contains(['#', ';', '"', '\'']))
}
