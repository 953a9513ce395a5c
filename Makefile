# lhyve: a small front to Meson, and the guest that `make run` boots.
#
#   make           build/lhyve; installs packages only if some are missing
#   make run       Debian's cloud kernel to a shell prompt
#   make check     every test
#   make check-long
#                  programs that run for minutes
#   make boot20    twenty boots, each with its seconds
#   make bench     lhyve beside native and QEMU's TCG; BENCH= options
#   make asan      build-asan/, with address and undefined-behaviour checks
#   make check-asan
#                  unit tests, ends and bad input with those checks
#   make fuzz      every fuzz target for SECONDS=30 (docs/testing.md)
#   make install   PREFIX=, DESTDIR=
#   make clean

BUILD   ?= build
PREFIX  ?= /usr/local
MESON   ?= meson
# Debian's: another python3 may come first in PATH, without pytest.
PYTHON  ?= /usr/bin/python3

GUEST   := $(BUILD)/guest
KERNEL  ?= $(GUEST)/vmlinuz
INITRD  ?= $(GUEST)/initrd.gz
MEMORY  ?= 512M
CMDLINE ?= console=ttyS0
SECONDS ?= 30

.DEFAULT_GOAL := all
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: all run check check-long boot20 bench asan check-asan fuzz install clean guest \
    guest32

$(BUILD)/build.ninja:
	@scripts/deps build
	$(MESON) setup --prefix=$(PREFIX) $(BUILD)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) src/cmd/lhyve src/cmd/lhyve.8 \
	    src/cmd/lhyve_config.5 src/cmd/lhyve.bash src/cmd/_lhyve
	@ln -sfn src/cmd/lhyve $(BUILD)/lhyve

$(GUEST)/vmlinuz $(GUEST)/modules &:
	@scripts/fetch-kernel $(GUEST)

$(GUEST)/vmlinuz-i386 $(GUEST)/busybox-i386 &:
	@scripts/fetch-kernel $(GUEST) i386

$(GUEST)/initrd-i386.gz: scripts/make-initramfs scripts/guest-init \
    $(GUEST)/busybox-i386
	@scripts/deps run
	@scripts/make-initramfs $@ bin/busybox=$(GUEST)/busybox-i386

$(GUEST)/xen:
	@scripts/fetch-xen $(GUEST)

$(GUEST)/initrd.gz: scripts/make-initramfs scripts/guest-init
	@scripts/deps run
	@scripts/make-initramfs $@

guest: $(KERNEL) $(INITRD) $(GUEST)/modules
guest32: $(GUEST)/vmlinuz-i386 $(GUEST)/initrd-i386.gz

# A guest that resets (0) or powers off (1) has ended well.
run:
	@scripts/deps build run
	@$(MAKE) --no-print-directory all guest
	@$(BUILD)/lhyve -A -H -m $(MEMORY) -s 0,hostbridge -s 31,lpc \
	    -l com1,stdio -o engine=soft -o kernel=$(KERNEL) \
	    -o initrd=$(INITRD) -o cmdline='$(CMDLINE)' vm0 || [ $$? -eq 1 ]

check: export LHYVE = $(abspath $(BUILD))/lhyve
check: export LHYVE_GUEST = $(abspath $(GUEST))
check:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@$(MESON) configure $(BUILD) -Dtests=enabled
	@$(MAKE) --no-print-directory all guest guest32 \
	    $(GUEST)/xen
	@status=0; \
	$(MESON) test -C $(BUILD) --print-errorlogs || status=1; \
	$(PYTHON) -m pytest tests/lint tests/system || status=1; \
	exit $$status

check-long: export LHYVE = $(abspath $(BUILD))/lhyve
check-long: export LHYVE_GUEST = $(abspath $(GUEST))
check-long:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory all guest guest32
	@$(PYTHON) -m pytest -m long tests/system

boot20: export LHYVE = $(abspath $(BUILD))/lhyve
boot20: export LHYVE_GUEST = $(abspath $(GUEST))
boot20:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory all guest
	@$(PYTHON) tests/system/boot20

# See bench/README.md. BENCH="--quick" and so on.
bench:
	@scripts/deps build run bench
	@$(MAKE) --no-print-directory all $(KERNEL)
	@bench/run --lhyve $(abspath $(BUILD))/lhyve --kernel $(KERNEL) \
	    --memory $(MEMORY) --out $(BUILD)/bench $(BENCH)

build-asan/build.ninja:
	@scripts/deps build
	$(MESON) setup -Db_sanitize=address,undefined -Db_lundef=false \
	    build-asan

asan: build-asan/build.ninja
	@ninja -C build-asan
	@ln -sfn src/cmd/lhyve build-asan/lhyve

check-asan: export LHYVE = $(abspath build-asan)/lhyve
check-asan: export LHYVE_GUEST = $(abspath $(GUEST))
check-asan: export LHYVE_NO_MAKE_RUN = 1
check-asan:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory asan guest
	@status=0; \
	$(MESON) test -C build-asan --print-errorlogs || status=1; \
	$(PYTHON) -m pytest tests/system/test_bad_input.py \
	    tests/system/test_ends.py || status=1; \
	exit $$status

build-fuzz/build.ninja:
	@scripts/deps build fuzz
	CC=clang $(MESON) setup -Dfuzz=true build-fuzz

# One after the other. What they find stays in build-fuzz/found, what they
# learn in build-fuzz/corpus.
fuzz: build-fuzz/build.ninja
	@ninja -C build-fuzz
	@tests/fuzz/run build-fuzz $(SECONDS) $(TARGETS)

install: all
	$(MESON) configure $(BUILD) -Dprefix=$(PREFIX)
	$(MESON) install -C $(BUILD) $(if $(DESTDIR),--destdir=$(DESTDIR))

clean:
	rm -rf $(BUILD) build-asan build-fuzz
