//! What `list` and `deleteall` look for, as a filter of rows.

use super::reader::{Parsed, Reader};
use crate::dialect::report::SyntaxError;
use crate::model::RowFilter;
use crate::model::expression::MOST_CONDITIONS;
use crate::model::row_filter::RowTest;

pub(super) fn is(test: RowTest) -> RowFilter {
    RowFilter::Is(test)
}

/// All of them; none of them is no filter.
pub(super) fn all_of(tests: Vec<RowFilter>, reader: &Reader<'_>) -> Parsed<Option<RowFilter>> {
    if tests.len() > MOST_CONDITIONS {
        let problem = format!("these are more than {MOST_CONDITIONS} conditions");
        return Err(SyntaxError { span: reader.end..reader.end, problem, expected: None });
    }
    Ok(tests.into_iter().reduce(|a, b| RowFilter::And(Box::new(a), Box::new(b))))
}

/// At least one of the flags in this line. Without a flag this would be no condition, and everything would fit: so one
/// must be there, and all of them must have a name.
pub(super) fn any_flag(reader: &mut Reader<'_>, names: &[&str]) -> Parsed<RowFilter> {
    let at = reader.peek().map_or(reader.end..reader.end, |word| word.span.clone());
    let flags = reader.small_flags(names)?;
    let of_names = names.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0);
    let unnamed = of_names.clone().fold(flags, |rest, (bit, _)| rest & !(1 << bit));
    if unnamed != 0 {
        return Err(SyntaxError::wanted(at, &format!("no flag has the bits {unnamed:#x}"), names.join(" ")));
    }
    let tests = of_names.map(|(_, name)| is(RowTest::Flag((*name).into())));
    let any = tests.reduce(|a, b| RowFilter::Or(Box::new(a), Box::new(b)));
    any.ok_or_else(|| SyntaxError::wanted(at, "a flag is missing here", names.join(" ")))
}
