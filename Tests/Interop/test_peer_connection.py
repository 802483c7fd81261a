"""PeerConnection with real peers: through a real TURN server, over TCP, with browsers, aiortc and Pion. Assertions are on messages that
arrived and on frames that were decoded. `make examples` builds the program that speaks for it."""
import contextlib
import json
import os
import re
import socket
import subprocess

import pytest
from conftest import AUDIO, VIDEO, ffmpeg, loudest, wait_for
from peers import Agent, Aiortc, BrowserPeer, Pion, checksum, pattern
from turn import coturn
from webrtc import HIDING_BROWSERS, WEBRTC_BROWSERS

pytestmark = pytest.mark.paired


@pytest.fixture
def agent():
    agents = []

    def make(**configuration):
        agents.append(Agent(**configuration))
        return agents[-1]

    yield make
    for each in agents:
        each.close()


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    with coturn(tmp_path_factory.mktemp("turn")) as server:
        yield server


@pytest.fixture(scope="module")
def browsers():
    """Each is started when it is needed first."""
    running = {}

    def get(name):
        if name not in running:
            running[name] = WEBRTC_BROWSERS[name]()
        return running[name]

    yield get
    for browser in running.values():
        browser.close()


@pytest.fixture
def make_peer(browsers, elsewhere):
    """Peers of any kind, by name."""
    peers = []

    def make(kind, **configuration):
        kinds = {"aiortc": Aiortc, "pion": Pion, "martlet": Agent}
        if kind in kinds:
            peers.append(kinds[kind](**configuration))
        else:
            folder, url = elsewhere
            (folder / "blank.html").write_text("<!doctype html><title>peer</title><body>")
            peers.append(BrowserPeer(browsers(kind), f"{url}/blank.html", **configuration))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """A picture with key frames twice a second, and a tone with a packet a page: what peers send."""
    folder = tmp_path_factory.mktemp("clips")
    ffmpeg(*VIDEO, "-t", "4", "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "600k", "-g", "15", str(folder / "video.ivf"))
    ffmpeg(*AUDIO, "-t", "4", "-c:a", "libopus", "-ac", "2", "-page_duration", "20000", str(folder / "audio.ogg"))
    return {"video": str(folder / "video.ivf"), "audio": str(folder / "audio.ogg")}


def trickle(a, b):
    """What each has found by now goes to the other; answers whether both have said that that was all."""
    for one, other in ((a, b), (b, a)):
        one.wait("candidate", candidate="")
        for report in one.seen("candidate"):
            other.tell("candidate", candidate=report["candidate"], mid=report.get("mid"))


def connect(a, b):
    """One exchange of offer and answer, and the candidates after it."""
    offer = a.describe("offer")
    answer = b.describe("description", type="offer", sdp=offer["sdp"])
    a.tell("description", type="answer", sdp=answer["sdp"])
    trickle(a, b)
    for each in (a, b):
        each.wait("state", text="connected")


def talk(a, b, label, size=200_000):
    """Messages in both directions, one of them larger than any packet."""
    a.wait("channel", label=label)
    b.wait("channel", label=label)
    for one, other in ((a, b), (b, a)):
        one.tell("send", label=label, text="grüße 🐦")
        other.wait("message", label=label, text="grüße 🐦")
        one.tell("send", label=label, bytes=size)
        assert other.wait("message", label=label, bytes=size)["sum"] == checksum(pattern(size))


def talk_through_relays(agent, turn, transport):
    """Two connections that use nothing else; both, once they have talked."""
    configuration = {"iceServers": [turn.server(transport)], "relayOnly": True, "authority": turn.authority}
    a, b = agent(**configuration), agent(**configuration)
    a.tell("channel", label="through the relay")
    connect(a, b)
    talk(a, b, "through the relay")
    for each in (a, b):
        found = each.statistics()
        assert (found["local"], found["remote"]) == ("relay", "relay")
    return a, b


@pytest.mark.peer("coturn", "relay only: with PeerConnection, over {transport}")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_two_connections_reach_each_other_by_relays_alone(agent, turn, transport):
    for each in talk_through_relays(agent, turn, transport):
        # Nothing tells where they are.
        candidates = [report["candidate"] for report in each.seen("candidate") if report["candidate"]]
        assert candidates and all(" typ relay raddr 0.0.0.0 rport 0" in candidate for candidate in candidates), candidates


@pytest.mark.peer("coturn", "relay only: with PeerConnection, IPv6, over {transport}")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_relayed_addresses_are_of_ipv6_where_the_server_is(agent, turn, transport):
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("there is no IPv6 here")
    configuration = {"iceServers": [turn.server(transport, host="[::1]")], "relayOnly": True}
    a, b = agent(**configuration), agent(**configuration)
    a.tell("channel", label="x")
    connect(a, b)
    talk(a, b, "x")
    for each in (a, b):
        candidates = [report["candidate"].split() for report in each.seen("candidate") if report["candidate"]]
        assert candidates and all(fields[4] == "::1" and fields[7] == "relay" for fields in candidates), candidates
        assert each.statistics()["address"].startswith("[::1]:")


@pytest.mark.peer("coturn", "TURN server: sends on to another ({transport})")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_turn_server_that_names_another_is_followed(agent, turn, tmp_path, transport):
    """RFC 8489 §10: 300 with ALTERNATE-SERVER."""
    with coturn(tmp_path, f"alternate-server=127.0.0.1:{turn.port}") as first:
        configuration = {"iceServers": [first.server(transport)], "relayOnly": True}
        a, b = agent(**configuration), agent(**configuration)
        a.tell("channel", label="x")
        connect(a, b)
        talk(a, b, "x")
        assert all(each.statistics()["local"] == "relay" and not each.seen("candidate error") for each in (a, b))
        # Had it given the addresses itself, they would end with it.
        first.stop()
        talk(a, b, "x")


def test_a_relay_stands_beside_the_other_candidates_and_tells_where_this_end_is_seen(agent, turn):
    peer = agent(iceServers=[turn.server()])
    peer.tell("channel", label="x")
    peer.describe("offer")
    peer.wait("candidate", candidate="")
    candidates = [report["candidate"] for report in peer.seen("candidate")]
    assert any(" typ host" in each for each in candidates) and any(" typ relay raddr 127.0.0.1 rport " in each for each in candidates)
    assert peer.seen("candidate error") == []


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_wrong_credentials_are_told_and_the_gathering_ends(agent, turn, transport):
    server = turn.server(transport, password="guessed")
    peer = agent(iceServers=[server], relayOnly=True, authority=turn.authority)
    peer.tell("channel", label="x")
    peer.describe("offer")
    error = peer.wait("candidate error")
    assert (error["code"], error["url"]) == (401, server["urls"][0])
    peer.wait("candidate", candidate="")
    assert len(peer.seen("candidate")) == 1


def test_a_turn_server_is_verified_and_one_that_is_not_there_is_told(agent, turn):
    nowhere = {"urls": ["turn:127.0.0.1:1?transport=tcp"], "username": "a", "credential": "b"}
    unknown = {"urls": ["stun:does-not-exist.invalid"]}
    peer = agent(iceServers=[turn.server("tls"), nowhere, unknown])
    peer.tell("channel", label="x")
    peer.describe("offer")
    errors = {}
    for _ in range(3):
        error = peer.wait("candidate error", after=peer.reports.index(error) + 1 if errors else 0)
        errors[error["url"]] = error
    assert {error["code"] for error in errors.values()} == {701}
    assert "certificate" in errors[turn.server("tls")["urls"][0]]["text"]
    peer.wait("candidate", candidate="")


def restart(a, b):
    """ICE restarts; the candidates follow as after the first exchange."""
    before = [each.position for each in (a, b)]
    offer = a.describe("offer", restart=True)
    answer = b.describe("description", type="offer", sdp=offer["sdp"])
    a.tell("description", type="answer", sdp=answer["sdp"])
    for (one, other), after in zip(((a, b), (b, a)), before):
        one.wait("candidate", candidate="", after=after)
        for report in one.reports[after:]:
            if report["event"] == "candidate":
                other.tell("candidate", candidate=report["candidate"], mid=report.get("mid"))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_relay_that_dies_is_noticed_and_a_restart_finds_a_new_one(agent, tmp_path, transport):
    with coturn(tmp_path) as turn:
        configuration = {"iceServers": [turn.server(transport)], "relayOnly": True}
        a, b = agent(**configuration), agent(**configuration)
        a.tell("channel", label="x")
        connect(a, b)
        talk(a, b, "x")
        turn.stop()
        for each in (a, b):
            # A connection breaks at once; of datagrams only the answers stay away.
            each.wait("state", text="failed" if transport == "tcp" else "disconnected")
            if transport == "tcp":
                each.wait("candidate error", code=701)
        turn.start()
        positions = [each.position for each in (a, b)]
        restart(a, b)
        for each, after in zip((a, b), positions):
            each.wait("state", text="connected", after=after)
        talk(a, b, "x")


def test_two_connections_without_udp_connect_over_tcp(agent):
    a, b = agent(udp=False, tcp="active"), agent(udp=False, tcp="passive")
    a.tell("channel", label="over TCP")
    connect(a, b)
    talk(a, b, "over TCP")
    candidates = [report["candidate"] for report in a.seen("candidate") + b.seen("candidate") if report["candidate"]]
    assert all(" tcp " in candidate for candidate in candidates)
    assert any(" tcptype passive" in candidate for candidate in candidates)


def test_udp_is_preferred_where_both_work(agent):
    a, b = agent(tcp="passive"), agent(tcp="passive")
    a.tell("channel", label="x")
    connect(a, b)
    talk(a, b, "x")
    port = a.statistics()["address"].rsplit(":", 1)[1]
    assert any(f" udp " in report["candidate"] and f" {port} typ host" in report["candidate"] for report in b.seen("candidate"))


@pytest.mark.parametrize("greeting", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes([0xFF, 0xFF]) + bytes(100), bytes([0, 20, 22]) + bytes(19)])
def test_strangers_at_our_tcp_candidate_are_closed_and_disturb_nobody(agent, greeting):
    a, b = agent(udp=False, tcp="active"), agent(udp=False, tcp="passive")
    a.tell("channel", label="x")
    offer = a.describe("offer")
    answer = b.describe("description", type="offer", sdp=offer["sdp"])
    b.wait("candidate", candidate="")
    port = next(int(r["candidate"].split()[5]) for r in b.seen("candidate") if " 127.0.0.1 " in r["candidate"] and "passive" in r["candidate"])
    strangers = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(8)]
    for stranger in strangers:
        stranger.sendall(greeting)
    a.tell("description", type="answer", sdp=answer["sdp"])
    trickle(a, b)
    talk(a, b, "x")
    for stranger in strangers:
        # Those who say nothing are given some seconds.
        try:
            assert stranger.recv(100) == b""
        except ConnectionError:
            pass
        stranger.close()


# MARK: Other implementations

OTHERS = ["chromium", "firefox", "aiortc", "pion"]
# Of one message: Pion's has room for that much.
LARGEST = {"pion": 65_535}
ROLES = ["as offerer", "as answerer"]


def decoded(path):
    """How many frames of a recording can be decoded; each of them without a complaint."""
    result = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "json", path],
                            capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == "", result.stderr
    return int(json.loads(result.stdout)["streams"][0]["nb_read_frames"])


def add_media(ours, other, clips, folder):
    """Pictures and sound both ways; what comes here is recorded."""
    recordings = {"video": str(folder / "received.ivf"), "audio": str(folder / "received.ogg")}
    for kind in ("video", "audio"):
        ours.tell("media", kind=kind, direction="sendrecv", file=clips[kind], record=recordings[kind])
        other.tell("media", kind=kind, direction="sendrecv", file=clips[kind])
    return recordings


def watch(ours, other, recordings):
    """Frames come both ways, and those recorded can be decoded."""
    for kind in ("video", "audio"):
        other.frames(kind, 50)
        ours.frames(kind, 75)
    ours.close()
    for path in recordings.values():
        # The last may be half written.
        assert decoded(path) >= 50


@pytest.mark.peer("kind", "PeerConnection: data and media")
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("role", ROLES)
def test_data_and_media_go_both_ways(make_peer, clips, tmp_path, kind, role):
    ours, other = make_peer("martlet"), make_peer(kind)
    offerer, answerer = (ours, other) if role == "as offerer" else (other, ours)
    recordings = add_media(ours, other, clips, tmp_path)
    offerer.tell("channel", label="chat")
    connect(offerer, answerer)
    talk(ours, other, "chat", LARGEST.get(kind, 200_000))
    watch(ours, other, recordings)


# What sounds loudest of that which a page plays, in hertz.
PITCH = """(() => {
  const context = new AudioContext(), analyser = context.createAnalyser();
  analyser.fftSize = 4096;
  context.createMediaStreamSource(document.querySelector("video").srcObject).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  window.pitch = () => {
    analyser.getFloatFrequencyData(bins);
    const place = bins.indexOf(bins.reduce((a, b) => Math.max(a, b)));
    return bins[place] > -60 ? place * context.sampleRate / analyser.fftSize : 0;
  };
})()"""


@pytest.mark.peer("chromium", "PeerConnection: G.722 both ways")
@pytest.mark.parametrize("role", ROLES)
def test_g722_sounds_both_ways(make_peer, tmp_path, role):
    """Ours is a tone that G.711 would not carry."""
    tone, received = str(tmp_path / "tone.g722"), str(tmp_path / "received.g722")
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=5000:sample_rate=16000", "-t", "4", "-af", "volume=4", "-c:a", "g722", tone)
    ours, other = make_peer("martlet"), make_peer("chromium")
    ours.tell("media", kind="audio", direction="sendrecv", codec="G722", file=tone, record=received)
    other.tell("media", kind="audio", direction="sendrecv", codec="G722")
    connect(*((ours, other) if role == "as offerer" else (other, ours)))
    assert "a=rtpmap:9 G722/8000" in ours.seen("description")[-1]["sdp"]
    other.frames("audio", 50)
    other.browser.evaluate(PITCH)
    wait_for(lambda: abs(other.browser.evaluate("pitch()") - 5000) < 50)
    ours.frames("audio", 100)
    ours.close()
    # The beep of a second.
    assert loudest("-f", "g722", "-i", received) > -30


@pytest.mark.peer("kind", "PeerConnection: media added later")
@pytest.mark.parametrize("kind", OTHERS)
def test_media_come_later_over_the_same_transport(make_peer, clips, tmp_path, kind):
    ours, other = make_peer("martlet"), make_peer(kind)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat", LARGEST.get(kind, 200_000))
    before, position = ours.statistics(), ours.position
    recordings = add_media(ours, other, clips, tmp_path)
    for number in range(20):
        ours.tell("send", label="chat", text=f"meanwhile {number}")
    offer = ours.describe("offer")
    answer = other.describe("description", type="offer", sdp=offer["sdp"])
    ours.tell("description", type="answer", sdp=answer["sdp"])
    for number in range(20, 40):
        ours.tell("send", label="chat", text=f"meanwhile {number}")
    for kind in ("video", "audio"):
        other.frames(kind, 50)
    for number in range(40):
        other.wait("message", text=f"meanwhile {number}")
    assert ours.statistics()["address"] == before["address"]
    assert not [r for r in ours.reports[position:] if r["event"] in ("candidate", "state", "channel closed")]
    watch(ours, other, recordings)


@pytest.mark.peer("kind", "restart: with PeerConnection")
@pytest.mark.parametrize("kind", ["chromium", "firefox", "pion"])
@pytest.mark.parametrize("role", ROLES)
def test_ice_restarts_while_messages_flow(make_peer, kind, role):
    """aiortc has no ICE restart."""
    ours, other = make_peer("martlet"), make_peer(kind)
    offerer, answerer = (ours, other) if role == "as offerer" else (other, ours)
    offerer.tell("channel", label="chat")
    connect(offerer, answerer)
    talk(ours, other, "chat", LARGEST.get(kind, 200_000))
    fragments = [ours.seen("description")[-1]["sdp"].split("a=ice-ufrag:")[1].split()[0]]
    restart(offerer, answerer)
    fragments.append(ours.seen("description")[-1]["sdp"].split("a=ice-ufrag:")[1].split()[0])
    assert fragments[0] != fragments[1]
    for number in range(40):
        for one, two in ((ours, other), (other, ours)):
            one.tell("send", label="chat", text=f"after {number}")
            two.wait("message", text=f"after {number}")
    assert "failed" not in [report["text"] for report in ours.seen("state")]


@pytest.mark.peer("kind", "relay only: with PeerConnection, over {transport}")
@pytest.mark.parametrize("kind", ["chromium", "firefox", "aiortc", "pion"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_only_relays_stand_between_us_and_others(make_peer, turn, clips, tmp_path, kind, transport):
    configuration = {"iceServers": [turn.server(transport)], "relayOnly": True}
    ours, other = make_peer("martlet", **configuration), make_peer(kind, **configuration)
    recordings = add_media(ours, other, clips, tmp_path)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat", LARGEST.get(kind, 200_000))
    for each in (ours, other):
        assert each.statistics()["local"] == "relay"
    watch(ours, other, recordings)


@pytest.mark.peer("kind", "PeerConnection: hidden addresses")
@pytest.mark.parametrize("kind", HIDING_BROWSERS)
def test_a_browser_that_hides_its_addresses_is_found_by_multicast_dns(agent, elsewhere, kind):
    folder, url = elsewhere
    (folder / "blank.html").write_text("<!doctype html><title>peer</title><body>")
    with contextlib.closing(HIDING_BROWSERS[kind]()) as browser:
        ours, other = agent(), BrowserPeer(browser, f"{url}/blank.html")
        ours.tell("channel", label="chat")
        offer = ours.describe("offer")
        # The browser is not told where we are: it has to be found.
        answer = other.describe("description", type="offer", sdp=re.sub("a=(candidate:|end-of-).*\r\n", "", offer["sdp"]))
        ours.tell("description", type="answer", sdp=answer["sdp"])
        other.wait("candidate", candidate="")
        candidates = [report for report in other.seen("candidate") if report["candidate"]]
        assert candidates and all(".local " in report["candidate"] for report in candidates), candidates
        for report in candidates:
            ours.tell("candidate", candidate=report["candidate"], mid=report["mid"])
        for each in (ours, other):
            each.wait("state", text="connected")
        talk(ours, other, "chat")


@pytest.mark.peer("chromium", "TCP only: with PeerConnection")
def test_a_browser_connects_to_our_tcp_candidate(make_peer, clips, tmp_path):
    ours, other = make_peer("martlet", udp=False, tcp="passive"), make_peer("chromium")
    recordings = add_media(ours, other, clips, tmp_path)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat")
    assert other.statistics()["protocol"] == "tcp"
    watch(ours, other, recordings)


@pytest.mark.peer("pion", "TCP only: with PeerConnection")
def test_we_connect_to_the_tcp_candidate_of_pion(make_peer, clips, tmp_path):
    ours, other = make_peer("martlet", udp=False), make_peer("pion", udp=False)
    recordings = add_media(ours, other, clips, tmp_path)
    ours.tell("channel", label="chat")
    connect(ours, other)
    talk(ours, other, "chat", LARGEST["pion"])
    watch(ours, other, recordings)
