# SPDX-License-Identifier: BSD-2-Clause
"""Machines that start from a boot ROM."""

import pathlib
import subprocess

import pytest

from console import Firmware

GUEST = pathlib.Path(__file__).parent / "guest"


@pytest.fixture
def firmware(files):
    """Makes machines with a boot ROM; ends those that a test leaves."""
    made = []

    def make(rom, *options, **kwargs):
        made.append(Firmware(files, rom, *options, **kwargs))
        return made[-1]

    yield make
    for m in made:
        m.close()


def test_reset_vector_to_protected_mode(firmware, tmp_path):
    rom = tmp_path / "rom"
    subprocess.run(["nasm", "-f", "bin", "-o", rom, GUEST / "rom.asm"],
                   check=True)
    assert rom.stat().st_size == 128 << 10
    m = firmware(rom)
    m.expect("real mode, copy is RAM, ROM is ROM\r\n")
    assert m.wait() == 0
    assert m.restored()
