// SPDX-License-Identifier: GPL-2.0-only
/* Shows what is in book.c. */
#include "order.h"

PAYLOAD("reader..............", RUNNING);

SHOW_BOOK;
