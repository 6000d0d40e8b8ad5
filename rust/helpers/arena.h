/* SPDX-License-Identifier: GPL-2.0-only */
/* Room for the payloads of live patches, in bytes: for code and constants, and for variables. */
#ifndef OXEN_ARENA_H
#define OXEN_ARENA_H

#define OXEN_ARENA_TEXT	0x80000
#define OXEN_ARENA_DATA	0x40000

#endif /* OXEN_ARENA_H */
