# lhyve: a small front to Meson, and the guest that `make run` boots.
#
#   make           build/lhyve; installs packages only if some are missing
#   make run       Debian's cloud kernel to a shell prompt
#   make demo-debian
#                  Debian 12 with systemd, a disk and a network; ssh at
#                  SSH_PORT=2222
#   make check     every test
#   make check-long
#                  programs that run for minutes
#   make check-kvm
#                  what runs on KVM, in a rig of QEMU's where there is none;
#                  JOBS=2: in two of them at once
#   make boot20    twenty boots, each with its seconds
#   make bench-io  disks: lhyve beside QEMU's TCG
#   make bench-debian
#                  an image for more rows of `make bench`
#   make bench     lhyve beside native and QEMU's TCG; BENCH= options
#   make bench-net TCP of a guest beside QEMU's; BENCH= options
#   make bench-start
#                  how soon a guest runs, on KVM and not, beside QEMU's microvm
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
JOBS    ?= 1
SSH_PORT ?= 2222

.DEFAULT_GOAL := all
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: all run debian demo-debian bench-debian bench-io \
    bench-net bench-start check check-kvm check-long \
    boot20 bench asan check-asan fuzz install clean guest \
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

$(GUEST)/debian.img: scripts/make-debian
	@scripts/deps debian
	@scripts/make-debian $(GUEST) e2fsprogs fio xfsprogs

debian: $(GUEST)/debian.img

# The image stays as it was made; what the guest writes is beside it.
demo-debian:
	@scripts/deps build run
	@$(MAKE) --no-print-directory all debian
	@echo "lhyve: root has no password; or: ssh -p $(SSH_PORT)" \
	    "-i $(GUEST)/debian-key root@127.0.0.1"
	@$(BUILD)/lhyve -A -H -c 2 -m 1G -s 0,hostbridge -s 31,lpc \
	    -l com1,stdio -o engine=soft -o kernel=$(GUEST)/debian-vmlinuz \
	    -o initrd=$(GUEST)/debian-initrd \
	    -o cmdline='console=ttyS0 root=/dev/vda rw' \
	    -s 3,virtio-blk,$(GUEST)/debian.img,overlay=$(GUEST)/debian-demo \
	    -s 4,virtio-net,slirp,open,hostfwd=tcp:127.0.0.1:$(SSH_PORT)-:22 \
	    -s 5,virtio-rnd debian || [ $$? -eq 1 ]

check: export LHYVE = $(abspath $(BUILD))/lhyve
check: export LHYVE_GUEST = $(abspath $(GUEST))
check:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@$(MESON) configure $(BUILD) -Dtests=enabled
	@$(MAKE) --no-print-directory all guest guest32 \
	    $(GUEST)/xen debian
	@status=0; \
	$(MESON) test -C $(BUILD) --print-errorlogs || status=1; \
	$(PYTHON) -m pytest tests/lint tests/system || status=1; \
	$(PYTHON) -m pytest tests/rig || status=1; \
	exit $$status

# All tests on KVM, in a rig where the processor has no VT-x or SVM.
check-kvm: export LHYVE = $(abspath $(BUILD))/lhyve
check-kvm: export LHYVE_GUEST = $(abspath $(GUEST))
check-kvm:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@$(MESON) configure $(BUILD) -Dtests=enabled
	@ninja -C $(BUILD)
	@$(MAKE) --no-print-directory all guest
	@$(PYTHON) -m pytest -n $(JOBS) -m "long or not long" tests/rig

check-long: export LHYVE = $(abspath $(BUILD))/lhyve
check-long: export LHYVE_GUEST = $(abspath $(GUEST))
check-long:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory all guest guest32 debian
	@$(PYTHON) -m pytest -m long tests/system

boot20: export LHYVE = $(abspath $(BUILD))/lhyve
boot20: export LHYVE_GUEST = $(abspath $(GUEST))
boot20:
	@scripts/deps build run check
	@$(MAKE) --no-print-directory all guest
	@$(PYTHON) tests/system/boot20

# What the Debian cases of bench/run run in; not needed for the others.
$(GUEST)/bench/debian.img: scripts/make-debian
	@scripts/deps debian
	@scripts/make-debian $(GUEST)/bench gcc libc6-dev luajit nodejs

bench-debian: $(GUEST)/bench/debian.img

# See bench/README.md. BENCH="--quick" and so on.
bench:
	@scripts/deps build run bench
	@$(MAKE) --no-print-directory all $(KERNEL)
	@bench/run --lhyve $(abspath $(BUILD))/lhyve --kernel $(KERNEL) \
	    --memory $(MEMORY) --out $(BUILD)/bench \
	    --debian $(abspath $(GUEST))/bench $(BENCH)

# Disks, lhyve beside QEMU's TCG.
bench-io:
	@scripts/deps build run bench
	@$(MAKE) --no-print-directory all guest
	@bench/io --lhyve $(abspath $(BUILD))/lhyve --guest $(GUEST) \
	    --out $(BUILD)/bench $(BENCH)

# The same for networks.
bench-net:
	@scripts/deps build run bench
	@$(MAKE) --no-print-directory all guest
	@bench/net --lhyve $(abspath $(BUILD))/lhyve --guest $(abspath $(GUEST)) \
	    --out $(BUILD)/bench $(BENCH)

# How soon a guest runs; in a rig where there is no KVM.
bench-start:
	@scripts/deps build run bench
	@$(MAKE) --no-print-directory all guest
	@bench/start --lhyve $(abspath $(BUILD))/lhyve \
	    --guest $(abspath $(GUEST)) --kernel $(abspath $(KERNEL)) \
	    --initrd $(abspath $(INITRD)) --out $(BUILD)/bench $(BENCH)

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
