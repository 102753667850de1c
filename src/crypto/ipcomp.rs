//! IPComp, RFC 3173, with DEFLATE, RFC 2394: what a compressed payload was.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::Unready;
use crate::model::Algorithms;

/// The longest payload that an IP packet can have had. DEFLATE can grow a thousandfold; nothing is inflated beyond this.
pub const LONGEST: usize = 65_535;

/// Why a payload stays compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotInflated {
    /// It ends early, or was never DEFLATE.
    #[error("the compressed payload is broken")]
    Broken,
    /// It would be longer than any IP packet.
    #[error("the compressed payload grows beyond {LONGEST} bytes")]
    TooLong,
}

/// Whether an SA's packets can be inflated by [`inflate`].
///
/// # Errors
/// When it compresses otherwise, or not at all.
pub fn ready(algorithms: &Algorithms) -> Result<(), Unready> {
    match algorithms.compression.as_ref().ok_or(Unready::NoAlgorithm)?.kernel() {
        "deflate" => Ok(()),
        name => Err(Unready::Unsupported(name.to_owned())),
    }
}

/// Inflates what stands behind the four bytes of the IPComp header.
///
/// # Errors
/// When it is not DEFLATE, or longer than [`LONGEST`].
pub fn inflate(compressed: &[u8]) -> Result<Vec<u8>, NotInflated> {
    decompress_to_vec_with_limit(compressed, LONGEST).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => NotInflated::TooLong,
        _ => NotInflated::Broken,
    })
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;

    use super::*;
    use crate::model::AlgorithmName;

    #[test]
    fn what_was_deflated_comes_back() {
        // zlib's raw DEFLATE of these words.
        let hello = [0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x28, 0xcf, 0x2f, 0xca, 0x49, 0x01, 0x00];
        assert_eq!(inflate(&hello).unwrap(), b"hello world");
        let longest = vec![b'x'; LONGEST];
        assert_eq!(inflate(&compress_to_vec(&longest, 6)).unwrap(), longest);
    }

    #[test]
    fn nothing_grows_without_bound() {
        let bomb = compress_to_vec(&vec![0; 1 << 24], 9);
        assert!(bomb.len() < 20_000);
        assert_eq!(inflate(&bomb), Err(NotInflated::TooLong));
        assert_eq!(inflate(&compress_to_vec(&vec![0; LONGEST + 1], 6)), Err(NotInflated::TooLong));
    }

    #[test]
    fn what_is_cut_or_no_deflate_is_broken() {
        let whole = compress_to_vec(b"hello world, hello world", 6);
        for length in 0..whole.len() {
            assert_eq!(inflate(&whole[..length]), Err(NotInflated::Broken), "{length} bytes");
        }
        assert_eq!(inflate(&[7; 20]), Err(NotInflated::Broken));
    }

    #[test]
    fn only_deflate_is_known() {
        let with = |name| Algorithms { compression: Some(AlgorithmName::from_kernel(name)), ..Algorithms::default() };
        assert_eq!(ready(&with("deflate")), Ok(()));
        assert_eq!(ready(&with("lzs")), Err(Unready::Unsupported("lzs".into())));
        assert_eq!(ready(&Algorithms::default()), Err(Unready::NoAlgorithm));
    }
}
