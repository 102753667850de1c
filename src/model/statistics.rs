//! What the kernel counts for a whole namespace.

/// How many objects there are (`XFRM_MSG_GETSADINFO`, `XFRM_MSG_GETSPDINFO`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SAs.
    pub sas: u32,
    /// Policies of direction in, sockets not counted.
    pub policies_in: u32,
    /// Policies of direction out.
    pub policies_out: u32,
    /// Policies of direction fwd.
    pub policies_forward: u32,
    /// Policies of sockets, all directions.
    pub policies_of_sockets: u32,
    /// The lists that SAs are sorted into by hash, and as how many the kernel lets grow.
    pub sa_buckets: (u32, u32),
    /// The same of policies.
    pub policy_buckets: (u32, u32),
}

/// The counters of `/proc/net/xfrm_stat`, by the kernel's names and in its order: they differ from kernel to kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XfrmStatistics(Vec<(Box<str>, u64)>);

impl XfrmStatistics {
    /// Reads the file's text.
    ///
    /// # Errors
    /// The first line that is not a name and a number, with its line number from 1.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let line = |(number, line): (usize, &str)| {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next().map(str::parse), words.next()) {
                (Some(name), Some(Ok(value)), None) => Ok((super::text::harmless(name).into(), value)),
                _ => Err((number + 1, super::text::harmless(line).into_owned())),
            }
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(line).collect::<Result<_, _>>().map(Self)
    }

    /// Every counter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// One counter.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// What a counter counts, in a few words; none for one that came with a later kernel.
    /// (Linux, `Documentation/networking/xfrm/xfrm_proc.rst`)
    pub fn meaning(name: &str) -> Option<&'static str> {
        Some(match name {
            "XfrmInBufferError" => "too many SAs around it, or no memory",
            "XfrmInHdrError" => "its ESP or AH header cannot be read",
            "XfrmInNoStates" => "no SA here for what came",
            "XfrmInStateProtoError" => "not authentic or not decrypted: the keys or algorithms differ",
            "XfrmInStateModeError" => "the SA has another mode than the packet",
            "XfrmInStateSeqError" => "replayed, or too old for the window",
            "XfrmInStateExpired" | "XfrmOutStateExpired" => "the SA's hard limit is reached",
            "XfrmInStateMismatch" => "in UDP and the SA is not, or the reverse",
            "XfrmInStateInvalid" | "XfrmOutStateInvalid" => "the SA is going",
            "XfrmInTmplMismatch" => "it came not as a policy demands: in clear, or by another SA",
            "XfrmInNoPols" => "no policy lets it in",
            "XfrmInPolBlock" | "XfrmOutPolBlock" => "a policy blocks it",
            "XfrmOutNoStates" => "no SA here for what a policy protects",
            "XfrmOutStateSeqError" => "the SA's sequence numbers are used up",
            "XfrmOutBundleGenError" | "XfrmOutBundleCheckError" => "no route to where the SA leads",
            "XfrmInStateDirError" | "XfrmOutStateDirError" => "the SA is for the other direction",
            _ => return None,
        })
    }

    /// All of them together: every one counts a packet lost.
    pub fn total(&self) -> u64 {
        self.iter().fold(0, |sum, (_, value)| sum.saturating_add(value))
    }

    /// The counters that have grown since `earlier`, with by how much.
    pub fn grown_since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = (&'a str, u64)> {
        self.iter().filter_map(|(name, value)| {
            let grown = value.saturating_sub(earlier.get(name).unwrap_or(0));
            (grown > 0).then_some((name, grown))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_file_reads_and_compares() {
        let before = XfrmStatistics::parse("XfrmInError             \t0\nXfrmInNoStates          \t3\n").unwrap();
        let after = XfrmStatistics::parse("XfrmInError 0\nXfrmInNoStates 5\nXfrmNew 1\n").unwrap();
        assert_eq!(after.get("XfrmInNoStates"), Some(5));
        assert_eq!(after.total(), 6);
        assert_eq!(after.grown_since(&before).collect::<Vec<_>>(), [("XfrmInNoStates", 2), ("XfrmNew", 1)]);
    }

    #[test]
    fn rubbish_is_named_with_its_line() {
        assert_eq!(XfrmStatistics::parse("A 1\nB x\x1b"), Err((2, "B x\\x1b".to_owned())));
        assert_eq!(XfrmStatistics::parse("").unwrap().total(), 0);
    }
}
