//! The commands of `ip xfrm state`.

use std::net::IpAddr;

use super::Family;
use super::ends::{IdWords, nowhere};
use super::filter::{all_of, any_flag, is};
use super::reader::{Parsed, Reader, misread, mode, protocol, refused, shortened};
use super::sa_words::{SaWords, direction};
use super::word::Word;
use crate::dialect::deed::Deed;
use crate::dialect::report::SyntaxError;
use crate::model::expression::End;
use crate::model::question::Question;
use crate::model::row_filter::{Quantity, Relation, RowTest};
use crate::model::sa::SpiRequest;
use crate::model::{IpsecProtocol, Mark, ReqId, RowFilter, SaFlags, SaId, SaSpec, Spi};

/// What may stand behind `ip xfrm state`.
#[derive(Clone, Copy)]
enum Verb {
    Add,
    Update,
    AllocateSpi,
    Delete,
    DeleteAll,
    List,
    Get,
    Flush,
    Count,
    Help,
}

/// In `ip`'s order: the first one that begins with a shortened word is meant.
const VERBS: [(&str, Verb); 13] = [
    ("add", Verb::Add),
    ("update", Verb::Update),
    ("allocspi", Verb::AllocateSpi),
    ("delete", Verb::Delete),
    ("deleteall", Verb::DeleteAll),
    ("delall", Verb::DeleteAll),
    ("list", Verb::List),
    ("show", Verb::List),
    ("lst", Verb::List),
    ("get", Verb::Get),
    ("flush", Verb::Flush),
    ("count", Verb::Count),
    ("help", Verb::Help),
];

/// What a command that begins with `verb` asks for; without one, `ip` lists.
pub(super) fn deed(verb: Option<Word<'_>>, reader: Reader<'_>, family: Family) -> Parsed<Deed> {
    let Some(word) = verb else {
        return list(reader, family).map(|filter| Deed::Show(Question::Sas(filter)));
    };
    let expected = "add, update, allocspi, delete, deleteall, list, get, flush or count";
    let verb = shortened(word.text, &VERBS).ok_or_else(|| misread(&word, expected))?;
    match verb {
        Verb::Add => spec(reader, family).map(|spec| Deed::AddSa(Box::new(spec))),
        Verb::Update => spec(reader, family).map(|spec| Deed::UpdateSa(Box::new(spec))),
        Verb::AllocateSpi => allocate(reader, family).map(|wanted| Deed::AllocateSpi(Box::new(wanted))),
        Verb::Delete => id(reader, family).map(Deed::DeleteSa),
        Verb::Get => id(reader, family).map(|id| Deed::Show(Question::Sa(id))),
        Verb::DeleteAll => list(reader, family).map(Deed::DeleteSas),
        Verb::List => list(reader, family).map(|filter| Deed::Show(Question::Sas(filter))),
        Verb::Flush => flush(reader).map(Deed::FlushSas),
        Verb::Count => reader.nothing_more().map(|()| Deed::Show(Question::CountSas)),
        Verb::Help => Err(refused(&word, "this explains `ip` and asks for nothing")),
    }
}

fn spec(mut reader: Reader<'_>, family: Family) -> Parsed<SaSpec> {
    let mut words = SaWords::new();
    while let Some(word) = reader.next() {
        if !words.take(&mut reader, &word)? {
            return Err(misread(&word, "an attribute of an SA as `ip xfrm state add` takes it"));
        }
    }
    words.finish(&reader, family == Family::V6)
}

fn id(mut reader: Reader<'_>, family: Family) -> Parsed<SaId> {
    let (mut words, mut mark) = (IdWords::default(), None);
    while let Some(word) = reader.next() {
        match word.text {
            "mark" => mark = compared(reader.mark()?),
            _ if words.take(&mut reader, &word)? => {}
            _ => return Err(misread(&word, "src, dst, proto, spi or mark")),
        }
    }
    let [_, destination] = addresses(&words, family);
    let (protocol, spi) = (words.protocol(&reader)?, words.spi.unwrap_or_default());
    Ok(SaId { destination, protocol, spi, mark, acquire_sequence: 0 })
}

/// To find an SA, `ip` says a mark only where it asks for a bit to be set.
pub(super) fn compared(mark: Option<Mark>) -> Option<Mark> {
    mark.filter(|mark| mark.value & mark.mask != 0)
}

fn addresses(words: &IdWords, family: Family) -> [IpAddr; 2] {
    words.ends.addresses(words.ends.is_v6().unwrap_or(family == Family::V6))
}

fn allocate(mut reader: Reader<'_>, family: Family) -> Parsed<SpiRequest> {
    let (mut words, mut range) = (IdWords::default(), [None, None]);
    let mut wanted = SpiRequest::any(nowhere(false), nowhere(false), IpsecProtocol::Any);
    while let Some(word) = reader.next() {
        match word.text {
            "mode" => wanted.mode = reader.value("transport, tunnel, beet, ro or in_trigger", mode)?,
            "mark" => wanted.mark = compared(reader.mark()?),
            "reqid" => wanted.reqid = ReqId(reader.number("a reqid")?),
            "seq" => wanted.acquire_sequence = reader.number("a number")?.to_be(),
            "dir" => wanted.direction = Some(direction(&mut reader)?),
            "pcpu-num" => wanted.cpu = Some(reader.number("a CPU's number")?).filter(|cpu| *cpu != u32::MAX),
            "min" => range[0] = Some(reader.number("the least SPI")?),
            "max" => range[1] = Some(reader.number("the greatest SPI")?),
            "spi" => return Err(refused(&word, "the kernel chooses the SPI: say min and max")),
            _ if words.take(&mut reader, &word)? => {}
            _ => return Err(misread(&word, "src, dst, proto, mode, mark, reqid, seq, dir, pcpu-num, min or max")),
        }
    }
    [wanted.source, wanted.destination] = addresses(&words, family);
    wanted.protocol = words.protocol(&reader)?;
    let (least, greatest) = match range {
        [None, None] => (0x100, if wanted.protocol == IpsecProtocol::Comp { 0xffff } else { 0x0fff_ffff }),
        [Some(least), Some(greatest)] if least <= greatest => (least, greatest),
        [Some(_), Some(_)] => return Err(misplaced(&reader, "min is greater than max")),
        [Some(_), None] | [None, Some(_)] => return Err(misplaced(&reader, "min and max go together")),
    };
    (wanted.least, wanted.greatest) = (Spi(least), Spi(greatest));
    Ok(wanted)
}

fn misplaced(reader: &Reader<'_>, problem: &str) -> SyntaxError {
    SyntaxError { span: reader.end..reader.end, problem: problem.to_owned(), expected: None }
}

/// What `list` and `deleteall` look for; `nokeys` goes without saying.
fn list(mut reader: Reader<'_>, family: Family) -> Parsed<Option<RowFilter>> {
    let (mut words, mut tests) = (IdWords::default(), Vec::new());
    while let Some(word) = reader.next() {
        match word.text {
            "nokeys" => {}
            "mode" => tests.push(is(RowTest::Mode(reader.value("transport, tunnel, beet, ro or in_trigger", mode)?))),
            "reqid" => tests.push(number(Quantity::ReqId, reader.number("a reqid")?)),
            "flag" => {
                let names: Vec<&str> = SaFlags(u8::MAX).names().collect();
                tests.push(any_flag(&mut reader, &names)?);
            }
            _ if words.take(&mut reader, &word)? => {}
            _ => return Err(misread(&word, "src, dst, proto, spi, mode, reqid, flag or nokeys")),
        }
    }
    tests.extend(family.filter());
    let ends = [End::Source, End::Destination].into_iter().zip(words.ends.asked());
    tests.extend(ends.filter_map(|(end, asked)| Some(is(RowTest::Net(end, asked?)))));
    tests.extend(words.protocol.map(|protocol| is(RowTest::Protocol(protocol))));
    tests.extend(words.spi.map(|spi| number(Quantity::Spi, spi.0)));
    all_of(tests, &reader)
}

pub(super) fn number(quantity: Quantity, value: u32) -> RowFilter {
    is(RowTest::Number(quantity, Relation::Equal, value.into()))
}

fn flush(mut reader: Reader<'_>) -> Parsed<IpsecProtocol> {
    let words = "esp, ah, comp, route2, hao or ipsec-any";
    // Nothing said is every protocol, those of Mobile IPv6 too.
    let flushed = if reader.takes("proto") { reader.value(words, protocol)? } else { IpsecProtocol::Other(0) };
    reader.nothing_more()?;
    Ok(flushed)
}
