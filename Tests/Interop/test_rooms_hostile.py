"""What people and programs do to rooms that they should not. A witness call, of two who do no wrong, goes on through all of it."""
import contextlib
import http.client
import json
import socket
import time
import urllib.error
import urllib.request

import jwt
import pytest
from conftest import start_server, stop_server, wait_for
from test_rooms import MEDIA, Member
from test_rooms_options import PAIR, ask, flows
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.paired

SECRET = "0123456789abcdef0123456789abcdef"
PER_ADDRESS = 12
MAXIMUM = 10_000
# A data channel that is offered, by nobody who could be reached.
OFFER = "\r\n".join([
    "v=0", "o=- 7 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=mid:0",
    "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef01234567", "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass",
    "a=sendonly", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", *(["%s"]), ""])


def offer(*candidates):
    return (OFFER % "\r\n".join(candidates)).replace("\r\n\r\n", "\r\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(
        tmp_path_factory.mktemp("server"), "--workers", "2", host="0.0.0.0", configuration=(
            f"rooms: {{grace: 3s, per_address: {PER_ADDRESS}, maximum: {MAXIMUM}}}\n"
            f"auth: {{jwt: [{{secret: {SECRET}, do: [join]}}], anyone: [{{do: [join], on: [rooms/open-*]}}]}}\n"))
    server.host = "127.0.0.1"
    yield server
    stop_server(server)


@pytest.fixture
def member(server):
    members = []

    def make(room, name=None, **join):
        members.append(Member(server, room, name, **join))
        return members[-1]

    yield make
    for one in members:
        with contextlib.suppress(Exception):
            one.close()


@pytest.fixture(scope="module")
def witness(chromium, server):
    """Two who see and hear each other by way of the server."""
    chromium.open(server.url("/publish.html"))
    chromium.evaluate(MEDIA + "; 0")
    chromium.evaluate(PAIR % {"room": "open-witness"})
    # Who listens at its inbox is there.
    chromium.evaluate("""window.listening = [ada, bob].map(({ channels: { inbox } }) => new EventSource(`/channels/${inbox.name}/events`)), 0""")
    flows(chromium, "0")
    return chromium


@pytest.fixture(autouse=True)
def the_witness_call_goes_on(witness, server):
    yield
    for mid in ("0", "1"):
        flows(witness, mid)
    assert server.running


def own_address():
    """Of this machine, as others see it: limits by address exempt loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with contextlib.suppress(OSError):
            # Nothing is sent: it says which way packets would go.
            probe.connect(("192.0.2.1", 9))
            if not probe.getsockname()[0].startswith("127."):
                return probe.getsockname()[0]
    return None


def do(server, room, command, host="127.0.0.1", **fields):
    request = urllib.request.Request(f"http://{host}:{server.http}/rooms/{room}", json.dumps({"do": command, **fields}).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_flood_of_joins_ends_at_the_limit_of_its_address_which_it_is_told(server):
    host = own_address()
    if host is None:
        pytest.skip("this machine has no address but loopback, which is exempt")
    answers = [do(server, f"open-flood-{index % 5}", "join", host) for index in range(3 * PER_ADDRESS)]
    joined = [answer for status, answer in answers if status == 200]
    refused = [(status, answer) for status, answer in answers if status != 200]
    assert len(joined) == PER_ADDRESS
    assert all(status == 429 and answer["code"] == "busy" and "rooms.per_address" in answer["error"] and host in answer["error"]
               for status, answer in refused)
    # Others come in meanwhile, and so does this one once those it never was have timed out.
    assert do(server, "open-flood-0", "join")[0] == 200
    wait_for(lambda: do(server, "open-flood-0", "join", host)[0] == 200, 30)


def test_who_comes_and_goes_leaves_nothing_behind(server):
    def channels():
        return server.api("/channels")["total"]

    before = channels()
    for _ in range(300):
        status, answer = do(server, "open-door", "join")
        assert status == 200
        assert do(server, "open-door", "leave", key=answer["key"])[0] == 200
    # Of a room that nobody is in the events stay for a minute.
    assert channels() - before < 10


def test_forged_ids_and_keys_are_nobodys(server, member):
    ada, bob = member("open-forged", "Ada"), member("open-forged", "Bob")
    other = member("open-other", "Eve")
    # A key of another room, one that is made up, an id in place of the key.
    for key in (other.key, "0" * 32, ada.id, ada.key.upper(), ""):
        assert do(server, "open-forged", "say", key=key, data="x")[0] in (400, 410)
        assert do(server, "open-forged", "resume", key=key)[0] in (400, 410)
    assert bob.do("signal", to=ada.id, data=1, **{"from": other.id})["ok"]
    assert ada.hear("signal")["from"] == bob.id
    # Nobody of another room can be reached, moderated, or heard of.
    assert bob.do("offer", to=other.id, sdp="v=0")["code"] == "no_participant"
    assert bob.do("kick", participant=other.id)["code"] == "no_participant"
    status, _, _ = server.get(f"/channels/rooms/open-forged/inbox/{ada.id}/poll?wait=0")
    assert status == 404


def test_offers_for_somebody_else_change_nothing_of_theirs(server, member):
    ada, bob = member("open-mine", "Ada"), member("open-mine", "Bob")
    mine = ada.do("offer", sdp=offer(), tracks=[{"mid": "0", "source": "microphone"}])
    assert mine["ok"], mine
    assert bob.do("offer", session=mine["session"], sdp=offer(), tracks=[])["code"] == "no_media"
    assert bob.do("view", session=mine["session"], tracks=[])["code"] == "no_media"
    # An answer that nobody asked for, and sessions that never were.
    for session in ("", "0-", "99-x", "0-0000000000000000", "x" * 64):
        assert bob.do("offer", session=session, sdp=offer())["code"] in ("no_media", "bad_command")
    assert bob.do("offer", session="x" * 65, sdp=offer())["code"] == "limit"
    assert ada.do("offer", session=mine["session"], sdp=offer(), tracks=[{"mid": "0", "source": "microphone"}])["ok"]


def test_broken_offers_say_what_is_wrong(server, member):
    ada = member("open-broken", "Ada")
    whole = offer()
    for sdp in ["", "v=0", whole[:100], whole.replace("ice-ufrag", "ice"), whole.replace("AB:", "AB", 1), "x" * 100_000]:
        answer = ada.do("offer", sdp=sdp, tracks=[{"mid": "0", "source": "microphone"}])
        assert answer["code"] in ("bad_command", "no_media") and answer["error"], (sdp[:60], answer)
    for fields in ({"tracks": 1}, {"tracks": [{"mid": 1}]}, {"tracks": [{"mid": "0", "source": "nose"}]}, {"subscribe": [{}]},
                   {"subscribe": [{"mid": "0", "participant": 7, "source": "camera"}]}):
        assert ada.do("offer", sdp=whole, **fields)["code"] == "bad_command"
    assert ada.do("offer", sdp=whole, tracks=[{"mid": "0", "source": "camera"}] * 100)["code"] == "limit"
    assert ada.do("say", data="fine")["ok"]


def storm(one, count, **fields):
    """The codes of so many offers, sent without waiting."""
    for index in range(count):
        one.socket.send(json.dumps({"id": f"s{index}", "do": "offer", **fields}))
    codes = []
    while len(codes) < count:
        frame = json.loads(one.socket.recv(timeout=30))
        if str(frame.get("id", "")).startswith("s"):
            codes.append("ok" if frame["ok"] else frame["code"])
    return codes


def test_a_storm_of_offers_is_limited_to_a_rate_and_told(server, member):
    ada, bob = member("open-storm", "Ada"), member("open-storm", "Bob")
    relayed = storm(ada, 150, to=bob.id, sdp="v=0")
    assert relayed.count("busy") > 0 and 0 < relayed.count("ok") < 150 and set(relayed) <= {"ok", "busy"}
    session = ada.do("offer", sdp=offer(), tracks=[])
    wait_for(lambda: ada.do("offer", sdp=offer(), tracks=[]).get("ok"), 20)
    made = storm(bob, 150, sdp=offer(), tracks=[])
    assert made.count("busy") > 0 and set(made) <= {"ok", "busy"}, (session, made)
    # Each new connection took the place of the one before.
    assert len([one for one in server.api("/webrtc")["sessions"] if one["path"] == f"rooms/open-storm/{bob.id}"]) <= 1
    wait_for(lambda: bob.do("offer", to=ada.id, sdp="v=0")["ok"], 20)


def test_candidates_of_private_addresses_are_relayed_and_never_contacted(server, member):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.settimeout(2)
        port = victim.getsockname()[1]
        ada, bob = member("open-near", "Ada"), member("open-near", "Bob")
        candidate = f"candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host"
        assert bob.do("candidate", to=ada.id, candidate={"candidate": candidate, "sdpMid": "0"})["ok"]
        assert ada.hear("candidate")["candidate"]["candidate"] == candidate
        assert bob.do("offer", sdp=offer("a=" + candidate), tracks=[{"mid": "0", "source": "microphone"}])["ok"]
        with pytest.raises(TimeoutError):
            victim.recv(2000)


def test_who_stops_reading_is_closed_and_the_others_go_on(server, member):
    room = "open-deaf"
    deaf = connect(f"ws://127.0.0.1:{server.http}/rooms/{room}", open_timeout=20, max_queue=1, ping_interval=None)
    deaf.send(json.dumps({"id": 1, "do": "join", "name": "Deaf"}))
    ada = member(room, "Ada")
    wait_for(lambda: len(ask(server, "GET", f"/api/v1/rooms/{room}")[1]["participants"]) == 2, 20)
    text = "x" * 60_000

    def is_closed():
        with contextlib.suppress(Exception):
            ada.do("say", data=text)
        ada.events.clear()
        clients = server.api("/clients")["clients"]
        return sum(1 for one in clients if one["transport"] == "room" and f"rooms/{room}" in (one.get("channels") or [])) == 1

    wait_for(is_closed, 90, step=0)
    bob = member(room, "Bob")
    assert bob.do("signal", to=ada.id, data="still here")["ok"]
    assert ada.hear("signal")["data"] == "still here"
    with pytest.raises(ConnectionClosed) as end:
        while True:
            deaf.recv(timeout=20)
    assert end.value.rcvd is None or end.value.rcvd.code == 4008


def test_who_vanishes_while_the_topology_changes_is_gone_and_the_change_is_made(server, member):
    ada, bob, gone = member("open-switch", "Ada"), member("open-switch", "Bob"), member("open-switch", "Gone")
    assert gone.do("offer", sdp=offer(), tracks=[{"mid": "0", "source": "microphone"}])["ok"]
    assert ada.do("topology", topology="sfu")["ok"]
    # Without a word: as a machine that was switched off.
    gone.socket.socket.close()
    assert bob.hear("topology")["topology"] == "sfu"
    assert ada.do("topology", topology="supernode", supernode=gone.id)["ok"]
    assert bob.hear("left", participant=gone.id)["reason"] == "timeout"
    # The supernode that was named is no more: one that is there takes its place.
    assert bob.hear("topology")["supernode"] in (ada.id, bob.id)
    assert not [one for one in server.api("/webrtc")["sessions"] if one["path"] == f"rooms/open-switch/{gone.id}"]


def test_a_token_that_expires_during_a_call_ends_one_part_in_it(server, member):
    token = jwt.encode({"sub": "eve", "exp": time.time() + 3, "can": [{"do": "join", "on": "rooms/closed"}]}, SECRET)
    longer = jwt.encode({"sub": "ada", "exp": time.time() + 600, "can": [{"do": "join", "on": "rooms/closed"}]}, SECRET)
    assert member("closed", "Nobody").greeting["code"] == "no_credentials"
    ada, eve = member("closed", "Ada", token=longer), member("closed", "Eve", token=token)
    media = eve.do("offer", sdp=offer(), tracks=[{"mid": "0", "source": "microphone"}])
    assert media["ok"]
    assert eve.hear("expired")
    assert ada.hear("left", participant=eve.id)["reason"] == "expired"
    assert eve.do("offer", session=media["session"], sdp=offer())["code"] == "gone"
    wait_for(lambda: not [one for one in server.api("/webrtc")["sessions"] if one["path"] == f"rooms/closed/{eve.id}"], 20)
    assert ada.do("say", data="still here")["ok"]


def test_ten_thousand_rooms_cost_little_and_leave_nothing(make_server, record_property):
    server = make_server("--workers", "2", configuration=f"rooms: {{grace: 300s, maximum: {MAXIMUM}}}\n")
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=60)

    def command(room, **fields):
        connection.request("POST", f"/rooms/{room}", json.dumps(fields))
        return json.loads(connection.getresponse().read())

    before = server.resident
    keys = [command(f"many-{index}", do="join").get("key") for index in range(MAXIMUM)]
    assert all(keys)
    refused = command("one-more", do="join")
    assert refused["code"] == "busy" and "rooms.maximum" in refused["error"]
    each = (server.resident - before) * 1024 // MAXIMUM
    print(f"a room with one participant: {each} bytes")
    record_property("bytes of a room", each)
    assert each < 20_000
    assert command("many-0", do="join")["ok"]
    for index, key in enumerate(keys):
        assert command(f"many-{index}", do="leave", key=key)["ok"]
    assert server.api("/rooms")["total"] == 1
    assert command("one-more", do="join")["ok"]
    connection.close()
