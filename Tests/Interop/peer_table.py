"""What each real peer was seen to do in a run, as a table: at the end of the output, and in `.build/peers.md`.

A test says whom it is with: `@pytest.mark.peer("aiortc", "watch: by WHEP")`, where "watch" is one of `SCENARIOS`. In place of a peer the
mark may have the name of a parameter whose value is one (or several), and behind the colon may be values of parameters: `"NAT: {kind}"`.

The first table has peers (rows) by scenarios (columns), with how many tests; the second what each of those was.
"""
import collections
import functools
import importlib.metadata
import json
import re
import subprocess

import pytest

MARK = "peer(who, scenario): a real peer, or the name of the test's parameter that has it, and what it does, for the table of peers"

SCENARIOS = ["publish", "watch", "data channels", "trickle", "restart", "TCP only", "relay only", "simulcast", "loss and delay", "NAT",
             "PeerConnection", "TURN server",
             "rooms"]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def newer_ffmpeg():
    import imageio_ffmpeg

    return output(imageio_ffmpeg.get_ffmpeg_exe(), "-version")


# Name → how a person calls it, and where its version stands.
PEERS = {
    "chromium": ("Chromium", lambda: output("chromium", "--version")),
    "firefox": ("Firefox", lambda: output("firefox-esr", "--version")),
    "aiortc": ("aiortc", lambda: importlib.metadata.version("aiortc")),
    "aioice": ("aioice", lambda: importlib.metadata.version("aioice")),
    "pion": ("Pion", lambda: output("dpkg-query", "-W", "-f", "${Version}", "golang-github-pion-webrtc.v3-dev")),
    "coturn": ("coturn", lambda: output("dpkg-query", "-W", "-f", "${Version}", "coturn")),
    "ffmpeg": ("FFmpeg", lambda: output("ffmpeg", "-version")),
    "ffmpeg9": ("FFmpeg", newer_ffmpeg),
    "martlet": ("PeerConnection", str),
}


@functools.cache
def title(peer):
    """A peer and the version of it that is here: "Chromium 156.0"."""
    name, version = PEERS[peer]
    try:
        found = re.search(r"\d+\.\d+", version())
    except (OSError, subprocess.TimeoutExpired, ImportError):
        found = None
    return f"{name} {found[0]}" if found else name


def subjects(item):
    """The peers and scenarios that a test is about."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    for mark in item.iter_markers("peer"):
        who, scenario = mark.args
        value = parameters.get(who, who)
        for peer in [value] if isinstance(value, str) else value:
            if peer not in PEERS:
                raise pytest.UsageError(f"{item.nodeid}: {peer!r} is neither a peer ({', '.join(PEERS)}) nor a parameter of the test")
            if scenario.split(":")[0] not in SCENARIOS:
                raise pytest.UsageError(f"{item.nodeid}: {scenario!r} begins with none of {', '.join(SCENARIOS)}")
            yield peer, scenario.format(**parameters)


def cell(outcomes):
    """The worst comes first; of more than one test, how many."""
    words = [(word, outcomes[word]) for word in ("failed", "passed", "skipped") if outcomes[word]]
    return ", ".join(word if count == 1 and len(words) == 1 else f"{word} {count}" for word, count in words)


def table(columns, rows):
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for name, cells in rows:
        yield f"| {name} | {' | '.join(cells)} |"


class PeerTable:
    """What ran before is added to with `--peers-add`: tests run in several batches, some of them several at a time."""

    def __init__(self, path):
        self.path, self.counted = path, path.with_suffix(".json")
        # What exactly → peer → outcomes, in the order in which the tests came.
        self.scenarios = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))

    def pytest_sessionstart(self, session):
        if not session.config.getoption("--peers-add"):
            self.counted.unlink(missing_ok=True)
        elif self.counted.exists():
            for scenario, peer, outcomes in json.loads(self.counted.read_text()):
                self.scenarios[scenario][peer].update(outcomes)

    def pytest_collection_modifyitems(self, items):
        """A mark that is wrong is told before anything runs."""
        for item in items:
            list(subjects(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        # It goes with the report from the process that ran the test to the one that has the table.
        report.peers = list(subjects(item))
        return report

    def pytest_runtest_logreport(self, report):
        # What a fixture does not get ready is not called; what it does not put away counts too.
        if report.when == "call" or report.outcome != "passed":
            for peer, scenario in report.peers:
                self.scenarios[scenario][peer][report.outcome] += 1

    def outcomes(self, peer, scenario):
        return sum((found[peer] for name, found in self.scenarios.items() if name.split(":")[0] == scenario), collections.Counter())

    def lines(self):
        peers = [peer for peer in PEERS if any(peer in found for found in self.scenarios.values())]
        columns = [scenario for scenario in SCENARIOS if any(name.split(":")[0] == scenario for name in self.scenarios)]
        yield from table(columns, [(title(peer), [cell(self.outcomes(peer, scenario)) for scenario in columns]) for peer in peers])
        yield ""
        names = sorted(self.scenarios, key=lambda name: SCENARIOS.index(name.split(":")[0]))
        yield from table([title(peer) for peer in peers], [(name, [cell(self.scenarios[name][peer]) for peer in peers]) for name in names])

    def pytest_terminal_summary(self, terminalreporter):
        if not self.scenarios:
            return
        text = "\n".join(self.lines())
        self.path.parent.mkdir(exist_ok=True)
        self.counted.write_text(json.dumps([(name, peer, found) for name, of in self.scenarios.items() for peer, found in of.items()]))
        self.path.write_text(text + "\n")
        terminalreporter.section(f"peers ({self.path})")
        terminalreporter.line(text)
