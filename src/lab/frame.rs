//! The conversation over the one serial line between the part outside and the part inside a User-Mode Linux kernel.
//!
//! A frame is a kind, a length of two bytes (big-endian) and as many bytes. The inside grants the outside credit for
//! input: its tty's buffer has 4 KiB, and a kernel whose buffer overflows turns its input off for good.

/// The most bytes of input that may be on their way.
pub(super) const INPUT_WINDOW: usize = 1024;
/// The most bytes that one frame carries.
pub(super) const MOST_BYTES: usize = 8 * 1024;

/// What the outside says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToInside {
    /// Bytes for the command's input.
    Input(Vec<u8>),
    /// The command's input is at its end.
    InputEnd,
    /// The terminal has so many rows and columns now.
    Resize(u16, u16),
}

/// What the inside says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToOutside {
    /// The line is raw, and input is welcome.
    Ready,
    /// Bytes of the command's output.
    Output(Vec<u8>),
    /// Bytes of its error output.
    Errors(Vec<u8>),
    /// So many bytes of input were taken off the line.
    Taken(u16),
    /// There is no lab, and why.
    Failed(String),
    /// The command has ended with this status.
    Exit(u8),
}

/// A frame in bytes.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..usize::from(u16::MAX)).unwrap_or(payload);
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    [&[kind][..], &length.to_be_bytes(), payload].concat()
}

impl ToInside {
    /// In bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Input(bytes) => frame(b'i', bytes),
            Self::InputEnd => frame(b'e', &[]),
            Self::Resize(rows, cols) => frame(b'r', &[rows.to_be_bytes(), cols.to_be_bytes()].concat()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (b'i', bytes) => Some(Self::Input(bytes.to_vec())),
            (b'e', []) => Some(Self::InputEnd),
            (b'r', [r0, r1, c0, c1]) => {
                Some(Self::Resize(u16::from_be_bytes([*r0, *r1]), u16::from_be_bytes([*c0, *c1])))
            }
            _ => None,
        }
    }
}

impl ToOutside {
    /// In bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => frame(b'R', &[]),
            Self::Output(bytes) => frame(b'O', bytes),
            Self::Errors(bytes) => frame(b'E', bytes),
            Self::Taken(bytes) => frame(b'T', &bytes.to_be_bytes()),
            Self::Failed(why) => frame(b'F', why.as_bytes()),
            Self::Exit(status) => frame(b'X', &[*status]),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        match (kind, payload) {
            (b'R', []) => Some(Self::Ready),
            (b'O', bytes) => Some(Self::Output(bytes.to_vec())),
            (b'E', bytes) => Some(Self::Errors(bytes.to_vec())),
            (b'T', [t0, t1]) => Some(Self::Taken(u16::from_be_bytes([*t0, *t1]))),
            (b'F', why) => Some(Self::Failed(crate::model::text::harmless_bytes(why))),
            (b'X', [status]) => Some(Self::Exit(*status)),
            _ => None,
        }
    }
}

/// Bytes as they come, into frames.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
}

/// The line carries something that is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

impl Decoder {
    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let [kind, l0, l1, ..] = self.buffer[..] else {
            return None;
        };
        let end = 3 + usize::from(u16::from_be_bytes([l0, l1]));
        let payload = self.buffer.get(3..end)?.to_vec();
        self.buffer.drain(..end);
        Some((kind, payload))
    }

    /// The next whole frame to the inside.
    pub(super) fn next_to_inside(&mut self) -> Option<Result<ToInside, Garbled>> {
        self.next().map(|(kind, payload)| ToInside::decode(kind, &payload).ok_or(Garbled))
    }

    /// The next whole frame to the outside.
    pub(super) fn next_to_outside(&mut self) -> Option<Result<ToOutside, Garbled>> {
        self.next().map(|(kind, payload)| ToOutside::decode(kind, &payload).ok_or(Garbled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_survive_the_line_in_any_pieces() {
        let frames = [
            ToOutside::Ready,
            ToOutside::Output(vec![0, 255, b'\n']),
            ToOutside::Errors(Vec::new()),
            ToOutside::Taken(512),
            ToOutside::Failed("no".to_owned()),
            ToOutside::Exit(7),
        ];
        let line: Vec<u8> = frames.iter().flat_map(ToOutside::encode).collect();
        for size in 1..line.len() {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in line.chunks(size) {
                decoder.push(piece);
                found.extend(std::iter::from_fn(|| decoder.next_to_outside()));
            }
            assert_eq!(found, frames.clone().map(Ok), "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_said_to_be() {
        let mut decoder = Decoder::default();
        decoder.push(&frame(b'?', b"x"));
        assert_eq!(decoder.next_to_inside(), Some(Err(Garbled)));
        decoder.push(&frame(b'X', b""));
        assert_eq!(decoder.next_to_outside(), Some(Err(Garbled)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_in_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut inside, mut outside) = (Decoder::default(), Decoder::default());
            inside.push(&bytes);
            outside.push(&bytes);
            while inside.next_to_inside().is_some() {}
            while outside.next_to_outside().is_some() {}
        }

        #[test]
        fn input_of_any_kind_survives(bytes in proptest::collection::vec(any::<u8>(), 0..500), size in any::<(u16, u16)>()) {
            let mut decoder = Decoder::default();
            for frame in [ToInside::Input(bytes), ToInside::InputEnd, ToInside::Resize(size.0, size.1)] {
                decoder.push(&frame.encode());
                prop_assert_eq!(decoder.next_to_inside(), Some(Ok(frame)));
            }
        }
    }
}
