#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# dmidecode reads the structures of every example without a complaint, through
# either entry point, and finds in them what was put there.
#
# usage: dmidecode.sh SMBIOS_DUMP DMIDECODE
set -eu

dump=$1
dmidecode=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$dump" "$dir"
cd "$dir"

status=0
for file in 0 0-2 1 1-2 2 2-2; do
	if ! "$dmidecode" --from-dump "$file" >"$file.log" 2>"$file.err" ||
	    [ -s "$file.err" ] ||
	    grep -E 'BAD|OUT OF SPEC|Wrong|Invalid|TRUNCATED|broken|differs|WARNING' \
	    "$file.log"; then
		echo "$file: dmidecode complains"
		cat "$file.err" "$file.log"
		status=1
	fi
done

has() {
	if ! grep -q -F "$2" "$1.log"; then
		echo "$1: no \"$2\""
		cat "$1.log"
		status=1
	fi
}

has 0 'SMBIOS 3.0'
has 0-2 'SMBIOS 2.8'
for file in 1 1-2; do
	has $file 'Vendor: vendor'
	has $file 'UUID: 00010203-0405-0607-0809-0a0b0c0d0e0f'
	has $file 'Product Name: board product'
	has $file 'Location In Chassis: place'
	has $file 'SKU Number: chassis sku'
	has $file 'Socket Designation: CPU #1'
	has $file 'Core Count: 4'
	has $file 'Thread Count: 8'
	has $file 'Maximum Capacity: 8 GB'
	has $file 'Size: 8 GB'
	has $file 'Range Size: 3 GB'
	has $file 'Range Size: 5 GB'
	has $file 'Status: No errors detected'
	has $file 'End Of Table'
done
has 2 'Socket Designation: CPU #63'
exit $status
