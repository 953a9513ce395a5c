# SPDX-License-Identifier: BSD-2-Clause
"""Rules of the house that a look at the text can check."""

import pathlib
import re
import shutil
import subprocess

import pytest

import rooms

TOP = pathlib.Path(__file__).resolve().parents[2]

SPDX = "SPDX-License-Identifier: BSD-2-Clause"
SOURCES = {".c", ".h", ".S", ".asm", ".inc", ".py"}

# Calls that end the process. src/cmd may; nothing that a guest or an option
# can reach elsewhere may. (file, call): reason.
ALLOWED_ENDS = {
}


def tree():
    """Files of the tree: those git knows or would add; all if no git."""
    listed = subprocess.run(
        ["git", "-C", str(TOP), "-c", "safe.directory=*", "ls-files", "-z",
         "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if listed.returncode == 0:
        paths = [TOP / p for p in listed.stdout.decode().split("\0") if p]
    else:
        paths = [p for p in TOP.rglob("*") if p.is_file()
                 and not p.relative_to(TOP).parts[0].startswith(
                     ("build", ".git"))]
    return sorted(p for p in paths if p.is_file() and not p.is_symlink())


FILES = tree()


def name(path):
    return str(path.relative_to(TOP))


def text(path):
    return path.read_text(encoding="utf-8", errors="replace")


def sources(room=None):
    for path in FILES:
        parts = path.relative_to(TOP).parts
        if parts[0] == "src" and path.suffix in {".c", ".h", ".S", ".inc"}:
            if len(parts) > 2 and (room is None or parts[1] == room):
                yield path, parts[1]


def without_comments(code):
    """Comments and the insides of strings, blanked; lines stay."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, code,
                  flags=re.S)


def test_includes_keep_the_direction():
    wrong = []
    for path, room in sources():
        if room not in rooms.USES:
            wrong.append(f"{name(path)}: no room of this name in rooms.py")
            continue
        for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text(path),
                                 re.M):
            other = header.split("/")[0]
            if "/" not in header or other not in rooms.USES:
                # Beside the file; or of the tests' own.
                if not (path.parent / header).exists():
                    wrong.append(f"{name(path)}: \"{header}\" is not "
                                 "\"room/file.h\"")
            elif other != room and other not in rooms.USES[room] and \
                    (name(path), header) not in rooms.ALLOWED:
                wrong.append(f"{name(path)}: {room} may not use {header}")
    assert wrong == []


def test_rooms_have_no_circle():
    done = set()
    while len(done) < len(rooms.USES):
        ready = {r for r, uses in rooms.USES.items()
                 if r not in done and uses <= done}
        assert ready, f"circle among {set(rooms.USES) - done}"
        done |= ready


def test_devices_are_unknown_to_the_engines():
    """libvmm reaches the board by its upcalls alone."""
    assert not rooms.USES["vmm"] & {"bus", "chipset", "machine", "backend"}


def test_sources_begin_with_their_licence():
    wrong = []
    for path in FILES:
        if path.suffix not in SOURCES:
            continue
        lines = text(path).splitlines()[:2] or [""]
        if lines[0].startswith("#!"):
            lines = lines[1:]
        # A list that is included in the middle of others says what it is.
        if path.suffix == ".inc" and SPDX not in lines[0]:
            if "/*" in lines[0]:
                continue
        if not lines or SPDX not in lines[0]:
            wrong.append(name(path))
    assert wrong == []


def test_nothing_ends_the_process():
    wrong = []
    for path, room in sources():
        if room == "cmd":
            continue
        code = without_comments(text(path))
        for m in re.finditer(
                r"(?<![\w.>])(assert|abort|exit|_exit|_Exit|quick_exit|errx?)"
                r"\s*\(", code):
            line = code.count("\n", 0, m.start()) + 1
            if (name(path), m.group(1)) not in ALLOWED_ENDS:
                wrong.append(f"{name(path)}:{line}: {m.group(1)}()")
    assert wrong == []


def test_nothing_is_unfinished():
    wrong = []
    for path, _ in sources():
        for i, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                wrong.append(f"{name(path)}:{i}: {line.strip()}")
    assert wrong == []


def test_no_path_of_a_workplace():
    # Put together here, so that this file does not find itself.
    paths = re.compile("|".join([
        r"(?<![\w.$}/-])/" + r"work\b", "/tmp/" + "bash", "/root/" + r"\w",
        r"/home/" + r"\w+"]))
    wrong = []
    for path in FILES:
        for i, line in enumerate(text(path).splitlines(), 1):
            if paths.search(line):
                wrong.append(f"{name(path)}:{i}: {line.strip()}")
    assert wrong == []


def test_chips_have_a_state_table():
    """A chip is NAME.c, NAME.h and what adapts it to the bus, NAME_*.c."""
    without = {
        # name: why it has no state of its own
        "chipset": "puts the chips together",
    }
    chips = {}
    for path, _ in sources("chipset"):
        chip = path.stem.split("_")[0]
        chips[chip] = chips.get(chip, "") + text(path)
    wrong = [chip for chip, code in chips.items()
             if chip not in without
             and not re.search(r"\bstruct\s+state_table\b", code)]
    assert wrong == []


def test_c_lines_are_at_most_80_columns():
    wrong = []
    for path in FILES:
        if path.suffix in {".c", ".h", ".S"}:
            for i, line in enumerate(text(path).splitlines(), 1):
                if len(line.expandtabs(8)) > 80:
                    wrong.append(f"{name(path)}:{i}")
    assert wrong == []


def test_text_is_clean():
    """No blanks at the end of a line, and a newline at the end."""
    wrong = []
    for path in FILES:
        data = path.read_bytes()
        if b"\0" in data or not data or name(path).startswith(
                "tests/fuzz/corpus/"):
            continue
        if not data.endswith(b"\n"):
            wrong.append(f"{name(path)}: no newline at the end")
        for i, line in enumerate(data.split(b"\n"), 1):
            if line.rstrip(b" \t\r") != line:
                wrong.append(f"{name(path)}:{i}: blanks at the end")
    assert wrong == []


def test_links_of_the_documents():
    wrong = []
    for path in FILES:
        if path.suffix != ".md":
            continue
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path)):
            if "://" not in link and not (path.parent / link).exists():
                wrong.append(f"{name(path)}: {link}")
    assert wrong == []


def test_scripts():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    scripts = [str(p) for p in FILES if p.suffix in {"", ".sh"}
               and re.match(r"#!/bin/(ba)?sh\b", text(p)[:20])]
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()
