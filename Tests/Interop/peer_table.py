"""What each real peer was seen to do in a run, as a table: at the end of the output, and in `.build/peers.md`.

A test says whom it is with: `@pytest.mark.peer("aiortc", "watches by WHEP")`. In place of a peer the mark may have the name of a parameter
whose value is one (or several), and the scenario may have values of parameters in it: `"through a relay by {transport}"`.
"""
import collections
import functools
import importlib.metadata
import re
import subprocess

import pytest

MARK = "peer(who, scenario): a real peer, or the name of the test's parameter that has it, and what it does, for the table of peers"


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
            yield peer, scenario.format(**parameters)


def cell(outcomes):
    """The worst comes first; of more than one test, how many."""
    words = [(word, outcomes[word]) for word in ("failed", "passed", "skipped") if outcomes[word]]
    return ", ".join(word if count == 1 and len(words) == 1 else f"{word} {count}" for word, count in words)


class PeerTable:
    def __init__(self, path):
        self.path = path
        # Scenario → peer → outcomes, in the order in which the tests came.
        self.scenarios = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))

    def pytest_collection_modifyitems(self, items):
        """A mark that is wrong is told before anything runs."""
        for item in items:
            list(subjects(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        # What a fixture does not get ready is not called; what it does not put away counts too.
        if report.when == "call" or report.outcome != "passed":
            for peer, scenario in subjects(item):
                self.scenarios[scenario][peer][report.outcome] += 1
        return report

    def lines(self):
        """Rows are peers, columns scenarios."""
        columns = list(self.scenarios)
        yield f"| | {' | '.join(columns)} |"
        yield f"|---|{'---|' * len(columns)}"
        for peer in PEERS:
            if any(peer in self.scenarios[column] for column in columns):
                yield f"| {title(peer)} | {' | '.join(cell(self.scenarios[column][peer]) for column in columns)} |"

    def pytest_terminal_summary(self, terminalreporter):
        if not self.scenarios:
            return
        text = "\n".join(self.lines())
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text + "\n")
        terminalreporter.section(f"peers ({self.path})")
        terminalreporter.line(text)
