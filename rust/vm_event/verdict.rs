// SPDX-License-Identifier: GPL-2.0-only

//! What becomes of an access, by the rights of its page and whether a monitor listens.

use crate::hw::rights::{
    Judgement,
    Rights, //
};

/// What is to be done about an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// It is made.
    Go,
    /// The page gets these rights, and it is made.
    GoAs(Rights),
    /// A monitor is told, and the vCPU waits for the answer.
    Ask,
    /// The page gets these rights, a monitor is told, and it is made.
    Tell(Rights),
    /// The vCPU waits until there is a monitor.
    Wait,
}

/// Decides. `listener` says that there is a monitor, `required` that without one no access may go unseen (E-2).
pub(crate) const fn decide(judgement: Judgement, listener: bool, required: bool) -> Action {
    match judgement {
        Judgement::Allowed => Action::Go,
        Judgement::Turns(rights) => Action::GoAs(rights),
        Judgement::Violation | Judgement::Reported(_) if !listener && required => Action::Wait,
        // The rights were a monitor's that is not there any more.
        Judgement::Violation if !listener => Action::GoAs(Rights::Rwx),
        Judgement::Violation => Action::Ask,
        Judgement::Reported(rights) if !listener => Action::GoAs(rights),
        Judgement::Reported(rights) => Action::Tell(rights),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hw::rights::Kind;

    /// E-3: eleven rights, four kinds, with a listener and without, required or not.
    #[test]
    fn e3_exhaustive() {
        let mut seen = 0;
        for rights in Rights::ALL {
            for kind in Kind::ALL {
                let (r, w, x) = rights.allows();
                let (reads, writes, executes) = kind.does();
                let fits = (r || !reads) && (w || !writes) && (x || !executes);
                for listener in [true, false] {
                    for required in [true, false] {
                        let action = decide(rights.judge(kind, false), listener, required);
                        let expected = match (rights, fits, listener, required) {
                            (_, true, _, _) => Action::Go,
                            // Only a write can violate rx and not r: the others are reported.
                            (Rights::Rx2Rw, false, _, _) => Action::GoAs(Rights::Rw),
                            (_, false, false, true) => Action::Wait,
                            (_, false, false, false) => Action::GoAs(Rights::Rwx),
                            (Rights::N2Rwx, false, true, _) => Action::Tell(Rights::Rwx),
                            (_, false, true, _) => Action::Ask,
                        };
                        assert_eq!(
                            action, expected,
                            "{rights:?} {kind:?} listener {listener} required {required}"
                        );
                        seen += 1;
                    }
                }
            }
        }
        assert_eq!(seen, 11 * 4 * 2 * 2);
    }

    /// E-2: an access that needs a monitor never goes ahead without one where one is required.
    #[test]
    fn e2_fails_closed() {
        for rights in Rights::ALL {
            for kind in Kind::ALL {
                for walk in [false, true] {
                    let judgement = rights.judge(kind, walk);
                    let goes = decide(judgement, false, true);
                    match judgement {
                        Judgement::Violation | Judgement::Reported(_) => {
                            assert_eq!(goes, Action::Wait);
                        }
                        _ => assert_ne!(goes, Action::Wait),
                    }
                }
            }
        }
    }
}
