#!/usr/bin/env python3
"""The rules of the architecture that a machine can check.

Layers: nothing below the I/O line imports Foundation, Glibc, Dispatch or the loop, or starts tasks.
Traps: no force-unwrap, `try!`, `as!` or `fatalError` on the wire side.
Size: files up to 800 lines (500 is a warning), tests apart.
`@unchecked Sendable`: exactly where listed.
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
below = [root / "Sources" / "Primitives", root / "Sources" / "Protocols"]
unchecked = {
    "Sources/Runtime/IO/EventLoop.swift",  # the loop handle: a mailbox under a lock
    "Sources/Runtime/IO/ThreadPool.swift",  # a queue under a lock and a semaphore
    "Sources/Runtime/IO/WorkerRing.swift",  # the ring between two workers
    "Sources/Server/Server/Logging/LogWriter.swift",  # a queue under a lock and a semaphore
    "Sources/Protocols/Crypto/TLS/TLSContext.swift",  # an SSL_CTX, which OpenSSL locks itself
    "Sources/Protocols/Crypto/TLS/WireBIO.swift",  # a method table, written once
    "Sources/Protocols/Crypto/DTLS/DTLSIdentity.swift",  # an SSL_CTX, which OpenSSL locks itself
    "Sources/Protocols/Crypto/DTLS/DatagramBIO.swift",  # a method table, written once
}
problems, warnings = [], []


def lines(path):
    return path.read_text().splitlines()


def code(line):
    """The line without string literals and comments."""
    return re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


for path in sorted((root / "Sources").rglob("*.swift")):
    name = str(path.relative_to(root))
    text = lines(path)
    if len(text) > 800:
        problems.append(f"{name}: {len(text)} lines; split it (limit 800)")
    elif len(text) > 500:
        warnings.append(f"{name}: {len(text)} lines")
    is_core = any(folder in path.parents for folder in below)
    for number, line in enumerate(text, 1):
        plain = code(line)
        where = f"{name}:{number}"
        if "@unchecked Sendable" in plain and name not in unchecked:
            problems.append(f"{where}: @unchecked Sendable outside the list in Scripts/lint.py")
        if re.search(r"\b(try!|as!|fatalError\()", plain):
            problems.append(f"{where}: a trap")
        if not is_core:
            continue
        if re.match(r"\s*(\w+ )?import (Foundation|FoundationEssentials|Glibc|Dispatch|MartletIO|Synchronization)\b", plain):
            problems.append(f"{where}: an import from above the I/O line")
        if re.search(r"\b(Task\s*\{|async\b|await\b|ContinuousClock|SuspendingClock|DispatchTime)", plain):
            problems.append(f"{where}: asynchrony or a clock below the I/O line")
        if re.search(r"[A-Za-z0-9_\])]!(\.|\)|,|$| )", plain):
            problems.append(f"{where}: a force-unwrap")

for warning in warnings:
    print(f"lint: note: {warning}")
for problem in problems:
    print(f"lint: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
