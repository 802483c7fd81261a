"""A room by Socket.IO: joined by POST, its events, inbox and chat read as channels, by socket.io's own client in Python."""
import queue

import socketio
from conftest import wait_for
from test_rooms import member, post  # noqa: F401 (a fixture)


class Visitor:
    """As docs/rooms.md has it: what is said in the three channels of a participant."""

    def __init__(self, server, room, name):
        self.room, self.server = room, server
        _, self.me = post(server, room, do="join", name=name)
        self.heard = queue.Queue()
        self.client = socketio.Client(reconnection=False)
        for event in ("joined", "left", "offer", "kicked", "options", "may"):
            self.client.on(event, lambda data, about, offset, event=event: self.heard.put((event, data, about)))
        self.client.on("message", lambda data, about, offset: self.heard.put(("message", data, about)))
        self.client.connect(server.url("/"))
        for place, channel in self.me["channels"].items():
            answer = self.client.call("subscribe", (channel["name"], {"since": channel["cursor"]} if "cursor" in channel else {}))
            assert answer["channel"] == channel["name"], (place, answer)

    def do(self, command, **fields):
        return post(self.server, self.room, do=command, key=self.me["key"], **fields)[1]

    def hear(self, event):
        while True:
            name, data, about = self.heard.get(timeout=20)
            if name == event:
                return data, about

    def close(self):
        self.client.disconnect()


def test_a_room_by_socket_io(server, member):  # noqa: F811
    eve = Visitor(server, "sio", "Eve")
    try:
        # Nobody else hears of Eve but by her channels: she stays beyond what a participant without any would.
        ada = member("sio", "Ada")
        joined, about = eve.hear("joined")
        assert joined["participant"]["name"] == "Ada" and about["channel"] == "rooms/sio/events"
        assert ada.do("offer", to=eve.me["participant"], sdp="v=0")["ok"]
        offer, about = eve.hear("offer")
        assert (offer["from"], about["channel"]) == (ada.id, eve.me["channels"]["inbox"]["name"])
        assert eve.do("answer", to=ada.id, sdp="v=0 too")["ok"]
        assert ada.hear("answer")["from"] == eve.me["participant"]
        # The chat both ways; what is emitted as a publication comes from outside.
        assert eve.do("say", data="hello", once="1")["ok"]
        assert ada.hear("message")["from"] == eve.me["participant"]
        said, about = eve.hear("message")
        assert (said["from"], said["data"], about["channel"]) == (eve.me["participant"], "hello", "rooms/sio")
        assert "cursor" in eve.client.call("publish", ("rooms/sio", "a word from outside"))
        heard = ada.hear("message")
        assert heard["data"] == "a word from outside" and "from" not in heard
        assert ada.do("kick", participant=eve.me["participant"], reason="enough")["ok"]
        assert eve.hear("kicked")[0]["reason"] == "enough"
        assert eve.do("say", data="still here?")["code"] == "gone"
    finally:
        eve.close()
    wait_for(lambda: not any(one["transport"] == "socket.io" for one in server.api("/clients")["clients"]))
