"""WebRTC: one publisher to many viewers beside Janus, and data channels, both servers in the same namespace in turn."""
import os
import shutil
import statistics
import time

from harness import Server, cpu, free_port, martlet, pss, show, work
from network import Namespace
from peerload import Load, VideoRoom, WHIP, forwarding_costs

JANUS = {
    "janus.jcfg": """
general: {{ configs_folder = "{dir}"  plugins_folder = "{lib}/plugins"  transports_folder = "{lib}/transports"
  events_folder = "{lib}/events"  loggers_folder = "{lib}/loggers"  debug_level = 2  session_timeout = 0  event_loops = 2 }}
media: {{ min_nack_queue = 200 }}
nat: {{ ice_lite = true  ice_tcp = false }}
""",
    "janus.transport.http.jcfg": """
general: {{ json = "compact"  base_path = "/janus"  http = true  port = {http}  https = false }}
admin: {{ admin_http = false  admin_https = false }}
""",
    "janus.plugin.videoroom.jcfg": """
room-1234: {{ description = "bench"  publishers = 20  bitrate = 0  fir_freq = 0  record = false  videocodec = "vp8"  audiocodec = "opus" }}
""",
}
JANUS_LIBRARIES = "/usr/lib/x86_64-linux-gnu/janus"


def start_martlet(space):
    http = free_port()
    command = space.command(
        martlet, "serve", "--http", f"{space.there}:{http}", "--https", "off", "--rtmp", "off", "--rtmps", "off", "--turn", "off", "--turns", "off",
        "--webrtc",
        f"{space.there}:8189", "--diagnostics", "--log-level", "warning")
    rooms = {"MARTLET_ROOMS_TOPOLOGY": "sfu", "MARTLET_ROOMS_PER_ADDRESS": "0", "MARTLET_ROOMS_GRACE": "1h"}
    return Server("martlet", command, http, http, dict(os.environ, **rooms), space.there)


def start_janus(space):
    directory = work / "janus"
    directory.mkdir(exist_ok=True)
    http = free_port()
    for name, text in JANUS.items():
        (directory / name).write_text(text.format(dir=directory, lib=JANUS_LIBRARIES, http=http))
    return Server("janus", space.command("janus", "-F", directory), http, http, dict(os.environ), space.there)


SERVERS = {"martlet": (start_martlet, WHIP), "janus": (start_janus, VideoRoom)}


def _join(signal, load, name, feedback, bitrate):
    """Milliseconds from the request to the first packet of pictures, and to the first key frame; of sound where there is no picture."""
    asked = signal.watch(load, name, feedback, bitrate)
    first, key = ("video", "key") if bitrate else ("audio", None)
    first = (load.event(name, first)["at"] - asked) / 1e6
    return first, (load.event(name, key)["at"] - asked) / 1e6 if key else first


def fan_out(space, start, signaling, viewers, bitrate, seconds, feedback=False):
    """One publisher to `viewers`, who join one after the other; with feedback they report on every packet, as browsers do."""
    server, load = start(space), Load(space.here)
    try:
        signal = signaling(server)
        signal.publish(load, bitrate)
        load.event("publisher", "connected")
        # A room's publisher is there some time after it is connected.
        time.sleep(1.5)
        # The first viewers bring what there is once for all, on every worker.
        first = min(5, viewers // 2)
        for index in range(first):
            _join(signal, load, f"v{index}", feedback, bitrate)
        time.sleep(2)
        idle = pss(server.pids)
        load.say("measure")
        before = cpu(server.pids)
        times = [_join(signal, load, f"v{index}", feedback, bitrate) for index in range(first, viewers)]
        joining, joined = cpu(server.pids) - before, load.report()
        time.sleep(1)
        memory = pss(server.pids) - idle
        used, result = load.measure(server, seconds)
    finally:
        load.close()
        server.stop()
    per_packet = used / result["packets"]
    joins, keys = [first for first, _ in times], [key for _, key in times]
    return {
        "server": server.name + (" with feedback" if feedback else ""), "viewers": viewers, "bitrate": bitrate,
        **forwarding_costs(used, result), "join_p50_ms": round(statistics.median(joins), 1), "join_max_ms": round(max(joins), 1),
        "key_frame_p50_ms": round(statistics.median(keys), 1),
        # Less what the viewers who had joined got meanwhile.
        "cpu_ms_per_join": round(max(0, joining - joined["packets"] * per_packet) / len(joins) * 1e3, 2),
        "kib_per_viewer": round(memory / len(joins), 1),
    }


def channel(space, label, size, seconds):
    """Messages as fast as they go, in one channel: to a sink, or there and back."""
    server, load = start_martlet(space), Load(space.here)
    try:
        WHIP(server).open_channel(load, "d", label, size)
        load.event("d", "open")
        load.say("measure")
        time.sleep(1)
        load.say("measure")
        ours, theirs = cpu(server.pids), cpu([load.process.pid])
        time.sleep(seconds)
        ours, theirs, result = cpu(server.pids) - ours, cpu([load.process.pid]) - theirs, load.report()
        load.say("stop")
        if label == "sink":
            confirmed = load.event("d", "report", timeout=30)
            if confirmed["sent"] != confirmed["received"]:
                raise SystemExit(f"a sink got {confirmed['received']} of {confirmed['sent']} bytes")
    finally:
        load.close()
        server.stop()
    mib = result["data_bytes"] / (1 << 20)
    return {
        "server": "martlet", "work": f"data channel, {label}, {size >> 10} KiB", "mbit_per_s": round(result["data_bytes"] * 8e-6 / result["seconds"]),
        "server_cpu_s_per_mib": round(ours / mib, 4), "both_ends_cpu_s_per_mib": round((ours + theirs) / mib, 4),
    }


def idle_channels(space, count):
    server, load = start_martlet(space), Load(space.here)
    try:
        signal = WHIP(server)
        # The first brings what is there once.
        signal.open_channel(load, "first", "idle", 1)
        load.event("first", "open")
        before = pss(server.pids)
        for index in range(count):
            signal.open_channel(load, f"d{index}", "idle", 1)
            load.event(f"d{index}", "open")
        time.sleep(2)
        memory = pss(server.pids) - before
    finally:
        load.close()
        server.stop()
    return {"server": "martlet", "work": "idle data channel", "sessions": count, "kib_per_session": round(memory / count, 1)}


def medians(rows):
    """One row for each server and case; of the figures the medians, and Martlet's share of its peer's."""
    cases = {}
    for row in rows:
        cases.setdefault((row["viewers"], row["bitrate"]), {}).setdefault(row["server"], []).append(row)
    for servers in cases.values():
        best = {}
        for name, found in servers.items():
            best[name] = {key: value if isinstance(value, str) else round(statistics.median(r[key] for r in found), 2) for key, value in found[0].items()}
            yield dict(best[name], server=f"{name}, median of {len(found)}")
        if "janus" in best:
            of = {key: round(best["martlet"][key] / best["janus"][key], 3) for key in best["janus"]
                  if key not in ("server", "viewers", "bitrate", "packets_per_s", "missed", "sent_again") and best["janus"][key]}
            yield dict(of, server="martlet / janus", viewers=best["martlet"]["viewers"], bitrate=best["martlet"]["bitrate"])


def run(seconds, quick):
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("webrtc: left out, a network namespace needs root and iproute2")
        return [], []
    names = [name for name in SERVERS if name == "martlet" or shutil.which(name)]
    cases = [(10, 1_500_000), (50, 1_500_000)] + ([] if quick else [(100, 300_000)])
    rows, channels = [], []
    with Namespace() as space:
        for viewers, bitrate in cases:
            # In turn, so that other load on the machine strikes both.
            for _ in range(1 if quick else 3):
                for name in names:
                    rows.append(fan_out(space, *SERVERS[name], viewers, bitrate, seconds))
                    show(rows[-1:])
                rows.append(fan_out(space, *SERVERS["martlet"], viewers, bitrate, seconds, feedback=True))
                show(rows[-1:])
        for label, size in (("sink", 16384), ("sink", 65536), ("echo", 16384)):
            channels.append(channel(space, label, size, seconds))
            show(channels[-1:])
        channels.append(idle_channels(space, 200 if quick else 1000))
        show(channels[-1:])
    return list(medians(rows)), channels
