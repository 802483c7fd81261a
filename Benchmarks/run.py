#!/usr/bin/env python3
"""Martlet beside nginx-rtmp and beside the kernel's own price, on the same work, in turn, in one run.

CPU is user + system time of the server's processes from /proc, over the time in which all viewers are there; the load
generator's is not counted. Every figure is a ratio or a cost per unit of work: wall-clock rates of a shared machine mean
little. `run.py --quick` takes a minute, without options about ten.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

root = pathlib.Path(__file__).resolve().parent.parent
bench = root / ".build/release/bench"
martlet = root / ".build/release/martlet"
ticks = os.sysconf("SC_CLK_TCK")
work = pathlib.Path(tempfile.mkdtemp(prefix="martlet-bench-"))

NGINX = """
worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log; daemon off; user root; {modules}
events {{ worker_connections 4096; }}
rtmp {{ access_log off; server {{ listen {rtmp}; application live {{ live on; }}
  application hls {{ live on; hls on; hls_path {dir}/hls/x; hls_fragment 2s; hls_playlist_length 30s; }} }} }}
http {{ access_log off; sendfile on; server {{ listen {http} reuseport; location / {{ root {dir}/hls; }} }} }}
"""


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


def await_port(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


class Server:
    def __init__(self, name, command, rtmp, http):
        self.name, self.rtmp, self.http = name, rtmp, http
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(work / f"{name}.log", "w"))
        await_port(rtmp)

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
    rtmp, http = free_port(), free_port()
    command = [martlet, "serve", "--http", f"127.0.0.1:{http}", "--rtmp", f"127.0.0.1:{rtmp}", "--https", "off", "--rtmps", "off",
               "--diagnostics", "--log-level", "warning"]
    environment = dict(os.environ, **settings)
    os.environ.update(settings)
    try:
        return Server(name, [str(part) for part in command], rtmp, http)
    finally:
        for key in settings:
            os.environ.pop(key, None)
        del environment


def start_nginx():
    if not shutil.which("nginx"):
        return None
    directory = work / "nginx"
    (directory / "hls" / "x").mkdir(parents=True, exist_ok=True)
    directory.chmod(0o777), work.chmod(0o755), (directory / "hls").chmod(0o777), (directory / "hls" / "x").chmod(0o777)
    modules = "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;"
    rtmp, http = free_port(), free_port()
    (directory / "nginx.conf").write_text(NGINX.format(dir=directory, modules=modules, rtmp=rtmp, http=http))
    return Server("nginx-rtmp", ["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory)], rtmp, http)


def publisher(server, path, bitrate, seconds):
    return subprocess.Popen([bench, "publish", f"127.0.0.1:{server.rtmp}", path, str(bitrate), str(seconds)])


def fan_out(server, kind, viewers, bitrate, seconds):
    """One stream to many viewers; answers the row."""
    nginx = server.name.startswith("nginx")
    source = publisher(server, "hls/bench" if kind == "hls" and nginx else "live/bench", bitrate, int(seconds + viewers * 0.004 + 24))
    time.sleep(2.5)
    if kind == "hls":
        # The first segments.
        if not nginx:
            urllib.request.urlopen(f"http://127.0.0.1:{server.http}/live/bench.m3u8", timeout=20).read()
        time.sleep(7)
    idle = pss(server.pids)
    port = server.rtmp if kind == "rtmp" else server.http
    path = {"rtmp": "live/bench", "http": "live/bench.flv", "hls": "x/bench.m3u8" if nginx else "live/bench/index.m3u8"}[kind]
    view = subprocess.Popen([bench, "view", kind, f"127.0.0.1:{port}", path, str(viewers), str(seconds)], stdout=subprocess.PIPE, text=True)
    view.stdout.readline()
    before, memory = cpu(server.pids), pss(server.pids)
    result = json.loads(view.stdout.readline())
    used = cpu(server.pids) - before
    view.wait()
    source.kill()
    source.wait()
    return row(server.name, kind, viewers, bitrate, result, used, (memory - idle) / viewers)


def floor(viewers, bitrate, interval, seconds):
    port = free_port()
    program = subprocess.Popen([bench, "floor", str(port), str(bitrate), str(interval), str(seconds + int(viewers * 0.004) + 8)])
    await_port(port)
    view = subprocess.Popen([bench, "view", "raw", f"127.0.0.1:{port}", "live/bench", str(viewers), str(seconds)], stdout=subprocess.PIPE, text=True)
    view.stdout.readline()
    before = cpu([program.pid])
    result = json.loads(view.stdout.readline())
    used = cpu([program.pid]) - before
    view.wait()
    program.kill()
    program.wait()
    return row(f"floor-{interval}", "raw", viewers, bitrate, result, used, 0)


def row(name, kind, viewers, bitrate, result, used, memory):
    gigabytes = result["bytes"] / 1e9
    messages = 73 * result["seconds"] * viewers
    return {
        "server": name, "protocol": kind, "viewers": viewers, "bitrate": bitrate,
        "cpu_s_per_gb": round(used / gigabytes, 3) if gigabytes else None,
        "cpu_us_per_message": round(used / messages * 1e6, 2), "latency_p50_ms": round(result["latency_ms"]["p50"], 1),
        "latency_p99_ms": round(result["latency_ms"]["p99"], 1), "join_p50_ms": round(result["join_ms"]["p50"], 1),
        "join_p99_ms": round(result["join_ms"]["p99"], 1), "kib_per_viewer": round(memory, 1), "missed": result["missed"],
        "connected": result["connected"], "closed": result["closed"],
    }


def show(rows):
    columns = list(rows[0])
    widths = [max(len(str(c)), *(len(str(r.get(c))) for r in rows)) for c in columns]
    print("  ".join(c.ljust(w) for c, w in zip(columns, widths)))
    for r in rows:
        print("  ".join(str(r.get(c)).ljust(w) for c, w in zip(columns, widths)))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--viewers", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    if options.quick:
        options.viewers, options.seconds = 100, 5
    rows = []

    def measure(function, *arguments):
        rows.append(function(*arguments))
        show(rows[-1:])

    n, s = options.viewers, options.seconds
    cases = [(n, 4_000_000)] if options.quick else [(n, 4_000_000), (1000, 500_000)]
    for viewers, bitrate in cases:
        for interval in (0, 33):
            measure(floor, viewers, bitrate, interval, s)
        for name, settings in (("martlet", {}), ("martlet-lowest", {"MARTLET_STREAMS_LATENCY": "lowest"}),
                               ("martlet-350ms", {"MARTLET_STREAMS_LATENCY": "350ms"})):
            server = start_martlet(name, **settings)
            try:
                measure(fan_out, server, "rtmp", viewers, bitrate, s)
                if not settings:
                    measure(fan_out, server, "http", viewers, bitrate, s)
                    if bitrate > 1_000_000:
                        measure(fan_out, server, "hls", viewers, bitrate, s)
            finally:
                server.stop()
        nginx = start_nginx()
        if nginx:
            try:
                measure(fan_out, nginx, "rtmp", viewers, bitrate, s)
                if bitrate > 1_000_000:
                    measure(fan_out, nginx, "hls", viewers, bitrate, s)
            finally:
                nginx.stop()
    print()
    show(rows)
    print("allocations of a steady fan-out on the worker's thread:")
    for viewers in (10, 100, 1000):
        subprocess.run([bench, "allocations", str(viewers), "300"], check=True)
    print("UDP, six packets of 1,128 bytes a picture to each peer: CPU of the sending thread")
    subprocess.run([bench, "udp", "50", "200"], check=True)
    results = root / "Benchmarks/results"
    results.mkdir(exist_ok=True)
    (results / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(rows, indent=1))
    shutil.rmtree(work, ignore_errors=True)


main()
