// SPDX-License-Identifier: GPL-2.0-only
/* The C half of live patching outside of the moment in which code is written: symbols, identity, trust. */

#include <linux/buildid.h>
#include <linux/cpufeature.h>
#include <linux/elf.h>
#include <linux/jump_label.h>
#include <linux/module.h>
#include <linux/module_signature.h>
#include <linux/panic.h>
#include <linux/security.h>
#include <linux/static_call_types.h>
#include <linux/string.h>
#include <linux/verification.h>
#include <asm/text-patching.h>

#include "helpers.h"
#include "arena.h"

extern const u8 oxen_text_begin[], oxen_text_end[], oxen_return_sample[];
extern const u8 oxen_cold_begin[], oxen_cold_end[];
extern const u8 oxen_arena_text[];
extern u8 oxen_arena_data[];

/* What of the kernel the module uses: made by the build, see rust/Kbuild. */
struct oxen_import {
	const void *addr;
	const char *name;
};

extern const struct oxen_import oxen_imports[], oxen_imports_end[];

void oxen_text_bounds(struct oxen_bounds *bounds)
{
	*bounds = (struct oxen_bounds){
		.text = (u64)oxen_text_begin,
		.text_len = oxen_text_end - oxen_text_begin,
		.cold = (u64)oxen_cold_begin,
		.cold_len = oxen_cold_end - oxen_cold_begin,
		.arena_text = (u64)oxen_arena_text,
		.arena_text_len = OXEN_ARENA_TEXT,
		.arena_data = (u64)oxen_arena_data,
		.arena_data_len = OXEN_ARENA_DATA,
		.return_sample = (u64)oxen_return_sample,
	};
}

/* The module's own symbols, as the kernel keeps them for its messages. */

static bool oxen_fill_symbol(const Elf_Sym *sym, struct oxen_symbol *found)
{
	found->addr = sym->st_value;
	found->size = sym->st_size;
	found->func = ELF_ST_TYPE(sym->st_info) == STT_FUNC;
	return true;
}

bool oxen_symbol_by_name(const u8 *name, u64 len, struct oxen_symbol *found)
{
#ifdef CONFIG_KALLSYMS
	const struct mod_kallsyms *table = &THIS_MODULE->core_kallsyms;
	const Elf_Sym *match = NULL;
	u32 i;

	for (i = 1; i < table->num_symtab; i++) {
		const Elf_Sym *sym = &table->symtab[i];
		const char *other = table->strtab + sym->st_name;

		if (strncmp(other, name, len) || other[len])
			continue;
		/* A name that stands for two things stands for none. */
		if (match && match->st_value != sym->st_value)
			return false;
		match = sym;
	}
	return match && oxen_fill_symbol(match, found);
#else
	return false;
#endif
}

bool oxen_symbol_by_addr(u64 addr, struct oxen_symbol *found)
{
#ifdef CONFIG_KALLSYMS
	const struct mod_kallsyms *table = &THIS_MODULE->core_kallsyms;
	u32 i;

	for (i = 1; i < table->num_symtab; i++) {
		const Elf_Sym *sym = &table->symtab[i];

		if (ELF_ST_TYPE(sym->st_info) == STT_FUNC && addr >= sym->st_value &&
		    addr - sym->st_value < sym->st_size)
			return oxen_fill_symbol(sym, found);
	}
#endif
	return false;
}

bool oxen_is_module_text(u64 addr)
{
	return within_module_mem_type(addr, THIS_MODULE, MOD_TEXT);
}

/* Where the kernel itself is; modules and what probes jump to are above. */
bool oxen_is_kernel_image(u64 addr)
{
	return addr >= __START_KERNEL_map && addr < MODULES_VADDR;
}

static bool overlaps(u64 site, u64 addr, u64 len)
{
	/* What the kernel writes at its sites is as long as a jump. */
	return site < addr + len && addr < site + JMP32_INSN_SIZE;
}

/*
 * Whether the kernel writes to bytes of the module's text by itself: for static branches and calls, and
 * where its function tracer calls.
 */
bool oxen_has_site(u64 addr, u64 len)
{
	const struct module *module = THIS_MODULE;
	u32 i;

#ifdef CONFIG_JUMP_LABEL
	for (i = 0; i < module->num_jump_entries; i++)
		if (overlaps(jump_entry_code(&module->jump_entries[i]), addr, len))
			return true;
#endif
#ifdef CONFIG_HAVE_STATIC_CALL_INLINE
	for (i = 0; i < module->num_static_call_sites; i++) {
		const struct static_call_site *site = &module->static_call_sites[i];

		if (overlaps((u64)&site->addr + site->addr, addr, len))
			return true;
	}
#endif
#ifdef CONFIG_DYNAMIC_FTRACE
	for (i = 0; i < module->num_ftrace_callsites; i++)
		if (overlaps(module->ftrace_callsites[i], addr, len))
			return true;
#endif
	return false;
}

/* The kernel's symbols: those that the module uses, and those that any module may have by asking. */

u64 oxen_import_by_name(const u8 *name, u64 len)
{
	const struct oxen_import *import;

	for (import = oxen_imports; import < oxen_imports_end; import++)
		if (!strncmp(import->name, name, len) && !import->name[len])
			return (u64)import->addr;
	return 0;
}

u64 oxen_symbol_get(const u8 *name)
{
	return (u64)__symbol_get(name);
}

void oxen_symbol_put(const u8 *name)
{
	__symbol_put(name);
}

void oxen_text_read(u8 *into, u64 addr, u32 len)
{
	memcpy(into, (const void *)addr, len);
}

void oxen_arena_write(u64 addr, const u8 *from, u32 len)
{
	if (from)
		memcpy((void *)addr, from, len);
	else
		memset((void *)addr, 0, len);
}

bool oxen_cpu_has_ibt(void)
{
	return IS_ENABLED(CONFIG_X86_KERNEL_IBT) && boot_cpu_has(X86_FEATURE_IBT);
}

/* Identity. */

const u8 *oxen_build_id(u32 *len)
{
#ifdef CONFIG_STACKTRACE_BUILD_ID
	*len = BUILD_ID_SIZE_MAX;
	return THIS_MODULE->build_id;
#else
	/*
	 * The note is somewhere in the constants: find its header, which must be there once. What lies
	 * between the constants is read as well, which KASAN is not to look at.
	 */
	static const u64 header[] = { 4 | (u64)BUILD_ID_SIZE_MAX << 32, 3 | (u64)0x554e47 << 32 };
	const struct module_memory *mem = &THIS_MODULE->mem[MOD_RODATA];
	const u8 *at, *found = NULL;
	const u8 *end = mem->base + mem->size;

	for (at = mem->base; at + sizeof(header) + BUILD_ID_SIZE_MAX <= end; at += 4) {
		const unsigned long *words = (const unsigned long *)at;

		if (at == (const u8 *)header || READ_ONCE_NOCHECK(words[0]) != header[0] ||
		    READ_ONCE_NOCHECK(words[1]) != header[1])
			continue;
		if (found)
			return NULL;
		found = at + sizeof(header);
	}
	*len = BUILD_ID_SIZE_MAX;
	return found;
#endif
}

/* Trust. */

/* Returns 0 for a signature of these bytes that a keyring of the kernel trusts. */
s32 oxen_verify(const u8 *data, u64 len, const u8 *signature, u64 signature_len)
{
#ifdef CONFIG_SYSTEM_DATA_VERIFICATION
	int rc = verify_pkcs7_signature(data, len, signature, signature_len,
					VERIFY_USE_SECONDARY_KEYRING,
					VERIFYING_MODULE_SIGNATURE, NULL, NULL);

	if (rc == -ENOKEY && IS_ENABLED(CONFIG_INTEGRITY_PLATFORM_KEYRING))
		rc = verify_pkcs7_signature(data, len, signature, signature_len,
					    VERIFY_USE_PLATFORM_KEYRING,
					    VERIFYING_MODULE_SIGNATURE, NULL, NULL);
	return rc;
#else
	return -ENOPKG;
#endif
}

bool oxen_signature_is_unknown(s32 rc)
{
	return rc == -ENOKEY || rc == -ENOPKG;
}

/* Whether this kernel takes no code that it cannot trust. */
bool oxen_wants_signatures(void)
{
#ifdef CONFIG_MODULE_SIG
	if (is_module_sig_enforced())
		return true;
#endif
	return security_locked_down(LOCKDOWN_MODULE_SIGNATURE) != 0;
}

void oxen_taint(bool is_signed)
{
	add_taint(TAINT_LIVEPATCH, LOCKDEP_STILL_OK);
	if (!is_signed)
		add_taint(TAINT_UNSIGNED_MODULE, LOCKDEP_STILL_OK);
}
