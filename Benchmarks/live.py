"""Live streams beside nginx-rtmp and beside the kernel's own price."""
import json
import shutil
import subprocess
import time
import urllib.request

from harness import Server, await_port, bench, cpu, free_port, pss, show, start_martlet, work

NGINX = """
worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log; daemon off; user root; {modules}
events {{ worker_connections 4096; }}
rtmp {{ access_log off; server {{ listen {rtmp}; application live {{ live on; }}
  application hls {{ live on; hls on; hls_path {dir}/hls/x; hls_fragment 2s; hls_playlist_length 30s; }} }} }}
http {{ access_log off; sendfile on; server {{ listen {http} reuseport; location / {{ root {dir}/hls; }} }} }}
"""


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


def run(viewers, seconds, quick):
    rows = []

    def measure(function, *arguments):
        rows.append(function(*arguments))
        show(rows[-1:])

    cases = [(viewers, 4_000_000)] if quick else [(viewers, 4_000_000), (1000, 500_000)]
    for viewers, bitrate in cases:
        for interval in (0, 33):
            measure(floor, viewers, bitrate, interval, seconds)
        for name, settings in (("martlet", {}), ("martlet-lowest", {"MARTLET_STREAMS_LATENCY": "lowest"}),
                               ("martlet-350ms", {"MARTLET_STREAMS_LATENCY": "350ms"})):
            server = start_martlet(name, **settings)
            try:
                measure(fan_out, server, "rtmp", viewers, bitrate, seconds)
                if not settings:
                    measure(fan_out, server, "http", viewers, bitrate, seconds)
                    if bitrate > 1_000_000:
                        measure(fan_out, server, "hls", viewers, bitrate, seconds)
            finally:
                server.stop()
        nginx = start_nginx()
        if nginx:
            try:
                measure(fan_out, nginx, "rtmp", viewers, bitrate, seconds)
                if bitrate > 1_000_000:
                    measure(fan_out, nginx, "hls", viewers, bitrate, seconds)
            finally:
                nginx.stop()
    print("allocations of a steady fan-out on the worker's thread:")
    for viewers in (10, 100, 1000):
        subprocess.run([bench, "allocations", str(viewers), "300"], check=True)
    print("UDP, six packets of 1,128 bytes a picture to each peer: CPU of the sending thread")
    subprocess.run([bench, "udp", "50", "200"], check=True)
    return rows
