//! Just enough of a pcap reader and of IP to get at ESP, AH and IPComp in these tests, on purpose not the program's own.

macro_rules! captures {
    ($($name:literal)*) => { &[$(($name, include_bytes!(concat!("../../data/vectors/", $name, ".pcap")))),*] };
}

/// The captures of `esp_sa`.
pub const CAPTURES: &[(&str, &[u8])] = captures!(
    "3des-sha1" "aes-xcbc" "aes128-sha1" "aes128-sha512_256" "aes256-sha256_128" "aes256-sha256_96" "aesctr-sha1"
    "esn-aes128-sha1" "gcm128-12" "gcm128-16" "gcm256-16" "null-null" "null-sha1" "udp-aes128-sha1"
);

/// The frames of a classic pcap file in little-endian order.
pub fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let (header, mut rest) = pcap.split_at(24);
    assert_eq!(header[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a pcap file");
    assert_eq!(header[20..], [1, 0, 0, 0], "frames are Ethernet");
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (record, behind) = rest.split_at(16);
        let length = u32::from_le_bytes(record[8..12].try_into().unwrap());
        let (frame, behind) = behind.split_at(length as usize);
        frames.push(frame);
        rest = behind;
    }
    frames
}

/// The IP packet in an Ethernet frame.
pub fn without_ethernet(frame: &[u8]) -> &[u8] {
    assert!(matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]), "an IP packet");
    &frame[14..]
}

/// An IP packet with what its header and extension headers lead to.
pub struct Packet<'a> {
    pub bytes: &'a [u8],
    pub next: u8,
    pub payload_at: usize,
}

impl<'a> Packet<'a> {
    pub fn parse(bytes: &'a [u8]) -> Self {
        if bytes[0] >> 4 == 4 {
            let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            return Self { bytes: &bytes[..total], next: bytes[9], payload_at: usize::from(bytes[0] & 15) * 4 };
        }
        let (mut next, mut at) = (bytes[6], 40);
        while matches!(next, 0 | 43 | 60) {
            (next, at) = (bytes[at], at + (usize::from(bytes[at + 1]) + 1) * 8);
        }
        let total = 40 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        Self { bytes: &bytes[..total], next, payload_at: at }
    }
}

/// What a protocol number says of the bytes behind it.
pub enum Layer<'a> {
    Ip,
    /// ESP so many bytes on.
    Esp(usize),
    Ah {
        next: u8,
        length: usize,
    },
    IpComp {
        next: u8,
    },
    Payload(&'a [u8]),
}

impl<'a> Layer<'a> {
    pub fn of(protocol: u8, payload: &'a [u8]) -> Self {
        match protocol {
            4 | 41 => Self::Ip,
            50 => Self::Esp(0),
            51 => Self::Ah { next: payload[0], length: (usize::from(payload[1]) + 2) * 4 },
            108 => Self::IpComp { next: payload[0] },
            17 if payload[2..4] == 4500_u16.to_be_bytes() => Self::Esp(8),
            1 | 17 => Self::Payload(&payload[8..]),
            // A destination options header behind the protection.
            60 => Self::of(payload[0], &payload[(usize::from(payload[1]) + 1) * 8..]),
            other => panic!("protocol {other}"),
        }
    }
}
