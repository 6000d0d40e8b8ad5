// SPDX-License-Identifier: GPL-2.0-only
/* Makes the tracepoints of oxen_events.h, and the functions by which Rust calls them. */

#include <linux/types.h>

/* What Rust was told of them: the compiler refuses if it is not what they are. */
#include "helpers.h"

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "oxen_events.h"
