//! The languages that administrators write SAs and policies in: text to model, and the model to text.
//!
//! Pure: no files, no kernel. A parser takes the whole text and gives typed statements, each with its place, or every
//! error with the place it is at. Keys are printed only for who asks ([`Keys::Show`]).

pub mod deed;
pub mod esp_sa;
pub mod ip_script;
pub mod iproute2;
pub mod key_file;
pub mod report;
pub mod script;
pub mod setkey;
pub mod xfrm_state;

pub use iproute2::{left_out_of_policy, left_out_of_sa};

/// What tells an interface's number by its name, which a text by itself does not.
pub type Interfaces<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// Whether printed text shows keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In clear: the text can be loaded again.
    Show,
    /// Not at all: the text says so, and cannot be loaded by mistake.
    Hide,
}

/// What stands in the place of a hidden key. No dialect takes it for a key: loading it fails.
pub const HIDDEN_KEY: &str = "<key hidden>";

/// A key as both languages write it: `0x` and hex digits.
pub(crate) fn key_text(key: &crate::model::Secret, keys: Keys) -> zeroize::Zeroizing<String> {
    match keys {
        Keys::Show => zeroize::Zeroizing::new(format!("0x{}", *key.reveal_hex())),
        Keys::Hide => zeroize::Zeroizing::new(HIDDEN_KEY.to_owned()),
    }
}
