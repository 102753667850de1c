//! What `list` and `deleteall` look for, as a filter of rows.

use crate::model::RowFilter;
use crate::model::row_filter::RowTest;

pub(super) fn is(test: RowTest) -> RowFilter {
    RowFilter::Is(test)
}

/// All of them; none of them is no filter.
pub(super) fn all_of(tests: impl IntoIterator<Item = RowFilter>) -> Option<RowFilter> {
    tests.into_iter().reduce(|a, b| RowFilter::And(Box::new(a), Box::new(b)))
}

/// At least one of them.
pub(super) fn any_of(tests: impl IntoIterator<Item = RowFilter>) -> Option<RowFilter> {
    tests.into_iter().reduce(|a, b| RowFilter::Or(Box::new(a), Box::new(b)))
}
