# SPDX-License-Identifier: BSD-2-Clause
"""Modules of the kernel's package in the small guest's initramfs."""


def test_modules(machine, modules):
    """They are those of this kernel, with what they need."""
    m = machine(files=modules("virtio_pci", "xfs"))
    m.boot()
    m.run("modprobe -a virtio_pci xfs")
    loaded = {line.split()[0]
              for line in m.run("cat /proc/modules").splitlines()}
    assert {"virtio_pci", "virtio_ring", "virtio", "xfs",
            "libcrc32c"} <= loaded
