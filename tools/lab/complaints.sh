# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What a kernel says when something is wrong with it.
COMPLAINTS='BUG:|WARNING:|Oops|KASAN:|UBSAN:|general protection|double fault|page_fault_oops'
COMPLAINTS="$COMPLAINTS|possible (recursive|circular|irq lock)|inconsistent lock|INFO: (task|rcu|suspicious|trying)"
COMPLAINTS="$COMPLAINTS|suspicious RCU|sleeping function|scheduling while atomic|unchecked MSR|soft lockup|hard LOCKUP"
COMPLAINTS="$COMPLAINTS|refcount_t:|list_(add|del) corruption|ODEBUG:|Bad page|bad: scheduling|Call Trace:|panicked at"
COMPLAINTS="$COMPLAINTS|pagealloc: "
