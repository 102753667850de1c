//! Bytes as rows, for looking at.

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The place of its first byte.
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Row<'_> {
    /// The bytes as printable ASCII, with dots for all others.
    pub fn ascii(&self) -> String {
        self.bytes.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect()
    }
}

/// The rows of so many bytes each (at least one); the last one may be shorter.
pub fn rows(bytes: &[u8], in_a_row: usize) -> impl Iterator<Item = Row<'_>> {
    let in_a_row = in_a_row.max(1);
    let rows = bytes.chunks(in_a_row).enumerate();
    rows.map(move |(row, bytes)| Row { offset: row * in_a_row, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_a_rest() {
        let bytes: Vec<u8> = (0x1b..0x1b + 20).collect();
        let all: Vec<Row<'_>> = rows(&bytes, 16).collect();
        assert_eq!((all.len(), all[1].offset, all[1].bytes), (2, 16, &bytes[16..]));
        assert_eq!(all[0].ascii(), "..... !\"#$%&'()*");
        assert_eq!((rows(&bytes, 0).count(), rows(&[], 16).count()), (20, 0));
    }
}
