"""People come and go, talk, watch and change the topology, for a minute or for MARTLET_SOAK seconds: the server's memory is flat once it has
seen everything, and nobody is left behind."""
import json
import os
import random
import statistics
import subprocess
import time

import pytest
from browsers import Chromium
from conftest import start_server, stop_server, wait_for
from peers import pion_program
from test_examples import example, lines_of
from test_rooms import Member, post
from test_rooms_browser import join, until
from webrtc import CHROMIUM

pytestmark = pytest.mark.paired

__all__ = ["example"]

SECONDS = float(os.environ.get("MARTLET_SOAK", "60"))
BOTS = 3
# What one round may leave in the allocator's hands.
SLACK = 4 << 20


@pytest.fixture
def server(tmp_path):
    # What channels remember is all that may grow, for a few rounds.
    server = start_server(
        tmp_path, "--workers", "2",
        configuration="rooms: {topology: mesh, grace: 3s}\nchannels: {history: 20, age: 5s, idle: 5s}\n")
    yield server
    stop_server(server)


def memory(server):
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


def participants(server, room):
    rooms = {each["name"]: each for each in server.api("/rooms")["rooms"]}
    return len(rooms[room]["participants"]) if room in rooms else 0


def visit(server, dice):
    """Some come, say something, and go: with a word, or without one."""
    visitors = [Member(server, "soak", f"visitor {n}", supernode=False) for n in range(dice.randint(2, 6))]
    for visitor in visitors:
        assert visitor.do("say", data="x" * dice.randint(1, 2000))["ok"]
        assert visitor.do("set", info={"n": dice.random()}, muted=["camera"])["ok"]
        visitor.do("offer", to=dice.choice(visitors).id, sdp="v=0")
    for visitor in visitors[1:]:
        visitor.do("leave")
    for visitor in visitors:
        visitor.socket.close_socket()


def watch(server, of):
    """Some watch what is passed on, for a moment."""
    command = [pion_program("pion-room"), server.url("").rstrip("/"), "soak", of, "4", "30"]
    bots = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(4):
            report = json.loads(bots.stdout.readline())
            assert report["event"] == "received", report
        bots.stdin.close()
        bots.wait(30)
    finally:
        bots.kill()
        bots.wait()


def test_memory_is_flat_and_nobody_is_left_behind(server, example):
    dice = random.Random(6)
    ada = Chromium(flags=CHROMIUM)
    try:
        join({"ada": ada}, server, "soak", "ada", "{ video: { width: 320, height: 240, frameRate: 10 } }")
        for n in range(BOTS):
            lines_of(example("room-bot", server.url(""), "soak", f"bot {n}"))(lambda line: line.startswith("joined"))
        readings = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or len(readings) < 6:
            ada.evaluate("room.moderate('topology', { topology: 'sfu' })")
            wait_for(lambda: server.live(f"rooms/soak/{ada.own}"), 30)
            watch(server, ada.own)
            visit(server, dice)
            ada.evaluate("room.moderate('topology', { topology: 'mesh' })")
            visit(server, dice)
            ada.evaluate(f"room.say('round {len(readings)}')")
            until(ada, f"log.filter(([type, , data]) => type === 'message' && data === 'You said: round {len(readings)}').length >= {BOTS}")
            until(ada, f"room.participants.size === {BOTS}", 40)
            readings.append(memory(server))
        third = len(readings) // 3
        before, after = statistics.median(readings[third:2 * third]), statistics.median(readings[2 * third:])
        assert after - before < SLACK + before * 0.02, [reading >> 10 for reading in readings]
        ada.evaluate("room.leave()")
    finally:
        ada.close()
    # The bots stay, until they do not.
    assert participants(server, "soak") == BOTS
    assert post(server, "soak", do="join", name="last")[1]["ok"]
