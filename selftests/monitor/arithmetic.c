// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proves that x87, MMX and vector instructions on a protected page leave behind what they do on another one, when a
 * monitor has them emulated: registers, flags, memory and exceptions are compared with the processor's own.
 */

#include <cpuid.h>

#include "any.h"

static struct monitor m;

/* Pages of the data: the registers before, those after, the stack. */
#define BEFORE DATA(6 * PAGE_SIZE)
#define AFTER DATA(7 * PAGE_SIZE)
#define STACK DATA(9 * PAGE_SIZE)
/* The operand, and one in memory that nobody serves, which is all ones. */
#define OPERAND (PAGE + 0x140)
#define NOWHERE 0xf0000140UL
/* Bytes of an XSAVE area with AVX, and of operands. */
#define AREA 832U
#define OPERAND_BYTES 128U

/* What is compared. */
struct outcome {
	uint8_t area[AREA], operand[OPERAND_BYTES];
	/* RCX and the flags, and what RAX says: 0x100 and a vector after an exception. */
	uint64_t stack[2], rax;
};

struct test {
	struct insn insn;
	/* It needs AVX; it stores where the last instruction was, of which processors tell different things. */
	bool avx, pointers;
};

#define SSE(name, bytes) { INSN(name, bytes), false, false }
#define ENV(name, bytes) { INSN(name, bytes), false, true }
#define AVX(name, bytes) { INSN(name, bytes), true, false }

/* The operand is at RSI; a general register that is written is RCX. */
static const struct test tests[] = {
	SSE("addps", "\x0f\x58\x06"),
	SSE("addsd", "\xf2\x0f\x58\x06"),
	SSE("subss", "\xf3\x0f\x5c\x16"),
	SSE("mulpd", "\x66\x0f\x59\x0e"),
	SSE("divss", "\xf3\x0f\x5e\x06"),
	SSE("divpd", "\x66\x0f\x5e\x06"),
	SSE("sqrtpd", "\x66\x0f\x51\x1e"),
	SSE("maxps", "\x0f\x5f\x06"),
	SSE("ucomisd", "\x66\x0f\x2e\x06"),
	SSE("comiss", "\x0f\x2f\x06"),
	SSE("cmpps", "\x0f\xc2\x06\x01"),
	SSE("cvtsi2sd", "\xf2\x0f\x2a\x06"),
	SSE("cvtsi2ss of 64 bits", "\xf3\x48\x0f\x2a\x06"),
	SSE("cvttsd2si", "\xf2\x0f\x2c\x0e"),
	SSE("cvtsd2si of 64 bits", "\xf2\x48\x0f\x2d\x0e"),
	SSE("cvtps2pd", "\x0f\x5a\x06"),
	SSE("cvtpd2ps", "\x66\x0f\x5a\x06"),
	SSE("cvtdq2ps", "\x0f\x5b\x06"),
	SSE("shufps", "\x0f\xc6\x06\x1b"),
	SSE("unpcklpd", "\x66\x0f\x14\x06"),
	SSE("andps", "\x0f\x54\x06"),
	SSE("pxor", "\x66\x0f\xef\x06"),
	SSE("paddd", "\x66\x0f\xfe\x0e"),
	SSE("pcmpeqb", "\x66\x0f\x74\x06"),
	SSE("pcmpeqb with xmm15", "\x66\x44\x0f\x74\x3e"),
	SSE("pmaddwd", "\x66\x0f\xf5\x06"),
	SSE("psadbw", "\x66\x0f\xf6\x06"),
	SSE("pshufd", "\x66\x0f\x70\x06\x1b"),
	SSE("punpcklbw", "\x66\x0f\x60\x06"),
	SSE("psrlq", "\x66\x0f\xd3\x06"),
	SSE("pshufb", "\x66\x0f\x38\x00\x06"),
	SSE("palignr", "\x66\x0f\x3a\x0f\x06\x05"),
	SSE("ptest", "\x66\x0f\x38\x17\x06"),
	SSE("pcmpistri", "\x66\x0f\x3a\x63\x06\x0c"),
	SSE("pmovzxbw", "\x66\x0f\x38\x30\x06"),
	SSE("roundsd", "\x66\x0f\x3a\x0b\x06\x03"),
	SSE("pinsrw", "\x66\x0f\xc4\x06\x03"),
	SSE("pextrd", "\x66\x0f\x3a\x16\x06\x02"),
	SSE("paddb of MMX", "\x0f\xfc\x06"),
	SSE("pmuludq of MMX", "\x0f\xf4\x0e"),
	SSE("cvtpi2ps", "\x0f\x2a\x06"),
	SSE("fld of 80 bits", "\xdb\x2e"),
	SSE("fld of 32 bits", "\xd9\x06"),
	SSE("fst of 64 bits", "\xdd\x16"),
	SSE("fstp of 80 bits", "\xdb\x3e"),
	SSE("fild of 16 bits", "\xdf\x06"),
	SSE("fild of 64 bits", "\xdf\x2e"),
	SSE("fistp of 32 bits", "\xdb\x1e"),
	SSE("fisttp of 64 bits", "\xdd\x0e"),
	SSE("fbld", "\xdf\x26"),
	SSE("fbstp", "\xdf\x36"),
	SSE("fadd of 32 bits", "\xd8\x06"),
	SSE("fmul of 64 bits", "\xdc\x0e"),
	SSE("fdivr of 64 bits", "\xdc\x3e"),
	SSE("fisub of 16 bits", "\xde\x26"),
	SSE("fcomp", "\xd8\x1e"),
	SSE("fnstcw", "\xd9\x3e"),
	SSE("fnstsw", "\xdd\x3e"),
	ENV("fnstenv", "\xd9\x36"),
	ENV("fnsave", "\xdd\x36"),
	SSE("stmxcsr", "\x0f\xae\x1e"),
	AVX("vaddpd", "\xc5\xf5\x58\x06"),
	AVX("vdivsd", "\xc5\xf3\x5e\x06"),
	AVX("vpcmpeqb", "\xc5\xf5\x74\x06"),
	AVX("vpminub", "\xc5\xf5\xda\x06"),
	AVX("vpxor", "\xc5\xf5\xef\x06"),
	AVX("vptest", "\xc4\xe2\x7d\x17\x06"),
	AVX("vpshufb", "\xc4\xe2\x75\x00\x06"),
	AVX("vpermd", "\xc4\xe2\x75\x36\x06"),
	AVX("vpsllvd", "\xc4\xe2\x75\x47\x06"),
	AVX("vfmadd231pd", "\xc4\xe2\xf5\xb8\x06"),
	AVX("vcvttsd2si", "\xc5\xfb\x2c\x0e"),
};

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t next_number(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* Numbers that a program may have, and any. */
static void fill(uint8_t *to, unsigned int bytes)
{
	static const double usual[] = { 0.0, -0.0, 1.0, -2.5, 1e10, 1e-310, 3.0, 1e300 };
	static const float short_ones[] = { 0.0f, 1.0f, -7.5f, 1e-40f, 3e38f, 42.0f };
	unsigned int i;

	for (i = 0; i + 8 <= bytes; i += 8) {
		uint64_t number = next_number();
		double wide = usual[number >> 8 & 7];
		float narrow = short_ones[(number >> 16) % 6];

		if ((number & 3) == 0)
			memcpy(&number, &wide, 8);
		else if ((number & 3) == 1)
			memcpy(&number, &narrow, 4);
		memcpy(to + i, &number, 8);
	}
}

/* Switches the registers on: OSFXSR, OSXMMEXCPT, OSXSAVE; x87, SSE and, if it is there, AVX. */
static bool switch_on(uint64_t components)
{
	return any_prepare("mov to CR4", INSN("", "\x0f\x22\xe0"),
			  (struct registers){ .rax = 0x20 | 1 << 9 | 1 << 10 | 1 << 18 }) &&
	       any_prepare("mov to CR0", INSN("", "\x0f\x22\xc0"),
			  (struct registers){ .rax = 0x80000033 }) &&
	       any_prepare("xsetbv", INSN("", "\x0f\x01\xd1"),
			  (struct registers){ .rax = components });
}

/*
 * Executes an instruction with the registers and the operand that there are, and notes what comes of it. If the operand
 * is protected, a monitor has it emulated, or another instruction of its length.
 */
static bool outcome(struct insn insn, const struct insn *emulated, uint64_t operand,
		    uint64_t components, struct outcome *is)
{
	struct registers regs = { .rsi = operand, .rdi = BEFORE, .rax = components, .rbx = AFTER,
				  .rcx = 0x5555555555555555, .rsp = STACK };
	char bytes[ANY_BYTES];
	struct insn whole = { insn.name, 4 + insn.len + 2, bytes };
	vm_event_request_t event;

	/* xrstor64 (%rdi), the instruction, push %rcx, pushf */
	memcpy(bytes, "\x48\x0f\xae\x2f", 4);
	memcpy(bytes + 4, insn.bytes, insn.len);
	memcpy(bytes + 4 + insn.len, "\x51\x9c", 2);
	memset(data(STACK - 16), 0, 16);
	memset(data(AFTER), 0, AREA);
	if (emulated)
		give(XENMEM_access_n);
	any_begin(0, any_put(1, whole), regs);
	if (emulated) {
		vm_event_response_t answer;

		if (!monitor_wait(&m, &event, 5000)) {
			tap_note("%s: no event", insn.name);
			give(XENMEM_access_rwx);
			return false;
		}
		answer = event;
		answer.flags |= VM_EVENT_FLAG_EMULATE;
		if (emulated->bytes != insn.bytes) {
			answer.flags |= VM_EVENT_FLAG_SET_EMUL_INSN_DATA;
			memset(&answer.data, 0, sizeof(answer.data));
			memcpy(answer.data.emul.insn.data, emulated->bytes, emulated->len);
		}
		monitor_put(&m, &answer);
		notify(m.evtchn, m.port);
	}
	if (!worker_wait(&w, 0, 5000) || monitor_wait(&m, &event, 0)) {
		tap_note("%s does not end, or there is another event", insn.name);
		return false;
	}
	is->rax = w.cmd[0]->result;
	if (emulated)
		give(XENMEM_access_rwx);
	memcpy(is->stack, data(STACK - 16), 16);
	memcpy(is->operand, data(OPERAND), OPERAND_BYTES);
	/* xsave64 (%rbx) */
	if (!any_do(any_put(0, INSN("", "\x48\x0f\xae\x23")), regs))
		return false;
	memcpy(is->area, data(AFTER), AREA);
	return true;
}

static void note_difference(const char *what, const uint8_t *is, const uint8_t *should,
			    unsigned int bytes)
{
	unsigned int i;

	for (i = 0; i < bytes; i++)
		if (is[i] != should[i]) {
			tap_note("%s: byte %u is %#x, should be %#x", what, i, is[i], should[i]);
			return;
		}
}

/* Fills the registers to begin with; masked says whether exceptions are. */
static void begin(uint64_t components, bool masked)
{
	fill(data(BEFORE + 32), 128);
	fill(data(BEFORE + 160), 256);
	fill(data(BEFORE + 576), 256);
	memset(data(BEFORE), 0, 32);
	memset(data(BEFORE + 416), 0, 160);
	any_set(BEFORE, masked ? 0x37f : 0x340, 2);
	/* Four registers of x87 are in use. */
	any_set(BEFORE + 2, 4 << 11, 2);
	any_set(BEFORE + 4, 0xf0, 1);
	any_set(BEFORE + 24, masked ? 0x1f80 : 0, 4);
	any_set(BEFORE + 512, components, 8);
}

/* Compares an instruction with itself, with some registers and operands; masked says whether exceptions are. */
static bool agrees(const struct test *test, uint64_t components, bool masked, unsigned int *raised)
{
	struct insn insn = test->insn;
	unsigned int round;

	for (round = 0; round < 4; round++) {
		static struct outcome is, should;
		uint8_t operand[OPERAND_BYTES];

		begin(components, masked);
		fill(operand, sizeof(operand));
		memcpy(data(OPERAND), operand, sizeof(operand));
		if (!outcome(insn, NULL, OPERAND, components, &should))
			return false;
		memcpy(data(OPERAND), operand, sizeof(operand));
		if (!outcome(insn, &insn, OPERAND, components, &is))
			return false;
		*raised += should.rax != components;
		if (test->pointers) {
			memset(is.operand + 12, 0, 16);
			memset(should.operand + 12, 0, 16);
		}
		if (!memcmp(&is, &should, sizeof(is)))
			continue;
		tap_note("%s: RAX %#lx, should be %#lx; RCX %#lx, %#lx; flags %#lx, %#lx",
			 insn.name, is.rax, should.rax, is.stack[1], should.stack[1], is.stack[0],
			 should.stack[0]);
		note_difference("registers", is.area, should.area, AREA);
		note_difference("operand", is.operand, should.operand, OPERAND_BYTES);
		return false;
	}
	return true;
}

/* Exceptions that instructions raise once their operand was read, or that others raise in their place. */
static void exceptions(uint64_t components)
{
	static const struct {
		const char *name;
		struct insn insn, emulated;
		unsigned int vector;
		uint32_t mxcsr;
		uint16_t status;
	} raises[] = {
		{ "an encoding that does not exist", INSN("vptest", "\xc4\xe2\x7d\x17\x06"),
		  INSN("vptest with a register", "\xc4\xe2\x75\x17\x06"), 6, 0x1f80, 0 },
		{ "an operand that is not aligned", INSN("mulpd", "\x66\x0f\x59\x46\x00"),
		  INSN("mulpd", "\x66\x0f\x59\x46\x01"), 13, 0x1f80, 0 },
		{ "an x87 exception that is pending", INSN("mov", "\x8a\x06"),
		  INSN("fadd", "\xd8\x06"), 16, 0x1f80, 1 << 15 | 1 << 7 | 1 },
		{ "a reserved bit of MXCSR", INSN("mov", "\x40\x8b\x06"),
		  INSN("ldmxcsr", "\x0f\xae\x16"), 13, 0x1f80, 0 },
		{ "an invalid operand", INSN("addps", "\x0f\x58\x06"),
		  INSN("sqrtps", "\x0f\x51\x06"), 19, 0x1f00, 0 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(raises) / sizeof(*raises); i++) {
		static struct outcome is, should;

		memset(data(BEFORE), 0, AREA);
		any_set(BEFORE, 0x37e, 2);
		any_set(BEFORE + 2, raises[i].status, 2);
		any_set(BEFORE + 24, raises[i].mxcsr, 4);
		any_set(BEFORE + 512, components, 8);
		/* Negative numbers, and bits that MXCSR does not have. */
		memset(data(OPERAND), 0xbf, OPERAND_BYTES);
		if (!outcome(raises[i].emulated, NULL, OPERAND, components, &should))
			tap_bail("%s does not end", raises[i].name);
		if (should.rax != (0x100 | raises[i].vector)) {
			tap_skip("not on this processor", "E-7 %s", raises[i].name);
			continue;
		}
		if (!outcome(raises[i].insn, &raises[i].emulated, OPERAND, components,
			     &is))
			tap_bail("%s does not end in software", raises[i].name);
		tap(!memcmp(&is, &should, sizeof(is)), "E-7 %s raises vector %u", raises[i].name,
		    raises[i].vector);
	}
}

/* Instructions without an operand in memory, in place of a read. */
static void in_place(uint64_t components)
{
	static const struct {
		struct insn insn, emulated;
		bool avx;
	} list[] = {
		{ INSN("mov", "\x40\x8b\x06"), INSN("vzeroupper", "\xc5\xf8\x77"), true },
		{ INSN("mov", "\x40\x8b\x06"), INSN("vzeroall", "\xc5\xfc\x77"), true },
		{ INSN("mov", "\x40\x8b\x06"), INSN("emms", "\x40\x0f\x77"), false },
		{ INSN("mov", "\x8a\x06"), INSN("fsqrt", "\xd9\xfa"), false },
		{ INSN("mov", "\x8a\x06"), INSN("int $0x1e", "\xcd\x1e"), false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(list) / sizeof(*list); i++) {
		static struct outcome is, should;
		if (list[i].avx && components == 3) {
			tap_skip("there is no AVX", "E-7 %s", list[i].emulated.name);
			continue;
		}
		begin(components, true);
		tap(outcome(list[i].emulated, NULL, OPERAND, components, &should) &&
		    outcome(list[i].insn, &list[i].emulated, OPERAND, components, &is) &&
		    !memcmp(&is, &should, sizeof(is)), "E-7 %s is emulated as the processor has it",
		    list[i].emulated.name);
	}
}

/* RDRAND: what it gives is another number each time. */
static void random_numbers(uint64_t components)
{
	static struct outcome is;
	unsigned int a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	if (!(c >> 30 & 1)) {
		tap_skip("this processor has none", "E-7 rdrand");
		return;
	}
	begin(components, true);
	tap(outcome(INSN("mov", "\x40\x8b\x06"), &INSN("rdrand", "\x0f\xc7\xf1"), OPERAND,
		    components, &is) && is.stack[1] != 0x5555555555555555 && is.stack[0] & 1,
	    "E-7 rdrand gives a number, and says so");
}

/* An instruction that the emulator does not know: who wants to hear of it does. */
static void unknown(uint64_t components)
{
	/* vpgatherdd %xmm2,(%rsi,%xmm1),%xmm0 in place of mov 0(%rsi),%eax */
	struct insn gather = INSN("vpgatherdd", "\xc4\xe2\x69\x90\x04\x0e");
	struct insn mov = INSN("mov", "\x8b\x86\x00\x00\x00\x00");
	struct registers regs = { .rsi = OPERAND, .rsp = STACK };
	vm_event_request_t event;
	vm_event_response_t answer;
	uint64_t at;

	begin(components, true);
	tap_equal(event_on(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_EMUL_UNIMPLEMENTED), 0,
		  "what is not known");
	give(XENMEM_access_n);
	at = any_put(1, mov);
	any_begin(0, at, regs);
	tap(monitor_wait(&m, &event, 5000), "a read");
	answer = event;
	answer.flags |= VM_EVENT_FLAG_EMULATE | VM_EVENT_FLAG_SET_EMUL_INSN_DATA;
	memset(&answer.data, 0, sizeof(answer.data));
	memcpy(answer.data.emul.insn.data, gather.bytes, gather.len);
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
	tap(monitor_wait(&m, &event, 5000) && event.reason == VM_EVENT_REASON_EMUL_UNIMPLEMENTED &&
	    event.data.regs.x86.rip == at, "is reported, at the instruction");
	give(XENMEM_access_rwx);
	answer = event;
	answer.flags |= VM_EVENT_FLAG_SET_REGISTERS;
	answer.data.regs.x86.rip += mov.len;
	answer.data.regs.x86.rax = 0x1234;
	monitor_put(&m, &answer);
	notify(m.evtchn, m.port);
	tap(worker_wait(&w, 0, 5000) && w.cmd[0]->result == 0x1234,
	    "and the monitor may do it in its place");
	tap_equal(event_off(fd, w.domain, XEN_DOMCTL_MONITOR_EVENT_EMUL_UNIMPLEMENTED), 0, "back");
}

/* Instructions that compute with what a device says; here there is none. */
static void devices(uint64_t components)
{
	static const struct insn insns[] = {
		INSN("cvtdq2ps", "\x0f\x5b\x06"), INSN("paddd", "\x66\x0f\xfe\x0e"),
		INSN("fild", "\xdb\x06"), INSN("paddb", "\x0f\xfc\x06"),
	};
	unsigned int i;

	for (i = 0; i < sizeof(insns) / sizeof(*insns); i++) {
		static struct outcome is, should;
		bool done;

		fill(data(BEFORE + 160), 256);
		memset(data(OPERAND), 0xff, OPERAND_BYTES);
		any_set(BEFORE, 0x37f, 2);
		any_set(BEFORE + 2, 0, 4);
		any_set(BEFORE + 24, 0x1f80, 4);
		any_set(BEFORE + 512, components, 8);
		done = outcome(insns[i], NULL, OPERAND, components, &should) &&
		       outcome(insns[i], NULL, NOWHERE, components, &is);
		/* Where their operand was differs. */
		memset(is.area + 16, 0, 8);
		memset(should.area + 16, 0, 8);
		tap(done && !memcmp(&is, &should, sizeof(is)), "%s with a device's memory",
		    insns[i].name);
	}
}

int main(void)
{
	unsigned int i, a, b, c = 0, d, raised[2] = { 0 };
	uint64_t components;

	tap_plan(0);
	fd = xen_open("privcmd");
	__get_cpuid(1, &a, &b, &c, &d);
	/* XSAVE and AVX. */
	if (!(c >> 26 & 1))
		tap_bail("this processor has no XSAVE");
	components = c >> 28 & 1 ? 7 : 3;
	any_start(1);
	monitor_start(&m, &w);
	if (!any_handlers() || !switch_on(components))
		tap_bail("the guest cannot be prepared");
	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		if (tests[i].avx && components == 3) {
			tap_skip("there is no AVX", "E-7 %s", tests[i].insn.name);
			continue;
		}
		tap(agrees(&tests[i], components, true, &raised[0]),
		    "E-7 %s is emulated as the processor has it", tests[i].insn.name);
		tap(agrees(&tests[i], components, false, &raised[1]),
		    "E-7 %s with exceptions that are not masked", tests[i].insn.name);
	}
	tap_note("%u and %u runs ended with an exception", raised[0], raised[1]);
	exceptions(components);
	in_place(components);
	random_numbers(components);
	unknown(components);
	devices(components);
	tap_equal(monitor_end(&m), 0, "the monitor ends");
	tap_equal(worker_end(&w), 0, "the guest ends");
	return tap_end();
}
