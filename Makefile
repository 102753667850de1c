# make lab      set up all that is needed and open the console on the lab
# make test     set up all that is needed and run every test
# The other targets are for working on espial.

CARGO ?= cargo
PACKAGES := user-mode-linux kmod iproute2 tcpdump
TOOLS := linux.uml modprobe ip tcpdump cc
# What only the tests compare with.
test bench: PACKAGES += tshark
test bench: TOOLS += tshark
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# A User-Mode Linux kernel and modprobe for the lab; ip and tcpdump are what the kernel tests compare with.
MISSING = $(shell PATH="$$PATH:/usr/sbin:/sbin"; for t in $(TOOLS); do command -v $$t >/dev/null || echo $$t; done)
DEBS = $(PACKAGES) $(if $(filter cc,$(MISSING)),gcc libc6-dev)
NO_APT = Missing: $(MISSING). Install what your system calls $(PACKAGES) and a C linker (User-Mode Linux is Debian's package user-mode-linux).

.PHONY: lab test packages lint docs bench screenshots fuzz

lab: packages
	$(CARGO) build --release --locked
	target/release/espial lab

test: packages target/xfrm_interface.ko
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	$(CARGO) test --locked --no-fail-fast

# Where it cannot be built, the test that needs it says so.
target/xfrm_interface.ko: | packages
	-timeout 600 tests/kernel/xfrm_interface.sh $@

packages:
	@$(if $(MISSING),command -v apt-get >/dev/null || { echo "$(NO_APT)" >&2; exit 1; },:)
	$(if $(MISSING),$(AS_ROOT) apt-get update -q)
	$(if $(MISSING),$(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(DEBS))

docs:
	$(CARGO) doc --locked --no-deps --open

bench: packages
	$(CARGO) bench --locked

screenshots: packages
	$(CARGO) build --locked
	$(CARGO) run --locked --example screenshots

# So many seconds for each target. What they find is in fuzz/artifacts, what they learn in fuzz/corpus.
FUZZ_SECONDS ?= 20
FUZZ_TARGETS := frames esp ah ipcomp keys filter capture
# Besides the seeds, the test data that a target can read as it is.
FUZZ_DATA_keys := tests/data tests/data/vectors tests/data/ip-xfrm-state
FUZZ_DATA_capture := tests/data/vectors fuzz/seeds/capture

fuzz:
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@rustup run nightly rustc --version >/dev/null || { echo "Fuzzing needs a nightly compiler: rustup toolchain install nightly" >&2; exit 1; }
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; seeds=fuzz/seeds/$$target; case $$target in keys) seeds="$(FUZZ_DATA_keys)";; capture) seeds="$(FUZZ_DATA_capture)";; esac; \
		$(CARGO) +nightly fuzz run $$target fuzz/corpus/$$target $$seeds -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -verbosity=0 -print_final_stats=1; \
	done
