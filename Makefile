# The commands of the README. `make help` lists them.
SWIFT ?= swift
PREFIX ?= /usr/local
PYTEST ?= .build/venv/bin/python -m pytest

.PHONY: help run build release test unit interop bench fuzz asan tsan lint format install uninstall bootstrap clean

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap: ## Installs the Debian packages that are missing
	@Scripts/bootstrap

run: bootstrap ## Builds and starts the server with its demo stream
	$(SWIFT) build -c release --product martlet
	.build/release/martlet demo

build: ## Debug build of everything, with tests
	$(SWIFT) build --build-tests

release: ## The one binary, with the Swift runtime inside
	$(SWIFT) build -c release --product martlet --static-swift-stdlib

test: bootstrap lint unit interop ## Everything but long fuzzing and benchmarks

unit: ## Swift tests
	$(SWIFT) test

interop: ## Tests with real peers: ffmpeg, browsers, curl
	$(SWIFT) build -c release --product martlet
	Scripts/bootstrap --interop
	$(PYTEST) -q Tests/Interop

bench: ## Martlet beside its peers, in one run
	Scripts/bootstrap --bench
	$(SWIFT) build -c release --product martlet --product bench
	python3 Benchmarks/run.py

fuzz: ## Every fuzz target for FUZZ_SECONDS (default 60)
	Scripts/fuzz $${FUZZ_SECONDS:-60}

asan: ## Swift tests under the address sanitizer
	SWIFT_BACKTRACE=enable=no $(SWIFT) test --sanitize=address --scratch-path .build/asan

tsan: ## Swift tests under the thread sanitizer
	SWIFT_BACKTRACE=enable=no $(SWIFT) test --sanitize=thread --scratch-path .build/tsan

lint: ## Formatting and the rules of the architecture
	$(SWIFT) format lint --strict --recursive Sources Tests Benchmarks Fuzz Package.swift
	python3 Scripts/lint.py

format: ## Formats the sources
	$(SWIFT) format --in-place --recursive Sources Tests Benchmarks Fuzz Package.swift

install: release ## Installs binary, systemd unit and configuration below PREFIX and /etc
	install -D -m 755 .build/release/martlet $(DESTDIR)$(PREFIX)/bin/martlet
	install -D -m 644 Scripts/martlet.service $(DESTDIR)/lib/systemd/system/martlet.service
	test -e $(DESTDIR)/etc/martlet/martlet.yaml || install -D -m 640 docs/martlet.example.yaml $(DESTDIR)/etc/martlet/martlet.yaml

uninstall: ## Removes binary and unit; the configuration stays
	rm -f $(DESTDIR)$(PREFIX)/bin/martlet $(DESTDIR)/lib/systemd/system/martlet.service

clean: ## Removes what was built
	rm -rf .build
