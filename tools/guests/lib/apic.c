// SPDX-License-Identifier: GPL-2.0-only
/* The local APIC, by its page or by its MSRs. */

#include "guest.h"

#define APIC_PAGE 0xfee00000UL

static bool x2apic_mode;

bool apic_has_x2apic(void)
{
	return cpuid(1).c >> 21 & 1;
}

bool apic_enable(bool x2apic)
{
	u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	if (x2apic && apic_has_x2apic())
		base |= APIC_BASE_X2APIC;
	wrmsr(MSR_APIC_BASE, base);
	x2apic_mode = base & APIC_BASE_X2APIC;
	apic_write(APIC_SVR, 0x100 | SPURIOUS_VECTOR);
	return x2apic_mode;
}

u32 apic_read(u32 reg)
{
	if (x2apic_mode)
		return rdmsr(0x800 + (reg >> 4));
	return *(volatile u32 *)(APIC_PAGE + reg);
}

void apic_write(u32 reg, u32 value)
{
	if (x2apic_mode)
		wrmsr(0x800 + (reg >> 4), value);
	else
		*(volatile u32 *)(APIC_PAGE + reg) = value;
}

void apic_icr(u32 destination, u32 low)
{
	if (x2apic_mode) {
		wrmsr(0x800 + (APIC_ICR >> 4), (u64)destination << 32 | low);
		return;
	}
	apic_write(APIC_ICR2, destination << 24);
	apic_write(APIC_ICR, low);
	while (apic_read(APIC_ICR) & 1 << 12)
		cpu_relax();
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return x2apic_mode ? id : id >> 24;
}
