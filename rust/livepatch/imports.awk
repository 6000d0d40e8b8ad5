# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a table out of the output of nm: every symbol that some object uses and none defines, with its
# name. Those of the kernel's build system are none that a payload could use.

NF == 2 && $1 == "U" || NF == 2 && $1 == "w" { used[$2] }
NF == 3 { defined[$3] }

END {
	print "/* Generated: what the module uses of the kernel. */"
	print "\t.section .rodata, \"a\""
	print "\t.balign 8"
	print "\t.globl oxen_imports, oxen_imports_end"
	print "oxen_imports:"
	count = 0
	for (name in used)
		if (!(name in defined) && name !~ /^(__this_module|__fentry__|__x86_return_thunk|oxen_imports.*)$/)
			names[count++] = name
	# In order, so that the same sources give the same file.
	for (i = 1; i < count; i++) {
		name = names[i]
		for (j = i; j > 0 && names[j - 1] > name; j--)
			names[j] = names[j - 1]
		names[j] = name
	}
	for (i = 0; i < count; i++)
		printf "\t.quad %s, .Lname%d\n", names[i], i
	print "oxen_imports_end:"
	for (i = 0; i < count; i++)
		printf ".Lname%d:\n\t.asciz \"%s\"\n", i, names[i]
	print "\t.section .note.GNU-stack, \"\", @progbits"
}
