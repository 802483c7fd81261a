"""`peer-agent` of Examples, which drives a PeerConnection, and whatever is to be connected to it. One vocabulary for all of them:
`offer`, `answer`, `candidate` and so on take and give what the W3C's API does."""
import itertools
import json
import os
import queue
import subprocess
import threading
import time

from conftest import ROOT

AGENT = os.path.join(os.environ.get("MARTLET_EXAMPLES", ROOT / ".build/examples/debug"), "peer-agent")


class Agent:
    """A process with one PeerConnection. What it reports is kept until somebody waits for it."""

    def __init__(self, **configuration):
        self.process = subprocess.Popen([AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.reports = []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.tell("start", **configuration)

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.reports.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.reports.append({"event": "exit"})
            self.changed.notify_all()

    def tell(self, do, **command):
        self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self.process.stdin.flush()

    def wait(self, event, seconds=30, after=0, **wanted):
        """The first report of this kind, from the one numbered `after` on."""
        end = time.monotonic() + seconds
        position = after
        with self.changed:
            while True:
                for report in itertools.islice(self.reports, position, None):
                    position += 1
                    if report["event"] == "exit":
                        raise AssertionError(f"peer-agent ended: {self.process.stderr.read()}")
                    assert report["event"] != "error" or event == "error", report
                    if report["event"] == event and all(report.get(key) == value for key, value in wanted.items()):
                        return report
                left = end - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    raise AssertionError(f"waited {seconds} s in vain for {event} {wanted}:\n" + "\n".join(map(str, self.reports[-30:])))

    def seen(self, event, **wanted):
        with self.changed:
            return [r for r in self.reports if r["event"] == event and all(r.get(key) == value for key, value in wanted.items())]

    @property
    def position(self):
        with self.changed:
            return len(self.reports)

    def describe(self, do, **command):
        """Makes it describe itself; answers the description with all its candidates, or as it is now (`trickle`)."""
        after = self.position
        self.tell(do, **command)
        return self.wait("description", after=after)

    def statistics(self):
        after = self.position
        self.tell("statistics")
        return self.wait("statistics", after=after)

    def frames(self, kind, count, seconds=30):
        """Waits until so many more frames have come."""
        seen = self.seen("frames", kind=kind)
        wanted = (seen[-1]["frames"] if seen else 0) + count
        end = time.monotonic() + seconds
        while True:
            after = self.position
            if any(r["frames"] >= wanted for r in self.seen("frames", kind=kind)):
                return
            self.wait("frames", seconds=max(0.1, end - time.monotonic()), after=after, kind=kind)

    def close(self):
        self.process.kill()
        self.process.wait()


def pattern(count):
    """The bytes that peer-agent sends, and the sum that it reports of them."""
    return bytes(((i * 31) + (i >> 8)) & 255 for i in range(count))


def checksum(data):
    return sum((i + 1) * byte for i, byte in enumerate(data)) & (1 << 64) - 1
