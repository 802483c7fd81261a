#!/usr/bin/env python3
"""Martlet beside its peers and beside the kernel's own price, on the same work, in turn, in one run.

`run.py --quick` takes three minutes, without options about twenty; `run.py live`, `messaging`, `webrtc`, `rooms` or `turn` does one part.
"""
import argparse
import json
import shutil
import time

import live
import messaging
import rooms
import turn
import webrtc
from harness import root, show, work


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["live", "messaging", "webrtc", "rooms", "turn"],
                        help="live, messaging, webrtc, rooms, turn; all by default")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    if options.quick:
        options.viewers, options.seconds = 100, 5
    results = {}
    if "live" in options.parts:
        results["live"] = live.run(options.viewers, options.seconds, options.quick)
    if "messaging" in options.parts:
        results["messaging"] = messaging.run(options.seconds, options.quick)
    if "webrtc" in options.parts:
        results["webrtc"], results["data channels"] = webrtc.run(options.seconds, options.quick)
    if "rooms" in options.parts:
        results["rooms"] = rooms.run(options.seconds, options.quick)
    if "turn" in options.parts:
        results["turn"] = turn.run(options.seconds, options.quick)
    for name, rows in ((name, rows) for name, rows in results.items() if rows):
        print(f"\n{name}")
        show(rows)
    folder = root / "Benchmarks/results"
    folder.mkdir(exist_ok=True)
    (folder / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(results, indent=1))
    shutil.rmtree(work, ignore_errors=True)


main()
