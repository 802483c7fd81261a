# The commands of the README. `make help` lists them.
SWIFT ?= swift
PREFIX ?= /usr/local
# One set of flags everywhere: others would build everything anew. The Swift runtime goes into the binary.
RELEASE = $(SWIFT) build -c release --static-swift-stdlib
PYTEST ?= .build/venv/bin/python -m pytest

SIMULATIONS = ^(Crypto|ICE|PeerEngine|RTP|SCTP|STUN|TestSupport|WebRTC)Tests\.

.PHONY: help run build release examples test unit simulate interop bench fuzz asan tsan lint format install uninstall bootstrap clean

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap: ## Installs the Debian packages that are missing
	@Scripts/bootstrap

run: bootstrap ## Builds and starts the server with its demo stream
	$(RELEASE) --product martlet
	.build/release/martlet demo

build: ## Debug build of everything, with tests
	$(SWIFT) build --build-tests

release: ## The one binary, with the Swift runtime inside
	$(RELEASE) --product martlet

examples: ## The programs of Examples/, which see only the products
	$(SWIFT) build --package-path Examples --scratch-path .build/examples

test: bootstrap lint unit interop ## Everything but long fuzzing and benchmarks

unit: ## Swift tests
	$(SWIFT) test

simulate: ## Simulated networks with SEEDS seeds (default 1000) in place of twenty
	MARTLET_SEEDS=$${SEEDS:-1000} $(SWIFT) test --filter '$(SIMULATIONS)'

interop: examples ## Tests with real peers: ffmpeg, browsers, curl
	$(RELEASE) --product martlet
	$(RELEASE) --product bench
	Scripts/bootstrap --interop
	$(PYTEST) -q -n 3 --dist loadfile --durations=10 -m 'not alone and not paired' Tests/Interop
	$(PYTEST) -q -n 2 --dist loadfile --durations=10 -m paired --peers-add Tests/Interop
	$(PYTEST) -q --durations=20 -m alone --peers-add Tests/Interop

bench: ## Martlet beside its peers, in one run
	Scripts/bootstrap --bench
	$(RELEASE) --product martlet
	$(RELEASE) --product bench
	python3 Benchmarks/run.py

fuzz: ## Every fuzz entry for FUZZ_SECONDS (default 60); `make unit` replays what it found
	Scripts/fuzz $${FUZZ_SECONDS:-60}

asan: ## Swift tests under the address sanitizer
	ASAN_OPTIONS=detect_leaks=0 SWIFT_BACKTRACE=enable=no $(SWIFT) test --sanitize=address --scratch-path .build/asan

tsan: ## Swift tests under the thread sanitizer
	SWIFT_BACKTRACE=enable=no $(SWIFT) test --sanitize=thread --scratch-path .build/tsan

lint: ## Formatting and the rules of the architecture
	$(SWIFT) format lint --strict --recursive Sources Tests Benchmarks Fuzz Examples Package.swift
	python3 Scripts/lint.py

format: ## Formats the sources
	$(SWIFT) format --in-place --recursive Sources Tests Benchmarks Fuzz Examples Package.swift

install: release ## Installs binary, systemd unit and configuration below PREFIX and /etc
	install -D -m 755 .build/release/martlet $(DESTDIR)$(PREFIX)/bin/martlet
	install -D -m 644 Scripts/martlet.service $(DESTDIR)/lib/systemd/system/martlet.service
	getent group martlet >/dev/null || groupadd --system martlet
	test -e $(DESTDIR)/etc/martlet/martlet.yaml || install -D -m 640 -g martlet docs/martlet.example.yaml $(DESTDIR)/etc/martlet/martlet.yaml

uninstall: ## Removes binary and unit; the configuration stays
	rm -f $(DESTDIR)$(PREFIX)/bin/martlet $(DESTDIR)/lib/systemd/system/martlet.service

clean: ## Removes what was built
	rm -rf .build
