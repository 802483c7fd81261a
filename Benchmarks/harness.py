"""What every benchmark needs: servers on free ports, and what they cost.

CPU is user + system time of a server's processes from /proc, over the time in which all clients are there; the load
generator's is not counted. Every figure is a ratio or a cost per unit of work: wall-clock rates of a shared machine mean
little.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
bench = root / ".build/release/bench"
martlet = root / ".build/release/martlet"
ticks = os.sysconf("SC_CLK_TCK")
work = pathlib.Path(tempfile.mkdtemp(prefix="martlet-bench-"))


def cpu(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / ticks


def pss(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def await_port(port, host="127.0.0.1"):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {host}:{port}")


class Server:
    """A server process. `rtmp` may be the port of HTTP where there is no other."""

    def __init__(self, name, command, rtmp, http, environment=None, host="127.0.0.1"):
        self.name, self.host, self.rtmp, self.http = name, host, rtmp, http
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=open(work / f"{name}.log", "w"), env=environment)
        await_port(rtmp, host)

    @property
    def pids(self):
        return children(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def start_martlet(name="martlet", **settings):
    """Settings are environment variables: MARTLET_STREAMS_LATENCY."""
    rtmp, http = free_port(), free_port()
    command = [str(martlet), "serve", "--http", f"127.0.0.1:{http}", "--rtmp", f"127.0.0.1:{rtmp}", "--https", "off", "--rtmps", "off",
               "--turn", "off", "--turns", "off", "--diagnostics", "--log-level", "warning"]
    return Server(name, command, rtmp, http, dict(os.environ, **settings))


def show(rows):
    columns = list(dict.fromkeys(name for r in rows for name in r))
    widths = [max(len(str(c)), *(len(str(r.get(c, ""))) for r in rows)) for c in columns]
    print("  ".join(c.ljust(w) for c, w in zip(columns, widths)))
    for r in rows:
        print("  ".join(str(r.get(c, "")).ljust(w) for c, w in zip(columns, widths)))
    sys.stdout.flush()
