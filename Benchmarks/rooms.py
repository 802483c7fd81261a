"""Rooms beside Janus's: one who speaks to many, ten who all see each other, and sound alone to two hundred."""
import os
import shutil
import time

from harness import pss, show
from network import Namespace
from peerload import Load, Room, VideoRoom, forwarding_costs
from webrtc import fan_out, medians, start_janus, start_martlet

SERVERS = {"martlet": (start_martlet, Room), "janus": (start_janus, VideoRoom)}


def meeting(space, start, signaling, size, bitrate, seconds):
    """All publish, and watch all others."""
    server, load = start(space), Load(space.here)
    try:
        signal = signaling(server)
        idle = pss(server.pids)
        members = [f"m{index}" for index in range(size)]
        signal.meet(load, members, bitrate)
        for peer in members:
            load.event(peer, "video")
        time.sleep(2)
        memory = pss(server.pids) - idle
        used, result = load.measure(server, seconds)
    finally:
        load.close()
        server.stop()
    return {
        "server": server.name, "viewers": f"{size} x {size}", "bitrate": bitrate, **forwarding_costs(used, result),
        "kib_per_viewer": round(memory / len(members), 1),
    }


def run(seconds, quick):
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("rooms: left out, a network namespace needs root and iproute2")
        return []
    names = [name for name in SERVERS if name == "martlet" or shutil.which(name)]
    rows = []
    with Namespace() as space:
        for case in (lambda of: fan_out(space, *of, 50, 1_500_000, seconds), lambda of: meeting(space, *of, 10, 300_000, seconds),
                     lambda of: fan_out(space, *of, 200, 0, seconds)):
            # In turn, so that other load on the machine strikes both.
            for _ in range(1 if quick else 3):
                for name in names:
                    rows.append(case(SERVERS[name]))
                    show(rows[-1:])
    return list(medians(rows))
