# SPDX-License-Identifier: BSD-2-Clause
"""The exit ports and bvmcons, from a guest: guest/debug.c."""

import pytest

from bare import build, run


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    return build("debug", tmp_path_factory.mktemp("debug") / "debug")


@pytest.mark.parametrize("option, status", [
    ("pc-testdev", 2 * 0x15 + 1),
    ("isa-debug-exit", 2 * 0x16 + 1),
    ("isa-debug-exit,0x600", 255),
])
def test_exit_port(files, kernel, option, status):
    assert run(files, kernel, "-l", option) == (status, "", "")


def test_no_exit_port(files, kernel):
    assert run(files, kernel) == (0, "", "")


def test_bvmcons(files, kernel):
    assert run(files, kernel, "-b", typed=b"hello\n") == \
        (0, "bvmcons: hello\n", "")
    assert run(files, kernel, "-l", "isa-debug-exit", "-o", "bvmcons=yes",
               typed=b"\n") == (2 * 0x16 + 1, "bvmcons: \n", "")


def test_one_stdio(files, kernel):
    status, out, err = run(files, kernel, "-b", "-l", "com1,stdio")
    assert (status, out) == (4, "")
    assert err.count("\n") == 1 and "stdio" in err
