/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests have in common that take rights of one page of a guest of workers. */
#ifndef SELFTESTS_WATCHED_H
#define SELFTESTS_WATCHED_H

#include "monitor.h"

static int fd;
static struct worker w;

/* The page, in the midst of the guest's data. */
#define PAGE_GFN (WORKER_DATA_GFN + 4)
#define PAGE (PAGE_GFN * PAGE_SIZE)

__attribute__((unused)) static uint32_t *page(void)
{
	return (uint32_t *)(w.data + 4 * PAGE_SIZE);
}

__attribute__((unused)) static void give(uint8_t access)
{
	if (access_set(fd, w.domain, access, PAGE_GFN, 1))
		tap_bail("cannot set rights");
}

#endif
