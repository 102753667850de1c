//! What becomes of a host's SAs and policies as a script that somebody else can run.

use zeroize::Zeroizing;

use super::{Keys, iproute2, setkey};
use crate::model::pair::{Half, OldSa};
use crate::model::{PolicyDirection, PolicyId};

/// What a script is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Commands of `ip xfrm`, for a shell.
    Ip,
    /// Statements of setkey.
    Setkey,
}

impl Language {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip xfrm",
            Self::Setkey => "setkey",
        }
    }
}

/// What one host needs, as a script with a heading in a comment. `None` where the language has no words for all of it:
/// setkey on Linux knows no AES-GCM and no marks.
pub fn script(half: &Half, language: Language, heading: &str, keys: Keys) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(8192));
    text.push_str(match language {
        // What goes may be gone already: the rest goes all the same.
        Language::Ip if !half.has_keys() => "#!/bin/sh\n",
        Language::Ip => "#!/bin/sh -e\n",
        Language::Setkey => "#!/usr/sbin/setkey -f\n",
    });
    text.push_str("# ");
    text.push_str(heading);
    text.push('\n');
    for sa in &half.sas {
        let line = match language {
            Language::Ip => iproute2::sa(sa, keys),
            Language::Setkey => setkey::print::sa(sa, keys),
        };
        push_line(&mut text, &line)?;
    }
    // Linux's setkey makes these by itself.
    let twins: Vec<_> = half.policies.iter().filter_map(setkey::forward_twin).collect();
    for policy in &half.policies {
        match language {
            Language::Ip => push_line(&mut text, &iproute2::policy(policy))?,
            Language::Setkey if twins.contains(policy) => {}
            Language::Setkey => push_line(&mut text, &setkey::print::policy(policy))?,
        }
    }
    for policy in &half.old_policies {
        let twin_of = PolicyId { direction: PolicyDirection::In, ..*policy };
        let goes_by_itself = policy.direction == PolicyDirection::Forward && half.old_policies.contains(&twin_of);
        match language {
            Language::Ip => push_line(&mut text, &iproute2::delete_policy(policy))?,
            // With the one of direction in, as it came.
            Language::Setkey if goes_by_itself => {}
            Language::Setkey => push_line(&mut text, &setkey::print::delete_policy(policy)?)?,
        }
    }
    for OldSa { id, source } in &half.old_sas {
        match language {
            Language::Ip => push_line(&mut text, &iproute2::delete_sa(id, *source))?,
            Language::Setkey => push_line(&mut text, &setkey::print::delete_sa(id, *source)?)?,
        }
    }
    Some(text)
}

/// Adds a line, unless it is a comment: that stands for what could not be said.
fn push_line(text: &mut String, line: &str) -> Option<()> {
    if line.starts_with('#') {
        return None;
    }
    text.push_str(line);
    text.push('\n');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::deed::Deed;
    use crate::dialect::setkey::parse;
    use crate::model::Spi;
    use crate::model::pair::{PairPlan, SUITES};

    fn half(suite: usize) -> Half {
        let mut plan = PairPlan::between([10, 9, 0, 1].into(), [10, 9, 0, 2].into());
        plan.networks = Some(["10.1.0.0/24", "10.2.0.0/24"].map(|net| net.parse().unwrap()));
        plan.suite = &SUITES[suite];
        let [_, there] = plan.make(|_| Ok(Spi(0x1001))).unwrap();
        there
    }

    #[test]
    fn a_setkey_script_reads_back_as_what_it_was_made_of() {
        let half = half(3);
        let text = script(&half, Language::Setkey, "for reblochon", Keys::Show).unwrap();
        let mut read = Half::default();
        for statement in parse(&text).unwrap().statements {
            match statement.deed {
                Deed::AddSa(spec) => read.sas.push(*spec),
                Deed::AddPolicies(specs) => read.policies.extend(specs),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(read, half);
    }

    #[test]
    fn what_setkey_cannot_say_has_no_setkey_script() {
        assert_eq!(script(&half(0), Language::Setkey, "", Keys::Show), None);
        let text = script(&half(0), Language::Ip, "for reblochon", Keys::Show).unwrap();
        assert!(
            text.starts_with("#!/bin/sh -e\n# for reblochon\nip xfrm state add src 10.9.0.1 dst 10.9.0.2"),
            "{}",
            *text
        );
        assert_eq!(text.lines().filter(|line| line.starts_with("ip xfrm policy add")).count(), 3);
    }

    #[test]
    fn hidden_keys_are_in_no_script() {
        let half = half(3);
        let key = half.sas[0].algorithms.encryption.as_ref().unwrap().key.reveal_hex();
        for language in [Language::Ip, Language::Setkey] {
            let text = script(&half, language, "", Keys::Hide).unwrap();
            assert!(!text.contains(&**key), "{}", *text);
        }
    }
}
