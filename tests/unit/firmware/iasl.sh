#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# iasl reads every table without a complaint, and what it makes of the DSDT
# compiles to the same bytes again.
#
# usage: iasl.sh ACPI_DUMP IASL
set -eu

dump=$1
iasl=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$dump" "$dir"
cd "$dir"

status=0
for table in *.aml; do
	if ! "$iasl" -d "$table" >log 2>&1 ||
	    grep -E 'Error|Warning|rror:|arning:|incorrect|invalid|Invalid' log; then
		echo "$table: iasl -d complains"
		cat log
		status=1
	fi
	if grep -E '\*\*\*\*|Invalid|Unknown' "${table%.aml}.dsl"; then
		echo "$table: the listing has a complaint"
		status=1
	fi
done
for dsl in *-DSDT.dsl; do
	name=${dsl%.dsl}
	if ! "$iasl" -we -oa -p "$name-again" "$dsl" >log 2>&1 ||
	    ! grep -q '0 Errors, 0 Warnings' log; then
		echo "$dsl: iasl complains"
		cat log
		status=1
		continue
	fi
	# Past the header, which names the compiler.
	tail -c +37 "$name.aml" >a
	tail -c +37 "$name-again.aml" >b
	if ! cmp a b; then
		echo "$dsl: compiles to something else"
		status=1
	fi
done
exit $status
