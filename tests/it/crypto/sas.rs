//! The SAs of the captures, as the files beside them say.

use espial::model::{AlgorithmName, Algorithms, IpsecProtocol, Secret, Spi, Transform};

pub struct KnownSa {
    pub protocol: IpsecProtocol,
    pub spi: Spi,
    pub extended: bool,
    /// The last sequence number before the capture.
    pub sent: u64,
    pub algorithms: Algorithms,
    /// What the file says of it.
    pub line: String,
}

pub struct KnownSas(Vec<KnownSa>);

fn key(text: &str) -> Secret {
    if matches!(text, "" | "\"\"") { Secret::default() } else { Secret::parse(text).unwrap() }
}

fn transform(name: &str, text: &str, icv_bits: u32) -> Transform {
    Transform { name: AlgorithmName::from_kernel(name), key: key(text), icv_bits }
}

fn number(text: &str) -> u64 {
    text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16)).unwrap()
}

impl KnownSas {
    /// From the arguments of `ip xfrm state add`, a line for each SA.
    pub fn from_ip_xfrm(text: &str) -> Self {
        Self(text.lines().map(KnownSa::from_ip_xfrm).collect())
    }

    /// From Wireshark's table.
    pub fn from_esp_sa(text: &str) -> Self {
        Self(text.lines().map(KnownSa::from_esp_sa).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &KnownSa> {
        self.0.iter()
    }

    /// The SA whose SPI stands at the beginning of `bytes`.
    pub fn find(&self, protocol: IpsecProtocol, bytes: &[u8]) -> &KnownSa {
        let spi = Spi(u32::from_be_bytes(*bytes.first_chunk().unwrap()));
        self.iter().find(|sa| sa.protocol == protocol && sa.spi == spi).unwrap_or_else(|| panic!("no SA {spi}"))
    }
}

impl KnownSa {
    fn from_ip_xfrm(line: &str) -> Self {
        let mut sa = Self {
            protocol: IpsecProtocol::Esp,
            spi: Spi(0),
            extended: line.contains("flag esn"),
            sent: 0,
            algorithms: Algorithms::default(),
            line: line.to_owned(),
        };
        let mut words = line.split(' ');
        while let Some(word) = words.next() {
            let mut next = || words.next().unwrap();
            match word {
                "proto" => {
                    sa.protocol = match next() {
                        "esp" => IpsecProtocol::Esp,
                        "ah" => IpsecProtocol::Ah,
                        "comp" => IpsecProtocol::Comp,
                        other => panic!("protocol {other}"),
                    }
                }
                "spi" => sa.spi = Spi(u32::try_from(number(next())).unwrap()),
                "replay-oseq" => sa.sent |= number(next()),
                "replay-oseq-hi" => sa.sent |= number(next()) << 32,
                "enc" => sa.algorithms.encryption = Some(transform(next(), next(), 0)),
                "auth-trunc" => sa.algorithms.authentication = Some(transform(next(), next(), next().parse().unwrap())),
                "aead" => sa.algorithms.aead = Some(transform(next(), next(), next().parse().unwrap())),
                "comp" => sa.algorithms.compression = Some(AlgorithmName::from_kernel(next())),
                _ => drop(next()),
            }
            // `encap` has three more values than the one taken.
            if word == "encap" {
                words.nth(2);
            }
        }
        sa
    }

    fn from_esp_sa(line: &str) -> Self {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        let [_, _, _, spi, encryption, encryption_key, authentication, authentication_key] = cells[..] else {
            panic!("eight cells: {line}")
        };
        let mut algorithms = Algorithms::default();
        let spi = Spi(u32::try_from(number(spi)).unwrap());
        match encryption {
            "NULL" => algorithms.encryption = Some(transform("ecb(cipher_null)", "", 0)),
            "TripleDES-CBC [RFC2451]" => algorithms.encryption = Some(transform("cbc(des3_ede)", encryption_key, 0)),
            "AES-CBC [RFC3602]" => algorithms.encryption = Some(transform("cbc(aes)", encryption_key, 0)),
            "AES-CTR [RFC3686]" => algorithms.encryption = Some(transform("rfc3686(ctr(aes))", encryption_key, 0)),
            "AES-GCM with 16 octet ICV [RFC4106]" => {
                algorithms.aead = Some(transform("rfc4106(gcm(aes))", encryption_key, 128));
            }
            "AES-GCM with 12 octet ICV [RFC4106]" => {
                algorithms.aead = Some(transform("rfc4106(gcm(aes))", encryption_key, 96));
            }
            other => panic!("encryption {other}"),
        }
        let key = authentication_key;
        algorithms.authentication = Some(match authentication {
            "NULL" => transform("digest_null", "", 0),
            "HMAC-SHA-1-96 [RFC2404]" => transform("hmac(sha1)", key, 96),
            "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]" => transform("hmac(sha256)", key, 96),
            "HMAC-SHA-256-128 [RFC4868]" => transform("hmac(sha256)", key, 128),
            "HMAC-SHA-512-256 [RFC4868]" => transform("hmac(sha512)", key, 256),
            // Wireshark has no AES-XCBC and so no column for its key.
            "ANY 96 bit authentication [no checking]" => transform("xcbc(aes)", "\"ABCDEFGHIJKLMNOP\"", 96),
            other => panic!("authentication {other}"),
        });
        // Of all rows only the last but one pair has extended sequence numbers, which the table cannot say.
        let extended = matches!(spi.0, 0x100d | 0x200d);
        let line = line.to_owned();
        Self { protocol: IpsecProtocol::Esp, spi, extended, sent: 0, algorithms, line }
    }

    /// The transform that authenticates, if any does.
    fn authenticator(&mut self) -> Option<&mut Transform> {
        let Algorithms { aead, authentication, .. } = &mut self.algorithms;
        aead.as_mut().or(authentication.as_mut()).filter(|transform| transform.icv_bits > 0)
    }

    pub fn authenticates(&self) -> bool {
        let Algorithms { aead, authentication, .. } = &self.algorithms;
        aead.as_ref().or(authentication.as_ref()).is_some_and(|transform| transform.icv_bits > 0)
    }

    fn copy(&self) -> Self {
        let (algorithms, line) = (self.algorithms.clone(), self.line.clone());
        Self { algorithms, line, ..*self }
    }

    /// The same SA with the last bit of its authentication key changed.
    pub fn with_another_key(&self) -> Self {
        let mut other = self.copy();
        if let Some(transform) = other.authenticator() {
            let mut bytes = transform.key.expose().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            transform.key = Secret::take(bytes);
        }
        other
    }

    /// The same SA with each other ICV length that its algorithm is known for, and some more where any goes.
    pub fn with_other_icv_lengths(&self) -> Vec<Self> {
        let mut copy = self.copy();
        let Some(Transform { name, icv_bits, .. }) = copy.authenticator() else { return Vec::new() };
        let mut lengths: Vec<u32> = name.known().unwrap().icv_bits.iter().map(|bits| u32::from(*bits)).collect();
        if self.algorithms.aead.is_none() {
            lengths.extend([64, 96, 128]);
        }
        lengths.retain(|bits| bits != icv_bits);
        let with = |icv_bits| {
            let mut other = self.copy();
            other.authenticator().unwrap().icv_bits = icv_bits;
            other
        };
        lengths.into_iter().map(with).collect()
    }
}
