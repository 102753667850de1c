//! Bytes as rows of sixteen, for looking at.

/// How many bytes stand in a row.
pub const ROW_BYTES: usize = 16;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The place of its first byte.
    pub offset: usize,
    /// At most [`ROW_BYTES`] bytes.
    pub bytes: &'a [u8],
}

impl Row<'_> {
    /// The bytes as printable ASCII, with dots for all others.
    pub fn ascii(&self) -> String {
        self.bytes.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect()
    }
}

/// How many rows there are.
pub fn row_count(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(ROW_BYTES)
}

/// The rows from number `first` on.
pub fn rows(bytes: &[u8], first: usize) -> impl Iterator<Item = Row<'_>> {
    let rows = bytes.chunks(ROW_BYTES).enumerate().skip(first);
    rows.map(|(row, bytes)| Row { offset: row * ROW_BYTES, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_sixteen_and_a_rest() {
        let bytes: Vec<u8> = (0x1b..0x1b + 20).collect();
        assert_eq!(row_count(&bytes), 2);
        let all: Vec<Row<'_>> = rows(&bytes, 0).collect();
        assert_eq!((all.len(), all[1].offset, all[1].bytes), (2, 16, &bytes[16..]));
        assert_eq!(all[0].ascii(), "..... !\"#$%&'()*");
        assert_eq!(rows(&bytes, 1).next(), Some(all[1].clone()));
        assert!(rows(&bytes, 2).next().is_none() && rows(&[], 0).next().is_none());
    }
}
