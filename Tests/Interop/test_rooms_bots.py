"""Fifty in one room, by the documented protocol: a browser publishes, Pion and aiortc receive what the server passes on."""
import contextlib
import json
import re
import subprocess
import threading

import pytest
from browsers import Chromium
from conftest import start_server, stop_server, wait_for
from peers import Aiortc, pion_program
from test_rooms import Member
from test_rooms_browser import join, until
from webrtc import CHROMIUM
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.alone

PION, AIORTC = 47, 2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("server"), configuration="rooms: {topology: sfu}\n")
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def ada():
    browser = Chromium(flags=CHROMIUM)
    yield browser
    browser.close()


class Viewer:
    """An aiortc connection that decodes what the server passes on of a participant."""

    def __init__(self, server, room, of):
        self.member, self.peer = Member(server, room, "aiortc", supernode=False), Aiortc()
        for kind in ("video", "audio"):
            self.peer.tell("media", kind=kind, direction="recvonly")
        offer = self.peer.describe("offer")["sdp"]
        mids = dict(re.findall(r"m=(audio|video)[\s\S]*?a=mid:(\S+)", offer))
        wanted = {"video": "camera", "audio": "microphone"}
        answer = self.member.do("offer", sdp=offer, subscribe=[
            {"mid": mid, "participant": of, "source": wanted[kind]} for kind, mid in mids.items()])
        assert answer["ok"], answer
        self.peer.tell("description", type="answer", sdp=answer["sdp"])
        # Who does not read is closed.
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(ConnectionClosed):
            for _ in self.member.socket:
                pass

    def close(self):
        self.peer.close()
        self.member.close()


@pytest.mark.peer("pion", "rooms: receives media of the server")
@pytest.mark.peer("aiortc", "rooms: receives media of the server")
def test_one_publishes_and_forty_nine_receive(ada, server):
    join({"ada": ada}, server, "crowd", "ada", "{ video: { width: 320, height: 240, frameRate: 15 } }")
    wait_for(lambda: server.live(f"rooms/crowd/{ada.own}"), 30)
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(contextlib.closing(Viewer(server, "crowd", ada.own))) for _ in range(AIORTC)]
        # Before the machine is full.
        for viewer in viewers:
            viewer.peer.frames("video", 20)
        command = [pion_program("pion-room"), server.url("").rstrip("/"), "crowd", ada.own, str(PION), "100"]
        bots = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(bots.kill)
        received = set()
        while len(received) < PION:
            report = json.loads(bots.stdout.readline())
            assert report["event"] == "received", report
            received.add(report["bot"])
        assert received == set(range(PION))
        for viewer in viewers:
            viewer.peer.frames("audio", 50)
        assert ada.evaluate("room.participants.size") == PION + AIORTC
        bots.stdin.close()
        bots.wait(30)
    # Nobody is left behind.
    until(ada, "room.participants.size === 0", 40)
