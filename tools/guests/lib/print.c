// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text goes to the PV console where Xen gives one, else to port 0xe9, where Xen's log and QEMU's
 * -debugcon listen. The words `e9` and `console_io` on the command line add these ways to it.
 */

#include "guest.h"

#include <xen/io/console.h>

static struct xencons_interface *ring;
static evtchn_port_t ring_port;
static bool to_e9 = true, to_console_io;

/* A line on its way to console_io, which shows whole lines. */
static char line[128];
static unsigned int line_length;

/* Tells the other side; false, and no console any more, if that cannot be. */
static bool ring_kick(void)
{
	struct evtchn_send send = { .port = ring_port };

	if (!evtchn_op(EVTCHNOP_send, &send))
		return true;
	ring = NULL;
	to_e9 = true;
	return false;
}

static void ring_char(char c)
{
	XENCONS_RING_IDX produced = ring->out_prod;

	while (produced - READ_ONCE(ring->out_cons) >= sizeof(ring->out)) {
		if (!ring_kick())
			return;
		sched_op(SCHEDOP_yield, 0);
	}
	ring->out[MASK_XENCONS_IDX(produced, ring->out)] = c;
	barrier();
	WRITE_ONCE(ring->out_prod, produced + 1);
	if (c == '\n')
		ring_kick();
}

void print_init(void)
{
	u64 gfn = 0, port = 0;

	if (!on_xen)
		return;
	to_console_io = param("console_io");
	if (hvm_param(HVM_PARAM_CONSOLE_PFN, &gfn) || hvm_param(HVM_PARAM_CONSOLE_EVTCHN, &port))
		return;
	if (!gfn || !port || gfn >= 1 << 20)
		return;
	ring_port = port;
	to_e9 = param("e9");
	ring = (struct xencons_interface *)(ulong)(gfn * PAGE_SIZE);
}

void print_flush(void)
{
	if (!ring || !ring_kick())
		return;
	while (READ_ONCE(ring->out_cons) != ring->out_prod)
		sched_op(SCHEDOP_yield, 0);
}

void print_detach(void)
{
	ring = NULL;
	to_e9 = true;
}

void print_char(char c)
{
	if (ring && c == '\n')
		ring_char('\r');
	if (ring)
		ring_char(c);
	if (to_e9)
		outb(0xe9, c);
	if (to_console_io) {
		line[line_length++] = c;
		if (c == '\n' || line_length == sizeof(line)) {
			hypercall3(__HYPERVISOR_console_io, 0, line_length, line);
			line_length = 0;
		}
	}
}

void print(const char *text)
{
	while (*text)
		print_char(*text++);
}

struct out {
	char *at;
	size_t left;
	int length;
};

static void put(struct out *out, char c)
{
	if (out->left > 1) {
		*out->at++ = c;
		out->left--;
	}
	out->length++;
}

static void pad(struct out *out, int count, char c)
{
	while (count-- > 0)
		put(out, c);
}

static void put_number(struct out *out, u64 value, u32 base, bool negative, int width, char fill)
{
	char digits[24];
	int length = 0;
	u32 digit;

	do {
		value = divide(value, base, &digit);
		digits[length++] = "0123456789abcdef"[digit];
	} while (value);
	if (negative && fill == '0')
		put(out, '-');
	pad(out, width - length - negative, fill);
	if (negative && fill != '0')
		put(out, '-');
	while (length)
		put(out, digits[--length]);
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
	struct out out = { buffer, size, 0 };

	for (; *format; format++) {
		int width = 0, longs = 0, length;
		bool left = false;
		const char *text;
		char fill = ' ';
		s64 number;

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		if (*++format == '-') {
			left = true;
			format++;
		}
		if (*format == '0') {
			fill = '0';
			format++;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		for (; *format == 'l' || *format == 'z'; format++)
			longs++;
		switch (*format) {
		case '%':
			put(&out, '%');
			break;
		case 'c':
			put(&out, va_arg(args, int));
			break;
		case 's':
			text = va_arg(args, const char *);
			length = strlen(text);
			if (!left)
				pad(&out, width - length, ' ');
			while (*text)
				put(&out, *text++);
			if (left)
				pad(&out, width - length, ' ');
			break;
		case 'd':
		case 'i':
			number = longs > 1 ? va_arg(args, s64) : longs ? va_arg(args, long) :
				va_arg(args, int);
			put_number(&out, number < 0 ? -number : number, 10, number < 0, width,
				   fill);
			break;
		case 'u':
		case 'x':
			number = longs > 1 ? va_arg(args, u64) :
				 longs ? va_arg(args, ulong) : va_arg(args, unsigned int);
			put_number(&out, number, *format == 'u' ? 10 : 16, false, width, fill);
			break;
		case 'p':
			put_number(&out, (ulong)va_arg(args, void *), 16, false, 0, ' ');
			break;
		default:
			put(&out, '?');
		}
	}
	if (size)
		*out.at = 0;
	return out.length;
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buffer, size, format, args);
	va_end(args);
	return length;
}

void printf(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print(text);
}
