# SPDX-License-Identifier: BSD-2-Clause
"""The rooms of src/ and which others each may use.

The order is that of docs/architecture.md. A room may use itself.
"""

USES = {
    "base": set(),
    "gmem": {"base"},
    "vmm": {"base", "gmem"},
    "bus": {"base", "gmem"},
    "backend": {"base"},
    "chipset": {"base", "bus", "gmem", "backend"},
    "firmware": {"base", "gmem", "config"},
    "config": {"base"},
    "device": {"base", "gmem", "bus", "backend", "config"},
    "machine": {"base", "gmem", "vmm", "bus", "backend", "chipset",
                "firmware", "config", "device"},
    "cmd": {"base", "gmem", "vmm", "bus", "backend", "chipset", "firmware",
            "config", "device", "machine"},
}

# (file, header) pairs that break the rule, each with its reason.
ALLOWED = {
}
