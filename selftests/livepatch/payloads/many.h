/* SPDX-License-Identifier: GPL-2.0-only */
/* Twenty functions, for many-base.c and many-top.c. */
#ifndef SELFTESTS_MANY_H
#define SELFTESTS_MANY_H

#include "../payload.h"

#define MANY(with)								\
	with(00) with(01) with(02) with(03) with(04) with(05) with(06) with(07)	\
	with(08) with(09) with(10) with(11) with(12) with(13) with(14) with(15)	\
	with(16) with(17) with(18) with(19)

#define DECLARE(n) __u32 many_##n(__u32 x);
MANY(DECLARE)

#endif
