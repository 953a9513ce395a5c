# SPDX-License-Identifier: BSD-2-Clause
"""What is made from the parser's tables: help, manual, completion."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import TOP

BUILD = pathlib.Path(os.environ.get("LHYVE", TOP / "build/lhyve")).parent
MADE = BUILD / "src/cmd"


def lhyve(files, *args):
    return subprocess.run([files.lhyve, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)


def help_of(files):
    done = lhyve(files, "-h")
    assert done.returncode == 0 and done.stderr == b""
    return done.stdout.decode()


def letters(files):
    return set(re.findall(r"^  -(\w)\b", help_of(files), re.M))


def variables(files):
    text = help_of(files).partition("variables for -o:")[2]
    return set(re.findall(r"^  ([a-z]\S+)", text, re.M))


def devices(files, option):
    done = lhyve(files, option, "help")
    assert done.returncode == 0
    return {line.split()[0] for line in done.stdout.decode().splitlines()}


@pytest.mark.parametrize("page", ["lhyve.8", "lhyve_config.5"])
def test_manual_is_clean(page):
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", MADE / page],
        stdout=subprocess.PIPE, check=False)
    assert done.stdout == b""


def page_text(page):
    done = subprocess.run(["mandoc", "-T", "utf8", MADE / page],
                          stdout=subprocess.PIPE, check=True)
    return re.sub("\b.", "", done.stdout.decode())


def test_manual_has_all(files):
    page = page_text("lhyve.8")
    for letter in letters(files):
        assert re.search(rf"^ +-{letter}\b", page, re.M), letter
    for name in devices(files, "-s") | devices(files, "-l"):
        assert re.search(rf"^ +{name}\b", page, re.M), name
    page = page_text("lhyve_config.5")
    for name in variables(files):
        assert re.search(rf"^ +{re.escape(name)}( |$)", page, re.M), name


def test_every_letter_is_known(files):
    """Of bhyve(8): in the help, or named there as missing."""
    missing = re.search(r"^not there yet:(.*)$", help_of(files), re.M)
    known = letters(files) | set(re.findall(r"-(\w)", missing.group(1)))
    assert known >= set("aAbCcDefGgHhIkKlmnoPprSsUuWwxY")


def complete(line):
    """What bash offers behind `line`."""
    script = (f"source {MADE}/lhyve.bash; COMP_LINE={line!r}; "
              "COMP_POINT=${#COMP_LINE}; _lhyve; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-uc", script], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd="/", check=False)
    assert done.returncode == 0, done.stderr.decode()
    return set(done.stdout.decode().split())


def test_bash(files):
    assert complete("lhyve -") == {f"-{x}" for x in letters(files)}
    assert {x.rstrip(",") for x in complete("lhyve -A -l ")} == \
        devices(files, "-l") | {"help"}
    assert complete("lhyve -l com") == {"com1,", "com2,", "com3,", "com4,"}
    assert {x.rstrip(",") for x in complete("lhyve -s 3,")} == {
        f"3,{x}" for x in devices(files, "-s")}
    names = {x for x in variables(files) if "#" not in x}
    assert {x.rstrip("=") for x in complete("lhyve -o ")} >= names
    assert complete("lhyve -o rebo") == {"reboot="}
    assert complete("lhyve -o reboot=") == {"exit", "internal"}
    assert complete("lhyve -o x86.x2apic=t") == {"true"}
    assert "usr" in {x.rstrip("/") for x in complete("lhyve -k us")}
    assert complete("lhyve vm") == set()


def test_zsh(files):
    subprocess.run(["zsh", "-n", MADE / "_lhyve"], check=True)
    # What it tells _arguments, and the lists behind the actions.
    script = (
        'compadd() { while [[ $1 == -* ]]; do case $1 in -S) shift 2;; '
        '-a) shift; print -l ${(P)1}; return;; *) shift;; esac; done; '
        'print -rl -- "$@" }; compset() { PREFIX=${PREFIX#*[,=]} }; '
        f'_arguments() {{ print -rl -- "$@" }}; source {MADE}/_lhyve; '
        'print -- ---; _lhyve_lpc; print -- ---; PREFIX=reboot=; _lhyve_var')
    done = subprocess.run(["zsh", "-fc", script], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    options, lpc, values = done.stdout.decode().split("---\n")
    assert set(re.findall(r"^\*-(\w)\[", options, re.M)) == letters(files)
    assert {x.rstrip(",") for x in lpc.split()} == \
        devices(files, "-l") | {"help"}
    assert values.split() == ["exit", "internal"]


def test_install(tmp_path):
    """The binary, its manual and completions, where they are looked for."""
    if not (BUILD / "build.ninja").exists():
        pytest.skip("not in a build directory")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                    f"--destdir={tmp_path}"], check=True)
    found = {p.relative_to(tmp_path).as_posix().rpartition("/share/")[2]
             for p in tmp_path.rglob("*") if p.is_file()}
    assert found >= {"man/man8/lhyve.8", "man/man5/lhyve_config.5",
                     "bash-completion/completions/lhyve",
                     "zsh/site-functions/_lhyve"}


def test_dump_runs_again(files, tmp_path):
    """-k with what config.dump printed is the same machine."""
    line = ["-c", "4,cores=2", "-m", "1G", "-wxu", "-s", "31,lpc", "-l",
            "com1,stdio", "-p", "0:0", "-o", "cmdline=50%% %(name)", "vm0"]
    one = lhyve(files, "-o", "config.dump=1", *line)
    assert one.returncode == 1
    assert b"cmdline=50%% vm0\n" in one.stdout
    (tmp_path / "conf").write_bytes(one.stdout)
    two = lhyve(files, "-k", str(tmp_path / "conf"))
    assert two.returncode == 1
    assert two.stdout == one.stdout
