"""Rooms: signaling over every transport of channels, moderation, and media through the server."""
import contextlib
import http.server
import json
import subprocess
import threading
import time
import urllib.request

import pytest
from conftest import BINARY, wait_for
from websockets.sync.client import connect


def post(server, room, token=None, **command):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(server.url(f"/rooms/{room}"), json.dumps(command).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


class Member:
    """A connection of /rooms/NAME: answers by id, events as they come."""

    def __init__(self, server, room, name=None, **join):
        self.socket = connect(f"ws://127.0.0.1:{server.http}/rooms/{room}", open_timeout=20)
        self.count, self.events = 0, []
        if name is not None:
            self.greeting = self.do("join", name=name, **join)
            self.id, self.key = self.greeting.get("participant"), self.greeting.get("key")

    def do(self, command, **fields):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "do": command, **fields}))
        while True:
            frame = json.loads(self.socket.recv(timeout=20))
            if frame.get("id") == self.count:
                return frame
            self.events.append(frame)

    def hear(self, event, **fields):
        """The next event of this name (with these fields)."""
        def matches(frame):
            return frame.get("event") == event and all(frame.get(name) == value for name, value in fields.items())

        while True:
            for index, frame in enumerate(self.events):
                if matches(frame):
                    del self.events[:index + 1]
                    return frame
            self.events.append(json.loads(self.socket.recv(timeout=20)))

    def close(self):
        self.socket.close()


@pytest.fixture
def member(server):
    members = []

    def make(room, name=None, at=None, **join):
        members.append(Member(at or server, room, name, **join))
        return members[-1]

    yield make
    for one in members:
        with contextlib.suppress(Exception):
            one.close()


def test_two_meet_and_exchange_what_a_call_needs(member):
    ada, bob = member("meet", "Ada"), member("meet", "Bob")
    assert [one["name"] for one in bob.greeting["participants"]] == ["Ada"]
    assert ada.hear("joined")["participant"]["id"] == bob.id
    assert bob.do("offer", to=ada.id, sdp="v=0 offer")["ok"]
    offer = ada.hear("offer")
    assert (offer["from"], offer["sdp"]) == (bob.id, "v=0 offer")
    assert ada.do("answer", to=bob.id, sdp="v=0 answer")["ok"]
    assert bob.hear("answer")["from"] == ada.id
    assert ada.do("candidate", to=bob.id, candidate={"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"})["ok"]
    assert bob.hear("candidate")["candidate"]["sdpMid"] == "0"
    assert bob.do("signal", to=ada.id, data={"any": ["thing"]})["ok"]
    assert ada.hear("signal")["data"] == {"any": ["thing"]}
    assert bob.do("set", muted=["camera"], name="Robert")["ok"]
    changed = ada.hear("changed")["participant"]
    assert (changed["name"], changed["muted"]) == ("Robert", ["camera"])
    assert bob.do("leave")["ok"]
    assert ada.hear("left") | {"at": ""} == {"at": "", "event": "left", "participant": bob.id, "reason": "left"}
    assert bob.do("say", data="still here?")["code"] == "gone"


def test_the_chat_is_a_channel_for_everybody(member, server):
    ada = member("talk", "Ada")
    heard = []

    def listen():
        with urllib.request.urlopen(server.url("/channels/rooms/talk/events"), timeout=30) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    heard.append(json.loads(line[5:]))
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    wait_for(lambda: any("rooms/talk" in (client.get("channels") or []) and client["transport"] == "sse"
                         for client in server.api("/clients")["clients"]))
    assert ada.do("say", data="hello")["ok"]
    listener.join(20)
    assert heard and json.dumps(heard[0]).count("hello") == 1
    message = ada.hear("message")
    assert (message["data"], message["name"], message["from"]) == ("hello", "Ada", ada.id)
    # And the other way: what anybody publishes there is said in the room.
    request = urllib.request.Request(server.url("/channels/rooms/talk"), b"from outside", {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request, timeout=20).close()
    assert ada.hear("message")["data"] == "from outside"


def test_events_by_sse_and_long_poll_with_commands_by_post(member, server):
    status, eve = post(server, "ways", do="join", name="Eve")
    assert status == 200 and eve["ok"]
    bob = member("ways", "Bob")
    inbox, events = eve["channels"]["inbox"], eve["channels"]["events"]
    assert bob.do("offer", to=eve["participant"], sdp="v=0")["ok"]
    status, _, body = server.get(f"/channels/{inbox['name']}/poll?since={inbox['cursor']}")
    assert status == 200 and json.loads(body)["messages"][0]["data"]["from"] == bob.id
    status, _, body = server.get(f"/channels/{events['name']}/poll?since={events['cursor']}")
    assert json.loads(body)["messages"][0]["data"]["participant"]["name"] == "Bob"
    with urllib.request.urlopen(server.url(f"/channels/{inbox['name']}/events?since={inbox['cursor']}"), timeout=20) as stream:
        line = next(line for line in stream if line.startswith(b"data:"))
        assert b'"offer"' in line
    assert post(server, "ways", do="answer", key=eve["key"], to=bob.id, sdp="v=0")[0] == 200
    assert bob.hear("answer")["from"] == eve["participant"]
    # Nobody else can listen at an inbox, or speak in the server's name.
    assert server.get(f"/channels/rooms/ways/inbox/{'0' * 32}/poll?wait=0")[0] == 404
    request = urllib.request.Request(server.url(f"/channels/{events['name']}"), b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=20)
    assert refusal.value.code == 403


def test_who_comes_back_in_time_is_the_same_and_has_missed_nothing(member, make_server):
    server = make_server("--workers", "2", configuration="rooms: {grace: 4s}\n")
    ada, bob = member("back", "Ada", at=server), member("back", "Bob", at=server)
    assert ada.do("set", info={"n": 1})["ok"]
    at = ada.hear("changed")["at"]
    ada.close()
    assert bob.do("offer", to=ada.id, sdp="v=0 while away")["ok"]
    again = member("back", at=server)
    greeting = again.do("resume", key=ada.key, since=at)
    assert greeting["participant"] == ada.id
    assert again.hear("offer")["sdp"] == "v=0 while away"
    again.close()
    left = bob.hear("left")
    assert (left["participant"], left["reason"]) == (ada.id, "timeout")
    late = member("back", at=server)
    assert late.do("resume", key=ada.key)["code"] == "gone"


def test_a_moderator_decides(member, make_server):
    server = make_server(configuration="rooms: {lobby: true}\n")
    # This machine administers without a token; a page of another site does not.
    host = member("court", "Host", at=server)
    assert host.greeting["ok"]
    assert host.do("lock")["ok"] and host.do("unlock")["ok"]
    assert host.do("topology", topology="sfu")["ok"]
    assert host.hear("topology")["topology"] == "sfu"
    assert host.do("kick", participant="p0000000000")["code"] == "no_participant"


def test_bad_commands_are_refused_and_nothing_else_happens(member, server):
    ada = member("strict", "Ada")
    for command in ["not json", "[]", "{}", '{"do": 1}', '{"do": "dance", "id": 5}', '{"do": "offer", "to": 1, "id": 6}']:
        ada.socket.send(command)
        frame = json.loads(ada.socket.recv(timeout=20))
        while "event" in frame:
            frame = json.loads(ada.socket.recv(timeout=20))
        assert frame["code"] == "bad_command", frame
    assert ada.do("set", name="x" * 1000)["code"] == "limit"
    assert post(server, "strict", do="say", key="0" * 32, data="hi")[0] == 410
    assert server.get("/rooms/strict")[0] == 426
    assert ada.do("say", data="fine")["ok"]


MEDIA = """
window.post = (room, command) => fetch(`/rooms/${room}`, { method: "POST", body: JSON.stringify(command) }).then((r) => r.json());
window.enter = async (room, name) => {
  const me = await post(room, { do: "join", name });
  me.room = room.name ?? room;
  me.peer = new RTCPeerConnection();
  me.subscribe = [];
  me.tracks = [];
  me.video = {};
  me.peer.ontrack = ({ transceiver, track }) => {
    const element = document.createElement("video");
    Object.assign(element, { autoplay: true, muted: true, playsInline: true, srcObject: new MediaStream([track]) });
    document.body.append(element);
    me.video[transceiver.mid] = element;
  };
  me.negotiate = async () => {
    await me.peer.setLocalDescription();
    const sections = (list) => list.map(({ transceiver, ...rest }) => ({ mid: transceiver.mid, ...rest }));
    const answer = await post(me.room, { do: "offer", key: me.key, session: me.session, sdp: me.peer.localDescription.sdp,
      tracks: sections(me.tracks), subscribe: sections(me.subscribe) });
    if (!answer.ok) throw new Error(answer.error);
    me.session = answer.session;
    await me.peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  };
  me.publish = async (constraints) => {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    for (const track of stream.getTracks()) {
      const transceiver = me.peer.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      me.tracks.push({ transceiver, source: track.kind === "video" ? "camera" : "microphone" });
    }
    await me.negotiate();
  };
  me.watch = async (participant, sources) => {
    for (const source of sources) {
      const kind = source === "camera" ? "video" : "audio";
      me.subscribe.push({ transceiver: me.peer.addTransceiver(kind, { direction: "recvonly" }), participant, source });
    }
    await me.negotiate();
  };
  me.received = async () => {
    const got = {};
    (await me.peer.getStats()).forEach((entry) => {
      if (entry.type === "inbound-rtp") got[entry.mid] = entry.kind === "video" ? entry.framesDecoded ?? 0 : entry.packetsReceived;
    });
    return got;
  };
  return me;
};
"""


@pytest.mark.alone
def test_media_goes_through_the_server_to_those_who_ask_for_it(chromium, server):
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    chromium.evaluate("""(async () => {
      window.ada = await enter("sfu", "Ada");
      await ada.publish({ video: { width: 320, height: 240 }, audio: true });
      window.bob = await enter("sfu", "Bob");
      await bob.watch(ada.participant, ["camera", "microphone"]);
      return "done";
    })()""")
    path = "rooms/sfu/" + chromium.evaluate("ada.participant")
    wait_for(lambda: server.live(path), 30)

    def plays():
        got = chromium.evaluate("bob.received()")
        return got if len(got) == 2 and min(got.values()) > 20 else None

    wait_for(plays, 30)
    # Both ways on the connection that is there: Bob publishes too, and Ada watches.
    chromium.evaluate("""(async () => {
      await bob.publish({ audio: true, video: true });
      await ada.watch(bob.participant, ["camera", "microphone"]);
      return "done";
    })()""")
    wait_for(lambda: (got := chromium.evaluate("ada.received()")) and len(got) == 2 and min(got.values()) > 20, 30)
    sessions = [s for s in server.api("/webrtc")["sessions"] if s["path"].startswith("rooms/sfu/")]
    assert len(sessions) == 2
    # Who leaves takes its stream along.
    chromium.evaluate("post('sfu', { do: 'leave', key: ada.key })")
    wait_for(lambda: not server.live(path), 30)


class SkyRTC:
    """What SkyRTC's client sends and hears, as it is on the wire."""

    def __init__(self, server, key="eventName"):
        self.key = key
        self.socket = connect(f"ws://127.0.0.1:{server.http}/skyrtc", open_timeout=20)

    def say(self, name, **data):
        self.socket.send(json.dumps({self.key: name, "data": data}))

    def hear(self):
        frame = json.loads(self.socket.recv(timeout=20))
        return frame[self.key], frame["data"]

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("key, out, back, ids", [("eventName", "__", "_", "connections"), ("event", "", "", "socketIds")])
def test_skyrtc_clients_find_each_other_unchanged(server, key, out, back, ids):
    room = f"sky-{key}"
    first, second = SkyRTC(server, key), SkyRTC(server, key)
    first.say(out + "join", room=room)
    name, data = first.hear()
    assert (name, data[ids]) == (back + "peers", [])
    me = data["you"]
    second.say(out + "join", room=room)
    name, data = second.hear()
    assert (name, data[ids]) == (back + "peers", [me])
    other = data["you"]
    assert first.hear() == (back + "new_peer", {"socketId": other})
    second.say(out + "offer", socketId=me, sdp={"type": "offer", "sdp": "v=0"})
    assert first.hear() == (back + "offer", {"sdp": {"type": "offer", "sdp": "v=0"}, "socketId": other})
    first.say(out + "answer", socketId=other, sdp={"type": "answer", "sdp": "v=0"})
    assert second.hear() == (back + "answer", {"sdp": {"type": "answer", "sdp": "v=0"}, "socketId": me})
    first.say(out + "ice_candidate", socketId=other, label=0, id="audio", candidate="candidate:1 1 udp 1 192.0.2.1 9 typ host")
    name, data = second.hear()
    assert name == back + "ice_candidate" and data["socketId"] == me
    candidate = data["candidate"] if key == "event" else data
    assert candidate["candidate"].startswith("candidate:1")
    first.close()
    assert second.hear() == (back + "remove_peer", {"socketId": me})
    second.close()


def test_a_skyrtc_client_and_a_page_of_today_meet_in_one_room(server, member):
    old = SkyRTC(server)
    old.say("__join", room="ages")
    _, data = old.hear()
    ada = member("ages", "Ada")
    assert old.hear() == ("_new_peer", {"socketId": ada.id})
    assert ada.do("offer", to=data["you"], sdp="v=0 today")["ok"]
    name, offer = old.hear()
    assert (name, offer["sdp"]["sdp"], offer["socketId"]) == ("_offer", "v=0 today", ada.id)
    old.say("__answer", socketId=ada.id, sdp={"type": "answer", "sdp": "v=0 then"})
    assert ada.hear("answer")["sdp"] == "v=0 then"
    # It knows nothing but a mesh, so the room stays one.
    assert ada.do("topology", topology="sfu")["ok"]
    assert ada.do("resume")["room"]["topology"] == "mesh"
    old.say("__join", room="ages")
    assert old.hear()[0] == "_error"
    old.close()
    assert ada.hear("left")["reason"] == "left"


def test_rooms_over_rest_metrics_and_webhooks(member, make_server, tmp_path):
    heard, lock = [], threading.Lock()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            with lock:
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    server = make_server(configuration=f"webhooks: {{targets: [{{url: 'http://127.0.0.1:{receiver.server_port}/'}}]}}\n")
    try:
        ada, bob = member("board", "Ada", at=server), member("board", "Bob", at=server)
        board = next(room for room in server.api("/rooms")["rooms"] if room["name"] == "board")
        assert [one["name"] for one in board["participants"]] == ["Ada", "Bob"] and board["topology"] == "mesh"
        text = server.get("/metrics")[2].decode()
        assert 'martlet_rooms{topology="mesh"} 1' in text and "martlet_room_participants 2" in text

        def moderate(**command):
            request = urllib.request.Request(server.url("/api/v1/rooms/board"), json.dumps(command).encode(), method="POST")
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status

        assert moderate(do="kick", participant=bob.id, reason="rehearsal") == 204
        assert bob.hear("kicked")["reason"] == "rehearsal"
        assert ada.hear("left")["reason"] == "kicked"
        request = urllib.request.Request(server.url("/api/v1/rooms/board"), method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()
        assert ada.hear("kicked")
        assert server.api("/rooms") == {"rooms": [], "total": 0}
        events = ["room_begin", "join", "join", "leave", "leave", "room_end"]
        wait_for(lambda: [one["event"] for one in heard] == events, 20)
        assert heard[1]["name"] == "Ada" and heard[3]["participant"] == bob.id and heard[3]["reason"] == "kicked"
    finally:
        receiver.shutdown()
        receiver.server_close()


SECRET = "0123456789abcdef0123456789abcdef"


def test_a_token_says_who_may_join_and_who_moderates(member, make_server, tmp_path):
    (tmp_path / "key").write_text(SECRET)

    def token(*can, expires="1h", subject="ada"):
        rights = [flag for one in can for flag in ("--can", one)]
        command = [str(BINARY), "token", "--key-file", str(tmp_path / "key"), "--sub", subject, "--expires", expires, *rights]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    server = make_server(configuration=f"auth: {{jwt: [{{secret: {SECRET}, do: [join, publish, subscribe]}}]}}\n")
    assert post(server, "closed", do="join")[0] == 401
    assert post(server, "closed", do="join", token=token("join:rooms/open"))[0] == 403
    status, ada = post(server, "closed", do="join", name="Ada", token=token("join:rooms/closed"))
    # It may be there and speak in the chat, and publish nothing; it is of this machine, which moderates.
    assert status == 200 and ada["may"] == ["moderate"]
    status, _, _ = server.get(f"/channels/{ada['channels']['events']['name']}/poll?wait=0&since={ada['channels']['events']['cursor']}",
                              {"Authorization": f"Bearer {token('join:rooms/closed')}"})
    assert status in (200, 204)
    assert server.get(f"/channels/{ada['channels']['events']['name']}/poll?wait=0")[0] == 401
    short = member("closed", "Eve", at=server, token=token("join:rooms/closed", expires="3s", subject="eve"))
    assert short.greeting["ok"]
    assert short.hear("expired")
    assert short.do("say", data="still?")["code"] == "gone"


@pytest.mark.alone
def test_a_viewer_gets_the_layer_that_it_sees(chromium, server):
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    chromium.evaluate("""(async () => {
      window.ada = await enter("layers", "Ada");
      // A tone that goes on; the fake microphone only clicks.
      const voice = () => {
        const context = window.sound = new AudioContext(), tone = context.createOscillator(), out = context.createMediaStreamDestination();
        tone.connect(out);
        tone.start();
        return out.stream.getAudioTracks()[0];
      };
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 }, audio: true });
      const sendEncodings = [["q", 4, 150000], ["h", 2, 500000], ["f", 1, 1500000]].map(
        ([rid, scaleResolutionDownBy, maxBitrate]) => ({ rid, scaleResolutionDownBy, maxBitrate }));
      ada.tracks.push({ transceiver: ada.peer.addTransceiver(stream.getVideoTracks()[0], { direction: "sendonly", sendEncodings }), source: "camera" });
      ada.tracks.push({ transceiver: ada.peer.addTransceiver(voice(), { direction: "sendonly" }), source: "microphone" });
      await ada.negotiate();
      window.bob = await enter("layers", "Bob");
      await bob.watch(ada.participant, ["camera"]);
      bob.view = (wish) => post("layers", { do: "view", key: bob.key, session: bob.session,
        tracks: [{ participant: ada.participant, source: "camera", ...wish }] });
      bob.shown = async () => {
        const shown = {};
        (await bob.peer.getStats()).forEach((entry) => { if (entry.type === "inbound-rtp") Object.assign(shown, entry); });
        return { width: shown.frameWidth, frames: shown.framesDecoded };
      };
      return "done";
    })()""")
    wait_for(lambda: chromium.evaluate("bob.shown()").get("width") == 1280, 40)
    layers = next(room for room in server.api("/rooms")["rooms"] if room["name"] == "layers")["participants"][0]["tracks"][0]["layers"]
    assert sorted(layers) == ["f", "h", "q"]
    assert chromium.evaluate("bob.view({ width: 160, height: 90 })")["ok"]
    wait_for(lambda: chromium.evaluate("bob.shown()").get("width") == 320, 20)
    assert chromium.evaluate("bob.view({ paused: true })")["ok"]

    def stands_still():
        before = chromium.evaluate("bob.shown()")["frames"]
        time.sleep(1)
        return chromium.evaluate("bob.shown()")["frames"] == before

    wait_for(stands_still, 20)
    assert chromium.evaluate("bob.view({ width: 640, height: 360 })")["ok"]
    wait_for(lambda: chromium.evaluate("bob.shown()").get("width") == 640, 20)
    # Who speaks is told, and who stops.
    eve = Member(server, "layers", "Eve")
    chromium.evaluate("sound.suspend()")
    eve.hear("speaking", participants=[])
    chromium.evaluate("sound.resume()")
    eve.hear("speaking", participants=[chromium.evaluate("ada.participant")])
    eve.close()


@pytest.mark.alone
def test_an_encoder_takes_part_over_rtmp(chromium, server, member, publish, media):
    host = member("studio", "Host")
    encoder = publish(media / "av.flv", server.rtmp_url("rooms/studio/obs"))
    joined = host.hear("joined")["participant"]
    while joined["id"] == host.id:
        joined = host.hear("joined")["participant"]
    assert (joined["id"], joined["name"]) == ("obs", "obs") and {one["source"] for one in joined["tracks"]} == {"camera", "microphone"}
    # It is connected to nobody but the server.
    assert host.hear("topology")["topology"] == "sfu"
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    chromium.evaluate("""(async () => {
      window.bob = await enter("studio", "Bob");
      await bob.watch("obs", ["camera", "microphone"]);
      return "done";
    })()""")
    wait_for(lambda: (got := chromium.evaluate("bob.received()")) and len(got) == 2 and min(got.values()) > 20, 40)
    assert host.do("kick", participant="obs")["ok"]
    assert host.hear("left")["reason"] == "kicked"
    wait_for(lambda: encoder.poll() is not None, 20)
    # Nobody takes the place of somebody else, or publishes where there is no room for it.
    for path in [f"rooms/studio/{host.id}", "rooms/studio"]:
        refused = publish(media / "av.flv", server.rtmp_url(path))
        wait_for(lambda: refused.poll() is not None, 20)
    wait_for(lambda: "mesh" == next(room for room in server.api("/rooms")["rooms"] if room["name"] == "studio")["topology"], 20)
