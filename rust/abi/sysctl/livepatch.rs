// SPDX-License-Identifier: GPL-2.0-only

//! Payloads of [`LIVEPATCH_OP`](super::LIVEPATCH_OP), and the records in a patch.

numbers! {
    "XEN_SYSCTL_LIVEPATCH_" u32 [name] {
        /// Loads a patch, with a [`Upload`].
        UPLOAD = 0, "UPLOAD";
        /// Tells about one, with a [`Get`].
        GET = 1, "GET";
        /// Lists all, with a [`List`].
        LIST = 2, "LIST";
        /// Does something to one, with an [`Action`].
        ACTION = 3, "ACTION";
    }
    "LIVEPATCH_ACTION_" u32 [action_name] {
        /// Unloads it.
        ACTION_UNLOAD = 1, "UNLOAD";
        /// Undoes it.
        ACTION_REVERT = 2, "REVERT";
        /// Does it.
        ACTION_APPLY = 3, "APPLY";
        /// Does it after undoing all others.
        ACTION_REPLACE = 4, "REPLACE";
    }
    "LIVEPATCH_STATE_" u32 [state_name] {
        /// Loaded.
        STATE_CHECKED = 1, "CHECKED";
        /// Done.
        STATE_APPLIED = 2, "APPLIED";
    }
    "LIVEPATCH_" u32 [] {
        /// Action: it depends on no build id.
        ACTION_APPLY_NODEPS = 1 << 0, "ACTION_APPLY_NODEPS";
        /// Upload: load it in spite of a wrong build id of the hypervisor.
        FLAG_FORCE = 1 << 0, "FLAG_FORCE";
        /// All flags.
        FLAGS_MASK = 1 << 0, "FLAGS_MASK";
    }
    "" u8 [] {
        /// Version of the records in a patch.
        PAYLOAD_VERSION = 2, "LIVEPATCH_PAYLOAD_VERSION";
    }
    "" u16 [] {
        /// The most bytes of a name, terminator included.
        NAME_SIZE = 128, "XEN_LIVEPATCH_NAME_SIZE";
    }
}

layouts! {
    /// Names a patch.
    struct Name: "struct xen_livepatch_name" [16] {
        /// Handle of the name, with its terminator.
        name: u64,
        /// Its bytes, terminator included; at most [`NAME_SIZE`].
        size: u16,
        /// Must be 0.
        pad: [u16; 3],
    }

    /// Of [`LivepatchOp`]: [`UPLOAD`].
    struct Upload: "struct xen_sysctl_livepatch_upload" [32] {
        /// The name to give it.
        name: Name,
        /// Bytes of the ELF object.
        size: u64,
        /// Handle of the ELF object.
        payload: u64,
    }

    /// How a patch is.
    struct Status: "struct xen_livepatch_status" [8] {
        /// One of `STATE_*`.
        state: u32,
        /// 0, a negative error number, or `-EAGAIN` while an action runs.
        rc: i32,
    }

    /// Of [`LivepatchOp`]: [`GET`].
    struct Get: "struct xen_sysctl_livepatch_get" [24] {
        /// IN: the name.
        name: Name,
        /// OUT: how it is.
        status: Status,
    }

    /// Of [`LivepatchOp`]: [`LIST`].
    struct List: "struct xen_sysctl_livepatch_list" [64] {
        /// OUT: changes whenever the list does.
        version: u32,
        /// IN: the first to list.
        idx: u32,
        /// IN: room. OUT: how many follow.
        nr: u32,
        /// Must be 0.
        pad: u32,
        /// OUT: bytes of all names.
        name_total_size: u32,
        /// OUT: bytes of all metadata.
        metadata_total_size: u32,
        /// Handle of [`Status`]es.
        status: u64,
        /// Handle of the names.
        name: u64,
        /// Handle of 32-bit lengths of the names.
        len: u64,
        /// Handle of the metadata.
        metadata: u64,
        /// Handle of 32-bit lengths of the metadata.
        metadata_len: u64,
    }

    /// Of [`LivepatchOp`]: [`ACTION`].
    struct Action: "struct xen_sysctl_livepatch_action" [32] {
        /// The name.
        name: Name,
        /// One of `ACTION_*`.
        cmd: u32,
        /// Nanoseconds to get all CPUs together; 0 for the default.
        timeout: u32,
        /// [`ACTION_APPLY_NODEPS`].
        flags: u32,
        /// Must be 0.
        pad: u32,
    }

    /// Payload of [`LIVEPATCH_OP`](super::LIVEPATCH_OP).
    struct LivepatchOp: "struct xen_sysctl_livepatch_op" [72] {
        /// One of the commands above.
        cmd: u32,
        /// [`FLAG_FORCE`].
        flags: u32,
        /// What depends on the command, for [`crate::abi::layout::payload`].
        u: [u8; 64],
    }
}
