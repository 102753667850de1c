# make lab      set up all that is needed and open the console on the lab
# make test     set up all that is needed and run every test
# The other targets are for working on espial.

CARGO ?= cargo
PACKAGES := user-mode-linux kmod iproute2 tcpdump
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# A User-Mode Linux kernel and modprobe for the lab; ip and tcpdump are what the kernel tests compare with.
MISSING = $(shell PATH="$$PATH:/usr/sbin:/sbin"; for t in linux.uml modprobe ip tcpdump cc; do command -v $$t >/dev/null || echo $$t; done)

.PHONY: lab test packages lint docs bench screenshots

lab: packages
	$(CARGO) build --release --locked
	target/release/espial lab

test: packages
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	$(CARGO) test --locked

packages:
ifneq ($(MISSING),)
	@command -v apt-get >/dev/null || { echo "Missing: $(MISSING). Install what your system calls $(PACKAGES) and a C linker (User-Mode Linux is Debian's package user-mode-linux)." >&2; exit 1; }
	$(AS_ROOT) apt-get update -q
	$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PACKAGES) $(if $(filter cc,$(MISSING)),gcc libc6-dev)
endif

docs:
	$(CARGO) doc --locked --no-deps --open

bench: packages
	$(CARGO) bench --locked

screenshots: packages
	$(CARGO) run --locked --example screenshots
