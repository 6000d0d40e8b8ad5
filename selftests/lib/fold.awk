# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a guest's console the nested results of a test. Usage:
#
#   awk -v guest=NAME -v reasons=FILE -f fold.awk missing CONSOLE
#
# Results that the list of missing features expects to fail are marked TODO. What is wrong with the whole
# goes to FILE: no plan, results that never came, failures, and features that are there after all.

FNR == 1 { file++ }

file == 1 {
	if ($0 == "" || /^#/)
		next
	split($1, names, ",")
	sub(/^[^ ]+ /, "")
	for (i in names)
		if (names[i] == guest)
			missing[$0]++
	next
}

{ sub(/\r$/, "") }

# One document: what follows the plan is not a result.
/^1\.\.[0-9]+/ {
	plan = substr($1, 4) + 0
	if (/# SKIP/)
		wrong[++wrongs] = "skipped itself: " $0
}

/^(not )?ok [0-9]+/ {
	results++
	text = $0
	sub(/^(not )?ok [0-9]+ - /, "", text)
	if (/^not ok/) {
		if (missing[text] > 0) {
			missing[text]--
			$0 = $0 " # TODO not in this version"
		} else {
			failed++
		}
	}
}

{ print "    " $0 }

END {
	if (plan == "")
		wrong[++wrongs] = "gave " results + 0 " results and no plan: it did not come to its end"
	else if (plan != results)
		wrong[++wrongs] = "planned " plan " results, gave " results + 0
	if (failed)
		wrong[++wrongs] = failed " results are not ok"
	for (text in missing)
		if (missing[text] > 0)
			wrong[++wrongs] = "passes, or is not looked at any more; remove it from the file missing: " text
	for (i = 1; i <= wrongs; i++)
		print wrong[i] >reasons
}
