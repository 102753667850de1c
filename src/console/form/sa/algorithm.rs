//! The algorithms that the form of an SA offers: those of the table, and what an SA that is edited has besides.

use crate::console::form::{FieldId as F, Form};
use crate::model::algorithm::KeyLengths;
use crate::model::{Algorithm, AlgorithmKind, AlgorithmName, Transform};

/// The choice that means no algorithm.
pub(super) const NONE: &str = "none";
/// The key that is made up where the algorithm takes many lengths.
const USUAL_BITS: u16 = 128;

/// An algorithm that can be chosen.
pub(super) struct Offer {
    /// The word on screen.
    pub word: String,
    /// Which.
    pub name: AlgorithmName,
    /// Whether it is an AEAD.
    pub is_aead: bool,
    /// The key's length, salt included, where the word says it or there is only one.
    pub key_bits: Option<u16>,
    /// The length that is made up.
    pub usual_bits: u16,
    /// The ICV lengths; of authentication the one that the word says.
    pub icv_bits: Vec<u32>,
}

impl Offer {
    fn of(algorithm: &'static Algorithm, word: String, key_bits: Option<u16>, icv_bits: Vec<u32>) -> Self {
        let is_aead = algorithm.kind == AlgorithmKind::Aead;
        let usual_bits = key_bits.unwrap_or(USUAL_BITS);
        Self { word, name: algorithm.into(), is_aead, key_bits, usual_bits, icv_bits }
    }

    /// What an SA has that is edited.
    fn as_it_is(word: String, transform: &Transform, is_aead: bool) -> Self {
        let usual_bits = u16::try_from(transform.key.bits()).unwrap_or(0);
        let icv_bits = vec![transform.icv_bits];
        Self { word, name: transform.name.clone(), is_aead, key_bits: None, usual_bits, icv_bits }
    }

    fn fits(&self, transform: &Transform) -> bool {
        let length = self.key_bits.is_none_or(|bits| usize::from(bits) == transform.key.bits());
        self.name == transform.name && length
    }
}

/// Every cipher: one word for each key length of a list, or one for all lengths of a range.
fn ciphers_of_the_table() -> impl Iterator<Item = Offer> {
    let all = Algorithm::of_kind(AlgorithmKind::Aead).chain(Algorithm::of_kind(AlgorithmKind::Encryption));
    all.flat_map(|algorithm| {
        let icv_bits: Vec<u32> = algorithm.icv_bits.iter().map(|bits| u32::from(*bits)).collect();
        let offer = move |word, bits| Offer::of(algorithm, word, bits, icv_bits.clone());
        match algorithm.key_bits {
            KeyLengths::OneOf([bits]) => vec![offer(algorithm.label.to_owned(), Some(*bits))],
            KeyLengths::Range(..) => vec![offer(algorithm.label.to_owned(), None)],
            KeyLengths::OneOf(list) => {
                let word = |bits: u16| format!("{}-{}", algorithm.label, bits.saturating_sub(algorithm.salt_bits));
                list.iter().rev().map(|bits| offer(word(*bits), Some(*bits))).collect()
            }
        }
    })
}

/// The cipher of the SA that is edited.
fn cipher_before(form: &Form) -> Option<(&Transform, bool)> {
    let algorithms = &form.edited_sa()?.algorithms;
    let aead = algorithms.aead.as_ref().map(|transform| (transform, true));
    aead.or_else(|| algorithms.encryption.as_ref().map(|transform| (transform, false)))
}

/// Every cipher that can be chosen.
pub(super) fn ciphers(form: &Form) -> Vec<Offer> {
    let mut offers: Vec<Offer> = ciphers_of_the_table().collect();
    if let Some((transform, is_aead)) = cipher_before(form)
        && !offers.iter().any(|offer| offer.fits(transform))
    {
        let word = format!("{}-{}", transform.name.label(), transform.cipher_key_bits());
        offers.push(Offer::as_it_is(word, transform, is_aead));
    }
    offers
}

/// The word for the cipher of the SA that is edited.
pub(super) fn cipher_word(form: &Form) -> Option<String> {
    let (transform, _) = cipher_before(form)?;
    ciphers(form).into_iter().find(|offer| offer.fits(transform)).map(|offer| offer.word)
}

/// The cipher that is chosen, of an SA that has any.
pub(super) fn chosen_cipher(form: &Form) -> Option<Offer> {
    let chosen = form.value(F::Encryption);
    let offered = || ciphers(form).into_iter().find(|offer| offer.word == chosen);
    if form.value(F::Protocol) == "esp" { offered() } else { None }
}

/// The ICV lengths of the chosen AEAD.
pub(super) fn icv_lengths(form: &Form) -> Vec<String> {
    let chosen = chosen_cipher(form).filter(|offer| offer.is_aead);
    let mut lengths = chosen.as_ref().map(|offer| offer.icv_bits.clone()).unwrap_or_default();
    if let (Some(offer), Some((before, true))) = (chosen, cipher_before(form))
        && offer.name == before.name
        && !lengths.contains(&before.icv_bits)
    {
        lengths.push(before.icv_bits);
    }
    lengths.iter().map(ToString::to_string).collect()
}

fn authentication_word(name: &AlgorithmName, icv_bits: u32) -> String {
    if icv_bits == 0 { name.label().to_owned() } else { format!("{}-{icv_bits}", name.label()) }
}

/// Every authentication that can be chosen, each ICV length by itself.
pub(super) fn authentications(form: &Form) -> Vec<Offer> {
    let of_table = Algorithm::of_kind(AlgorithmKind::Authentication).flat_map(|algorithm| {
        algorithm.icv_bits.iter().map(move |bits| {
            let (bits, key_bits) = (u32::from(*bits), algorithm.key_bits.longest());
            Offer::of(algorithm, authentication_word(&algorithm.into(), bits), Some(key_bits), vec![bits])
        })
    });
    // AH without a proof would be no AH.
    let proves = |offer: &Offer| form.value(F::Protocol) != "ah" || offer.icv_bits != [0];
    let mut offers: Vec<Offer> = of_table.filter(proves).collect();
    if let Some(before) = form.edited_sa().and_then(|sa| sa.algorithms.authentication.as_ref()) {
        let word = authentication_word(&before.name, before.icv_bits);
        if !offers.iter().any(|offer| offer.word == word) {
            offers.push(Offer::as_it_is(word, before, false));
        }
    }
    offers
}

/// The word for the authentication of the SA that is edited.
pub(super) fn authentication_word_before(form: &Form) -> Option<String> {
    let before = form.edited_sa()?.algorithms.authentication.as_ref()?;
    Some(authentication_word(&before.name, before.icv_bits))
}

/// Whether the SA has an authentication beside its cipher, or nothing else.
pub(super) fn needs_authentication(form: &Form) -> bool {
    match form.value(F::Protocol) {
        "ah" => true,
        "esp" => chosen_cipher(form).is_some_and(|offer| !offer.is_aead),
        _ => false,
    }
}

/// The authentication that is chosen.
pub(super) fn chosen_authentication(form: &Form) -> Option<Offer> {
    let chosen = form.value(F::Authentication);
    let offered = || authentications(form).into_iter().find(|offer| offer.word == chosen);
    if needs_authentication(form) { offered() } else { None }
}
