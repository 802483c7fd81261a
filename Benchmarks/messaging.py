"""Messages beside nchan, node-ws, python-socketio, nginx and the kernel's own price."""
import json
import shutil
import subprocess
import time

from harness import Server, await_port, bench, cpu, free_port, pss, root, show, start_martlet, work
from resume import resume

NCHAN = """
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
worker_processes 2; pid {dir}/nchan.pid; error_log {dir}/nchan-error.log; daemon off; user root; worker_rlimit_nofile 20000;
events {{ worker_connections 19500; }}
http {{ access_log off; keepalive_requests 100000000; nchan_max_reserved_memory 256M; server {{ listen {http} backlog=4096;
  location = /ws {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_websocket_ping_interval 0; nchan_subscriber_first_message newest; }}
  location = /deflate {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
  location = /sse {{ nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }}
  location = /pub {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; {deflate} }}
  location = /kept {{ nchan_subscriber eventsource; nchan_channel_id kept; nchan_subscriber_first_message oldest; }}
  location = /keep {{ nchan_publisher; nchan_channel_id kept; nchan_message_buffer_length 200000; nchan_message_timeout 0; }}
  location = /hello {{ default_type text/plain; return 200 "Hello world\\n"; }} }} }}
"""

SOCKETIO = "/socket.io/?EIO=4&transport=websocket"


def start_nchan(name="nchan", deflate=False):
    directory = work / name
    directory.mkdir(exist_ok=True)
    work.chmod(0o755)
    http = free_port()
    option = "nchan_deflate_message_for_websocket on;" if deflate else ""
    (directory / "nginx.conf").write_text(NCHAN.format(dir=directory, http=http, deflate=option))
    return Server(name, ["nginx", "-c", str(directory / "nginx.conf"), "-p", str(directory)], http, http)


def start_script(name, *command):
    """A peer of Benchmarks/peers, which takes its port as the last argument."""
    http = free_port()
    return Server(name, [*command, str(http)], http, http)


def start_node():
    return start_script("node-ws", "node", str(root / "Benchmarks/peers/ws.cjs"))


def start_socketio():
    return start_script("python-socketio", str(root / ".build/venv/bin/python"), str(root / "Benchmarks/peers/socketio_server.py"))


def measure(pids, command):
    """The load generator's result, and the CPU seconds that the server spent meanwhile."""
    load = subprocess.Popen([str(part) for part in [bench, *command]], stdout=subprocess.PIPE, text=True)
    load.stdout.readline()
    before, memory = cpu(pids()), pss(pids())
    result = json.loads(load.stdout.readline())
    used = cpu(pids()) - before
    load.wait()
    return result, used, memory


def row(server, work_name, clients, result, used, **more):
    count = result["deliveries"]
    return {
        "server": server, "work": work_name, "clients": clients, "us_per_message": round(used / count * 1e6, 2) if count else None,
        "per_second": round(count / result["seconds"]), "connected": result["connected"], "closed": result["closed"],
        "missed": max(0, result["published"] * clients - count) if result["published"] else 0, **more}


def fan_out(server, kind, subscribe, publish, clients, rate, size, seconds):
    result, used, _ = measure(lambda: server.pids, [
        "fanout", kind, f"127.0.0.1:{server.http}", subscribe, publish, clients, rate, size, seconds])
    pace = f"{rate}/s" if rate else "saturated"
    # At either end of a run a message or two is still under way.
    answer = row(server.name, f"{kind} fan-out {size} B {pace}", clients, result, used)
    answer["missed"] = 0 if answer["missed"] <= 32 * clients else answer["missed"]
    return answer


def echo(server, path, size, seconds, clients=100):
    result, used, _ = measure(lambda: server.pids, ["echo", f"127.0.0.1:{server.http}", path, size, clients, seconds])
    return row(server.name, f"ws echo {size} B", clients, result, used)


def idle(server, kind, path, clients):
    before = pss(server.pids)
    _, used, after = measure(lambda: server.pids, ["idle", kind, f"127.0.0.1:{server.http}", path, clients, 2])
    return {"server": server.name, "work": f"idle {kind}", "clients": clients, "bytes_per_connection": round((after - before) * 1024 / clients)}


def get(server, path, seconds):
    """Small GETs over kept-alive connections, by wrk."""
    load = subprocess.Popen(["wrk", "-t1", "-c100", f"-d{seconds}s", f"http://127.0.0.1:{server.http}{path}"], stdout=subprocess.PIPE, text=True)
    before = cpu(server.pids)
    text = load.communicate()[0]
    used = cpu(server.pids) - before
    count = int(next(line.split()[0] for line in text.splitlines() if "requests in" in line))
    return {"server": server.name, "work": "GET 12 B", "clients": 100, "us_per_message": round(used / count * 1e6, 2), "per_second": count // seconds}


def floor(clients, rate, seconds):
    """One `send` of 132 bytes to each subscriber."""
    port = free_port()
    program = subprocess.Popen([str(bench), "floor", str(port), str(132 * 8 * rate), str(1000 // rate), str(seconds + clients // 1000 + 9)])
    try:
        await_port(port)
        result, used, _ = measure(lambda: [program.pid], ["fanout", "raw", f"127.0.0.1:{port}", "/", "-", clients, 0, 132, seconds])
        return row("floor (one send each)", f"raw fan-out 132 B {rate}/s", clients, result, used)
    finally:
        program.kill()
        program.wait()


def with_server(start, *tasks):
    server = start()
    try:
        for task in tasks:
            yield task(server)
    finally:
        server.stop()


def run(seconds, quick):
    rows = []
    counts = [1000] if quick else [1000, 5000]
    idle_count = 5000 if quick else 19_000
    events = 20_000 if quick else 100_000

    def cases(ws, publish, kind="ws", echo_path=None):
        tasks = []
        for size in (64, 1024, 65536) if echo_path else ():
            tasks.append(lambda s, size=size: echo(s, echo_path, size, seconds))
        for count in counts:
            tasks.append(lambda s, count=count: fan_out(s, kind, ws, publish, count, 20, 128, seconds))
        tasks.append(lambda s: fan_out(s, kind, ws, publish, 1000, 0, 128, seconds))
        return tasks

    def collect(start, *tasks):
        for answer in with_server(start, *tasks):
            rows.append(answer)
            show(rows[-1:])

    for count in counts:
        rows.append(floor(count, 20, seconds))
        show(rows[-1:])
    sse = [lambda s, n=n: fan_out(s, "sse", "/channels/bench/events", "/channels/bench", n, 20, 128, seconds) for n in counts]
    collect(start_martlet, *cases("/ws", "/channels/bench", "martlet", "/diag/echo"), *sse,
            lambda s: fan_out(s, "deflate", "/ws", "/channels/bench", 1000, 20, 1024, seconds), lambda s: get(s, "/diag/hello", seconds),
            lambda s: fan_out(s, "socketio", SOCKETIO, "/channels/bench", 1000, 20, 128, seconds))
    collect(lambda: start_martlet("martlet-history", MARTLET_CHANNELS_HISTORY="200000", MARTLET_CHANNELS_BYTES="256MiB"),
            lambda s: resume(s, "/channels/kept/events", "/channels/kept", events))
    collect(lambda: start_martlet("martlet-idle"), lambda s: idle(s, "ws", "/ws", idle_count))
    collect(lambda: start_martlet("martlet-idle"), lambda s: idle(s, "martlet", "/ws", idle_count))
    if shutil.which("nginx"):
        sse = [lambda s, n=n: fan_out(s, "sse", "/sse", "/pub", n, 20, 128, seconds) for n in counts]
        collect(start_nchan, *cases("/ws", "/pub"), *sse, lambda s: get(s, "/hello", seconds))
        collect(lambda: start_nchan("nchan-deflate", True), lambda s: fan_out(s, "deflate", "/deflate", "/pub", 1000, 20, 1024, seconds))
        collect(lambda: start_nchan("nchan-history"), lambda s: resume(s, "/kept", "/keep", events))
        collect(lambda: start_nchan("nchan-idle"), lambda s: idle(s, "ws", "/ws", idle_count))
    if shutil.which("node"):
        collect(start_node, *cases("/ws", "/pub", echo_path="/echo"), lambda s: fan_out(s, "deflate", "/deflate", "/pub", 1000, 20, 1024, seconds))
        collect(start_node, lambda s: idle(s, "ws", "/ws", idle_count))
    if (root / ".build/venv/bin/python").exists():
        collect(start_socketio, lambda s: fan_out(s, "socketio", SOCKETIO, "/pub", 1000, 20, 128, seconds))
    return rows
