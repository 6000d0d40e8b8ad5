// SPDX-License-Identifier: GPL-2.0-only
/* The start of the day in C, and what the loader handed over. */

#include "guest.h"

const struct hvm_start_info *start_info;

void __attribute__((noreturn)) start_c(void)
{
	trap_init(&cpus[0]);
	xen_detect();
	if (!on_xen) {
		/* A machine with a BIOS: its interrupt controllers are on. */
		outb(0x21, 0xff);
		outb(0xa1, 0xff);
	}
	print_init();
	if (start_info->magic != XEN_HVM_START_MAGIC_VALUE)
		panic("start_info at %p has magic %x", start_info, start_info->magic);
	main();
	power_off();
}

unsigned int memory_ranges(void)
{
	if (start_info->version < 1)
		return 0;
	return start_info->memmap_entries;
}

struct memory_range memory_range(unsigned int index)
{
	const struct hvm_memmap_table_entry *entry =
		(const void *)(ulong)(start_info->memmap_paddr + index * sizeof(*entry));

	return (struct memory_range){ entry->addr, entry->size, entry->type };
}

static bool within(u64 address, u64 start, u64 size)
{
	return address - start < size;
}

/* The same for the page of `address` and a range of bytes. */
static bool page_within(u64 address, u64 start, u64 size)
{
	u64 first = start & ~(PAGE_SIZE - 1);

	return size && within(address, first, start - first + size);
}

bool memory_is_used(u64 address)
{
	const struct hvm_modlist_entry *module =
		(const void *)(ulong)start_info->modlist_paddr;
	u32 i;

	address &= ~(PAGE_SIZE - 1);
	if (within(address, H(image_start), image_end - image_start) ||
	    page_within(address, H(start_info), sizeof(*start_info)) ||
	    page_within(address, start_info->memmap_paddr,
			start_info->memmap_entries * sizeof(struct hvm_memmap_table_entry)) ||
	    page_within(address, start_info->modlist_paddr,
			start_info->nr_modules * sizeof(*module)))
		return true;
	if (start_info->cmdline_paddr &&
	    page_within(address, start_info->cmdline_paddr,
			strlen((const char *)(ulong)start_info->cmdline_paddr) + 1))
		return true;
	for (i = 0; i < start_info->nr_modules; i++) {
		if (page_within(address, module[i].paddr, module[i].size))
			return true;
		if (module[i].cmdline_paddr &&
		    page_within(address, module[i].cmdline_paddr,
				strlen((const char *)(ulong)module[i].cmdline_paddr) + 1))
			return true;
	}
	return false;
}

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
} __attribute__((packed));

/* Returns the table with that signature, or NULL. */
static const struct acpi_header *acpi_table(const char *signature)
{
	const struct acpi_rsdp *rsdp = (const void *)(ulong)start_info->rsdp_paddr;
	const struct acpi_header *root, *table;
	unsigned int wide, i;

	if (!rsdp)
		return NULL;
	wide = rsdp->revision >= 2 && rsdp->xsdt;
	root = (const void *)(ulong)(wide ? rsdp->xsdt : rsdp->rsdt);
	for (i = 0; i < (root->length - sizeof(*root)) / (wide ? 8 : 4); i++) {
		const u8 *at = (const u8 *)(root + 1) + i * (wide ? 8 : 4);
		u64 address = 0;

		memcpy(&address, at, wide ? 8 : 4);
		table = (const void *)(ulong)address;
		if (!memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

unsigned int madt_cpus(u32 *ids, unsigned int max)
{
	const struct acpi_header *madt = acpi_table("APIC");
	const u8 *at, *end;
	unsigned int count = 0;
	u32 id, flags;

	if (!madt)
		return 0;
	end = (const u8 *)madt + madt->length;
	for (at = (const u8 *)(madt + 1) + 8; at + 2 <= end && at[1]; at += at[1]) {
		if (at[0] == 0) { /* Local APIC: its ID at 3, flags at 4. */
			id = at[3];
			memcpy(&flags, at + 4, 4);
		} else if (at[0] == 9) { /* Local x2APIC: ID at 4, flags at 8. */
			memcpy(&id, at + 4, 4);
			memcpy(&flags, at + 8, 4);
		} else {
			continue;
		}
		if ((flags & 1) && count < max)
			ids[count++] = id;
	}
	return count;
}

#ifdef __x86_64__

extern u64 page_pointers[512];

bool map_memory(u64 limit)
{
	/* The first four gigabytes are there; each directory more maps one. */
	static u64 directories[12][512] __attribute__((aligned(4096)));
	u64 gigabyte, i;

	if (limit > (4 + ARRAY_SIZE(directories)) << 30)
		return false;
	for (gigabyte = 4; gigabyte << 30 < limit; gigabyte++) {
		u64 *directory = directories[gigabyte - 4];

		for (i = 0; i < 512; i++)
			directory[i] = gigabyte << 30 | i << 21 | 0x87;
		page_pointers[gigabyte] = H(directory) | 7;
	}
	write_cr3(read_cr3());
	return true;
}

#endif
