# SPDX-License-Identifier: BSD-2-Clause
"""PCI as a bare-metal program sees it: guest/pci.c with pci-testdev."""

import pytest

from bare import build, run


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return build("pci", tmp_path_factory.mktemp("pci") / "pci")


@pytest.mark.parametrize("slot", ["3", "4:2", "0:30:0"])
def test_pci_testdev(files, kernel, slot):
    """Each slot has its own pins and routes."""
    extra = []
    if slot == "4:2":
        # These have INTA# and INTB#; the guest takes the last.
        extra = ["-s", "4,pci-testdev", "-s", "4:1,pci-testdev"]
    status, out, err = run(files, kernel, *extra, "-s", f"{slot},pci-testdev",
                           "-l", "com1,stdio")
    assert err == ""
    assert "WRONG" not in out
    assert out.endswith("all is well\r\n")
    assert status == 1
