/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What a payload of a live patch is made of. The layout is Xen's (its docs/misc/livepatch); only the
 * argument of hooks is ours. `oxen livepatch build` makes payloads from a source diff; this header is
 * for those that are written by hand.
 *
 * A payload is a relocatable ELF object for AMD64 with these sections:
 *
 *   .livepatch.funcs             array of struct oxen_livepatch_func
 *   .livepatch.hooks.KIND        pointers to functions, see below
 *   .livepatch.xen_depends       note: build-id of the hypervisor that it is for
 *   .livepatch.depends           note: build-id of what must have been applied last
 *   .note.gnu.build-id           note: build-id of the payload
 *   .modinfo                     optional strings "key=value", each with a zero at its end
 *
 * and code, constants and variables of its own. It refers to the hypervisor's functions and variables
 * by name. Sections that ask for more (alternatives, exception tables, static keys, ...) are refused.
 */
#ifndef _UAPI_OXEN_LIVEPATCH_H
#define _UAPI_OXEN_LIVEPATCH_H

#include <linux/types.h>

#define OXEN_LIVEPATCH_VERSION		2
/* Bytes that one record changes at most. */
#define OXEN_LIVEPATCH_PATCH_MAX	31

/* A function that is replaced, or bytes that become no-ops. */
struct oxen_livepatch_func {
	/* Name of the function, for messages, and to find it by if old_addr is 0. */
	const char *name;
	/* What replaces it: code of the payload. NULL makes no-ops of its first new_size bytes. */
	const void *new_addr;
	/* Where it begins; usually by a relocation. */
	const void *old_addr;
	__u32 new_size;
	/* Bytes of the old function; at least 5, and more if it begins with ENDBR64 or a place for tracing. */
	__u32 old_size;
	/* OXEN_LIVEPATCH_VERSION */
	__u8 version;
	/* Must be 0. */
	__u8 reserved[39];
	/* Bit 0: what follows is checked. Bits 1 to 5: how many bytes. */
	__u8 expect;
	/* What must be found at old_addr. */
	__u8 expected[OXEN_LIVEPATCH_PATCH_MAX];
};

/* Arguments of hooks that have one. */
struct oxen_livepatch_payload {
	/* 1: loaded, 2: applied; before the action, for the last hook after it. */
	__u32 state;
	/* For the last hook: 0, or the negative error number with which the action failed. */
	__s32 rc;
	/* For hooks that are called in place of the action: set it to have that done as well. */
	__u32 default_action;
	__u32 _pad;
	/* The name that it was loaded under. */
	char name[128];
};

/*
 * Hooks, by the last part of their section's name.
 *
 *   load, unload            any number: called while nothing runs, before functions are replaced and
 *                           after they are restored
 *   preapply, prerevert     one: called before anything is stopped; what is not 0 refuses
 *   apply, revert           one: called in place of the action, while nothing runs
 *   postapply, postrevert   one: called when everything runs again, whether it worked or not
 */
typedef void oxen_livepatch_load(void);
typedef __s32 oxen_livepatch_ask(struct oxen_livepatch_payload *payload);
typedef void oxen_livepatch_tell(struct oxen_livepatch_payload *payload);

#endif /* _UAPI_OXEN_LIVEPATCH_H */
