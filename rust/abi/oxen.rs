// SPDX-License-Identifier: GPL-2.0-only

//! What is ours and not Xen's (`include/uapi/oxen/runstate.h`).

numbers! {
    "OXEN_" u32 [name] {
        /// Tells a domain's runstate policy, in a [`RunstatePolicy`].
        GET_RUNSTATE_POLICY = 0xc004_4f00, "GET_RUNSTATE_POLICY";
        /// Chooses a domain's runstate policy, with a [`RunstatePolicy`].
        SET_RUNSTATE_POLICY = 0x4004_4f01, "SET_RUNSTATE_POLICY";
    }
    "OXEN_" u16 [] {
        /// Areas that are given by linear address are translated once, when they are registered.
        RUNSTATE_VA_ONCE = 0, "RUNSTATE_VA_ONCE";
        /// They are translated at each update, as Xen does.
        RUNSTATE_VA_WALK = 1, "RUNSTATE_VA_WALK";
    }
}

layouts! {
    /// A domain's policy.
    struct RunstatePolicy: "struct oxen_runstate_policy" [4] {
        /// The domain.
        domid: u16,
        /// One of `RUNSTATE_VA_*`.
        runstate_va: u16,
    }
}
