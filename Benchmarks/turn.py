"""The TURN server beside coturn and a bare program that only moves datagrams, all on loopback with one thread, in turn."""
import json
import resource
import shutil
import statistics
import subprocess
import time

from harness import bench, cpu, children, free_port, martlet, pss, show, work

USER, PASSWORD = "bench", "password"
# A descriptor for each of many allocations, here and in the servers.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


class Relay:
    """A server of datagrams, ready when it answers a STUN Binding or after a moment."""

    def __init__(self, name, command, port, environment=None):
        self.name, self.port = name, port
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, cwd=work,
                                        stderr=open(work / f"turn-{name}.log", "w"), env=environment)
        time.sleep(1.5)
        if self.process.poll() is not None:
            raise SystemExit(f"{name} ended: see {work}/turn-{name}.log")

    @property
    def pids(self):
        return children(self.process.pid)

    def stop(self):
        self.process.kill()
        self.process.wait()


def start_martlet():
    port = free_port()
    configuration = work / "turn.yaml"
    configuration.write_text(f"""
workers: 1
listeners: {{http: off, https: off, rtmp: off, rtmps: off, webrtc: off, turn: "127.0.0.1:{port}", turns: off}}
log: {{level: warning}}
turn:
  realm: bench
  users: [{{name: {USER}, password: {PASSWORD}}}]
  peers: {{allow: [127.0.0.0/8]}}
  limits: {{allocations_per_user: 20000, allocations_per_address: 20000, allocations: 20000, bandwidth: 0, user_bandwidth: 0}}
""")
    return Relay("martlet", [martlet, "serve", "--config", configuration], port)


def start_coturn():
    port = free_port()
    return Relay("coturn", [
        "turnserver", "-n", "--lt-cred-mech", "-u", f"{USER}:{PASSWORD}", "-r", "bench", "--no-tls", "--no-dtls", "--no-cli",
        "--allow-loopback-peers", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", port, "-m", 1, "--log-file", "stdout",
        "--pidfile", work / "coturn.pid", "--userdb", work / "coturn.db"], port)


def start_floor():
    port = free_port()
    return Relay("floor", [bench, "turn", "floor", port], port)


SERVERS = {"martlet": start_martlet, "coturn": start_coturn, "floor": start_floor}


def load(server, *arguments):
    """CPU seconds of the server while the load runs, and what the load counted."""
    program = subprocess.Popen([str(part) for part in (bench, "turn", *arguments)], stdout=subprocess.PIPE, text=True)
    if program.stdout.readline().strip() != "ready":
        raise SystemExit(f"{server.name}: {program.stdout.read()}")
    before = cpu(server.pids)
    result = json.loads(program.stdout.readline())
    used = cpu(server.pids) - before
    program.wait()
    return used, result


def relay(name, pairs, rate, size, seconds):
    """Datagrams through `pairs` allocations both ways, `rate` a second each way, or as many as go where it is 0."""
    server = SERVERS[name]()
    try:
        kind = "floor-relay" if name == "floor" else "relay"
        used, result = load(server, kind, f"127.0.0.1:{server.port}", USER, PASSWORD, pairs, rate, size, seconds)
    finally:
        server.stop()
    work = f"{pairs} pairs x {rate}/s, {size} B" if rate else f"{pairs} pairs, as fast as it goes, {size} B"
    return {"work": work, "server": name, "us_per_operation": round(used / max(1, result["received"]) * 1e6, 2),
            "operations_per_s": round(result["received"] / result["seconds"]), "loss_percent": round(100 * result["loss"], 3)}


def bindings(name, seconds):
    server = SERVERS[name]()
    try:
        used, result = load(server, "bindings", f"127.0.0.1:{server.port}", 8, seconds)
    finally:
        server.stop()
    return {"work": "Binding", "server": name, "us_per_operation": round(used / max(1, result["received"]) * 1e6, 2),
            "operations_per_s": round(result["received"] / result["seconds"]), "loss_percent": round(100 * result["loss"], 3)}


def allocations(name, count):
    server = SERVERS[name]()
    try:
        program = subprocess.Popen([bench, "turn", "hold", f"127.0.0.1:{server.port}", USER, PASSWORD, str(count)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

        def expect(word):
            answer = program.stdout.readline().strip()
            if answer != word:
                raise SystemExit(f"{name}: {answer}")

        # The first one brings what there is once.
        expect("first")
        memory, used = pss(server.pids), cpu(server.pids)
        program.stdin.write("\n")
        expect("ready")
        memory, used = pss(server.pids) - memory, cpu(server.pids) - used
        program.stdin.close()
        program.wait()
    finally:
        server.stop()
    return {"work": f"{count} allocations", "server": name, "us_per_operation": round(used / count * 1e6, 1),
            "kib_per_allocation": round(memory / count, 2)}


def medians(rows):
    """One row for each server and kind of work, and Martlet's share of the others' cost."""
    works = {}
    for row in rows:
        works.setdefault(row["work"], {}).setdefault(row["server"], []).append(row)
    for servers in works.values():
        middle = {}
        for name, found in servers.items():
            middle[name] = {key: value if isinstance(value, str) else round(statistics.median(r[key] for r in found), 3)
                            for key, value in found[0].items()}
            yield dict(middle[name], server=f"{name}, median of {len(found)}")
        for other in ("coturn", "floor"):
            if "martlet" in middle and other in middle:
                ratios = {key: round(middle["martlet"][key] / middle[other][key], 2)
                          for key in ("us_per_operation", "operations_per_s", "kib_per_allocation") if middle[other].get(key)}
                yield {"work": middle["martlet"]["work"], "server": f"martlet / {other}", **ratios}


def run(seconds, quick):
    names = [name for name in SERVERS if name != "coturn" or shutil.which("turnserver")]
    rows = []

    def measure(function, *arguments):
        rows.append(function(*arguments))
        show(rows[-1:])

    relays = [(10, 500, 1100), (10, 500, 172), (100, 50, 172), (10, 0, 1100), (10, 0, 172)]
    for _ in range(1 if quick else 3):
        for pairs, rate, size in relays:
            # In turn, so that other load on the machine strikes all.
            for name in names:
                measure(relay, name, pairs, rate, size, seconds)
        for name in names:
            measure(bindings, name, seconds)
    for count in (2000, 10000):
        for name in names:
            if name != "floor":
                measure(allocations, name, count)
    return list(medians(rows))
