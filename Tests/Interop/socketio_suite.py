"""Runs one of the official protocol suites, which are not part of this repository, with Debian's mocha, chai and node-ws.

`MARTLET_SOCKETIO_SUITES` names a folder with check-outs of socketio/engine.io-protocol and socketio/socket.io-protocol.
"""
import os
import pathlib
import re
import shutil
import subprocess

SUITES = os.environ.get("MARTLET_SOCKETIO_SUITES")

# The suites are modules that import packages Debian does not have; what they use of those is little. The ws of Debian 12 emits
# the messages of one segment in one turn, and a suite that waits for one after the other then misses the second.
PRELUDE = """
const chai = require("chai");
chai.use((chai, utils) => chai.Assertion.addMethod("startsWith", function (prefix) {
  this.assert(String(this._obj).startsWith(prefix), "expected #{this} to start with " + prefix, "expected #{this} not to start with " + prefix);
}));
globalThis.chai = chai;
const Plain = require("ws");
globalThis.WebSocket = class extends Plain {
  #queue = [];
  #busy = false;
  emit(name, ...values) {
    if (!["open", "message", "close", "error"].includes(name)) return super.emit(name, ...values);
    this.#queue.push([name, values]);
    this.#next();
    return true;
  }
  #next() {
    if (this.#busy) return;
    const event = this.#queue.shift();
    if (!event) return;
    this.#busy = true;
    setImmediate(() => {
      this.#busy = false;
      this.#next();
    });
    if (event[0] !== "error" || this.listenerCount("error")) super.emit(event[0], ...event[1]);
  }
};
"""


def available():
    return bool(SUITES) and shutil.which("mocha") is not None


def run(name, url, directory):
    """(passed, failed, output) of `engine.io` or `socket.io` against `url`."""
    source = (pathlib.Path(SUITES) / f"{name}-protocol/test-suite/test-suite.js").read_text()
    source = re.sub(r"if \(isNodejs\) \{\s*// make the tests.*?\n\}\n", "", source, count=1, flags=re.S)
    source = source.replace('"http://localhost:3000"', f'"{url}"')
    script = directory / f"{name}-suite.cjs"
    script.write_text(PRELUDE + source)
    result = subprocess.run(["mocha", "--exit", str(script)], capture_output=True, text=True, timeout=120,
                            env=dict(os.environ, NODE_PATH="/usr/share/nodejs"))
    count = {word: int(number) for number, word in re.findall(r"(\d+) (passing|failing)", result.stdout)}
    return count.get("passing", 0), count.get("failing", 0), result.stdout + result.stderr
