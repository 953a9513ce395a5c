# SPDX-License-Identifier: BSD-2-Clause
"""What a healthy kernel does not say."""

import re

# One regular expression a complaint. Case matters unless (?i) says so:
# "report a bug" is advice, "BUG:" is not.
BAD = [
    r"\bBUG\b",
    r"\bOops\b",
    r"Kernel panic",
    r"WARNING:",
    r"\[ cut here \]",
    r"Call Trace",
    r"(?i)taint(ed|ing)",
    r"general protection",
    r"double fault|Machine check|\bmce: .*error",
    r"invalid opcode",
    r"unable to handle",
    r"segfault at",
    r"\btraps: ",
    r"Bad (page|rss|RIP)",
    # MSRs, ports, processor features
    r"(?i)unchecked MSR",
    r"(?i)unhandled",
    r"XSAVE consistency|x86/fpu: .*(?i:mismatch|failed|disabl)",
    r"(?i)unknown NMI|Uhhuh",
    r"(?i)CPU features? .*(mismatch|inconsisten)",
    # Time
    r"(?i)unstable",
    r"timekeeping watchdog",
    r"clocksource: .*(skew|watchdog|wd_)",
    r"(?i)unable to calibrate|calibration failed|Fast TSC calibration fail",
    r"TSC deadline timer .*(?i:disabled)",
    r"hpet.*(?i:not working|disabled|lost)",
    r"rtc.*(?i:unable|broken|not accessible|failed)",
    r"(?i)lockup|hung_task|blocked for more than",
    r"(?i)rcu.*(stall|starved)",
    r"(?i)sched: RT throttling",
    # Interrupts
    r"nobody cared",
    r"(?i)no irq handler",
    r"(?i)spurious (interrupt|vector|APIC)",
    r"MP-BIOS bug|IO-APIC.*(?i:not connected|doesn't work)",
    r"APIC error on CPU",
    r"(?i)APIC.*(mismatch|bogus)",
    # Firmware
    r"ACPI( BIOS)? (Error|Warning|Exception)",
    r"ACPI: .*(?i:unable|invalid|failed|not found|missing)",
    r"\[Firmware (Bug|Warn|Info)\]",
    r"(?i)(bad|invalid|incorrect|wrong) checksum|checksum (err|mism|inv|bad)",
    r"e820: .*(?i:overlap|conflict|invalid)",
    r"PCI: Fatal|PCI: .*(?i:conflict)|can't claim BAR",
    r"(?i)dmi.*(broken|bad)",
    # Devices
    r"ttyS\d.*(?i:overrun|too much work)",
    r"(?i)i8042: .*(error|timeout|can't)",
]

# What a BAD pattern matches and is harmless, each with its reason.
ALLOWED = [
    (r"tsc: (Fast TSC calibration failed|Unable to calibrate against PIT)",
     "the processor was taken away during each of the attempts: the host is "
     "busy with other things; the kernel then calibrates by another clock"),
]

# Messages of level "err" and worse that are harmless, each with its reason.
ALLOWED_ERRORS = [
]


def complaints(log):
    """Lines of a kernel's log that must not be there."""
    bad = [re.compile(p) for p in BAD]
    allowed = [re.compile(p) for p, _ in ALLOWED]
    return [line for line in log.splitlines()
            if any(p.search(line) for p in bad)
            and not any(p.search(line) for p in allowed)]


def errors(raw):
    """Lines of `dmesg -r` that the kernel itself calls errors."""
    allowed = [re.compile(p) for p, _ in ALLOWED_ERRORS]
    found = []
    for line in raw.splitlines():
        m = re.match(r"<(\d+)>", line)
        if m and int(m.group(1)) & 7 <= 3 \
                and not any(p.search(line) for p in allowed):
            found.append(line)
    return found
