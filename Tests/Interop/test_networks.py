"""Browsers behind NATs and firewalls, and through a relay: networks of namespaces, real programs, decoded frames."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import urllib.request

import pytest
import whip
from browsers import Chromium, Firefox
from conftest import AUDIO, VIDEO, ffmpeg, start_server, stop_server, wait_for
from networks import NATS, Internet
from peers import Agent, Aiortc, Pion
from test_peer_connection import clips  # noqa: F401
from test_webrtc import PLAIN, playing
from webrtc import CHROMIUM, FIREFOX, page

pytestmark = pytest.mark.alone

SERVER, TURN, ROUTER, HOME = "203.0.113.10", "203.0.113.20", "203.0.113.30", "10.77.0.2"
PORTS = [8080, 8443, 1935, 1936]
TOKEN = "let-the-test-look"
ADMINISTRATOR = f"auth: {{keys: [{{key: {TOKEN}, do: admin}}]}}\n"


@pytest.fixture(scope="module")
def internet():
    for tool in ["ip", "nft", "turnserver"]:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: Scripts/bootstrap --interop")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    try:
        internet = Internet()
    except OSError as error:
        pytest.skip(f"network namespaces with NATs are not possible here: {error}")
    try:
        with internet.backbone.inside():
            yield internet
    finally:
        internet.close()


@pytest.fixture(scope="module")
def server(internet, tmp_path_factory):
    with internet.host("server", SERVER).inside():
        server = start_server(tmp_path_factory.mktemp("server"), host=SERVER, ports=PORTS, webrtc="0.0.0.0:8189", token=TOKEN, configuration=ADMINISTRATOR)
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def relay(internet, tmp_path_factory):
    log = (tmp_path_factory.mktemp("turn") / "turn.log").open("w")
    with internet.host("turn", TURN).inside():
        process = subprocess.Popen([
            "turnserver", "-n", "-a", "-u", "user:secret", "-r", "test", "--no-tls", "--no-dtls", "--no-cli", "-L", TURN, "-p", "3478",
            "--log-file", "stdout", "--pidfile", log.name + ".pid"], stdout=log, stderr=log)

    def listens():
        with contextlib.suppress(OSError), socket.create_connection((TURN, 3478), timeout=1):
            return True

    wait_for(listens)
    yield f"{TURN}:3478"
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def home(internet):
    return internet.home("home", ROUTER, HOME)


@pytest.fixture(scope="module")
def browsers(internet, home, server):
    """Chromium and Firefox behind the NAT. Pages over plain HTTP may use the camera there."""
    secure = f"--unsafely-treat-insecure-origin-as-secure=http://{SERVER}:{PORTS[0]}"
    home[0].rules(NATS["restricted"](HOME))
    with home[1].inside():
        made = [
            # From loopback no relay is reached, and candidates would wait for it in vain.
            Chromium(flags=[*(flag for flag in CHROMIUM if "loopback" not in flag), secure]),
            Firefox(preferences={
                **FIREFOX, "media.peerconnection.ice.loopback": False, "media.devices.insecure.enabled": True, "media.getusermedia.insecure.enabled": True}),
        ]
    yield made
    for browser in made:
        browser.close()


def start(browser, server, script, configuration="undefined"):
    page(browser, server)
    browser.evaluate(f"(() => {{ window.configuration = {configuration}; window.gathersFirst = true; return true; }})()")
    assert browser.evaluate(script + ".then(() => 'done')") == "done"


def through(browsers, server, path, configuration="undefined", frames=60):
    """The first publishes and the other watches; answers how both got there, and what the other has received."""
    publisher, viewer = browsers
    try:
        start(publisher, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})", configuration)
        wait_for(lambda: server.live(path))
        start(viewer, server, f"watch('/{path}/whep')", configuration)
        got = playing(viewer, frames=frames, seconds=40)
        assert got["width"] > 0
        sessions = server.api(f"/webrtc?path={path}")["sessions"]
        assert len(sessions) == 2
        return [session["pair"]["kind"] for session in sessions], got
    finally:
        for browser, name in [(publisher, "publisher"), (viewer, "viewer")]:
            browser.evaluate(f"(() => {{ window.{name}?.close(); return true; }})()")


def test_the_log_names_the_ports_and_what_peers_are_told_of(server):
    log = server.log.read_text()
    assert re.search(r"WebRTC listens on 0\.0\.0\.0:8189.*, UDP and TCP", log)
    assert f"peers are told of UDP {SERVER}:8189" in log and f"TCP {SERVER}:8189" in log


@pytest.mark.peer("chromium", "NAT: {kind}")
@pytest.mark.peer("firefox", "NAT: {kind}")
@pytest.mark.parametrize("kind", ["full cone", "restricted", "symmetric"])
def test_browsers_behind_a_nat_publish_and_watch_by_udp(browsers, server, home, kind):
    home[0].rules(NATS[kind](HOME))
    for number, pair in enumerate([browsers, reversed(browsers)]):
        kinds, got = through(pair, server, f"live/{kind.replace(' ', '-')}-{number}")
        assert kinds == ["prflx-udp"] * 2 and got["video"]["lost"] == 0


@pytest.mark.peer("chromium", "TCP only: UDP blocked")
@pytest.mark.peer("firefox", "TCP only: UDP blocked")
def test_where_udp_is_blocked_tcp_is_found(browsers, server, home):
    home[0].rules(NATS["UDP blocked"](HOME))
    for number, pair in enumerate([browsers, reversed(browsers)]):
        kinds, _ = through(pair, server, f"live/blocked-{number}")
        assert all(kind.endswith("-tcp") for kind in kinds), kinds


@pytest.mark.peer("chromium", "loss and delay: 2 % loss")
@pytest.mark.peer("firefox", "loss and delay: 2 % loss")
def test_two_percent_of_loss_is_mended(browsers, server, home):
    home[0].rules(NATS["2 % loss"](HOME))
    kinds, got = through(browsers, server, "live/lossy", frames=150)
    assert got["video"]["nacks"] > 0
    assert re.search(r"martlet_webrtc_retransmissions_total [1-9]", server.get("/metrics")[2].decode())


@pytest.mark.peer("chromium", "loss and delay: FEC both ways")
def test_what_is_lost_comes_back_by_fec(browsers, server, home):
    """Chromium sends ULPFEC inside RED with VP8, and takes FlexFEC, both as far as packets are lost."""
    chromium, _ = browsers
    home[0].rules(NATS["8 % loss"](HOME))
    path = "live/repaired"

    def repaired():
        # At a short round trip Chromium protects key frames alone; one is asked for with each viewer that wants frames.
        with urllib.request.urlopen(server.url(f"/{path}.flv"), timeout=20) as frames:
            frames.read(1000)
        tracks = [track for session in server.api(f"/webrtc?path={path}")["sessions"] for track in session["tracks"] if track["kind"] == "video"]
        return len(tracks) == 2 and all(track["fec"] > 0 for track in tracks)

    try:
        start(chromium, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})")
        wait_for(lambda: server.live(path))
        # On the same page: another would end the publisher.
        chromium.evaluate(f"watch('/{path}/whep').then(() => 'done')")
        wait_for(repaired, 60, step=0.5)
        received = next(report for report in chromium.evaluate("viewer.getStats().then(all => [...all.values()])")
                        if report["type"] == "inbound-rtp" and report["kind"] == "video")
        assert received["fecPacketsReceived"] > 0 and received["framesDecoded"] > 0, received
    finally:
        chromium.evaluate("(() => { window.publisher?.close(); window.viewer?.close(); return true; })()")


@pytest.mark.peer("chromium", "relay only: over {transport}")
@pytest.mark.peer("firefox", "relay only: over {transport}")
@pytest.mark.peer("coturn", "relay only: over {transport}")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_relay_is_enough(browsers, server, home, relay, transport):
    home[0].rules(NATS["symmetric" if transport == "udp" else "UDP blocked"](HOME))
    servers = f"[{{ urls: 'turn:{relay}?transport={transport}', username: 'user', credential: 'secret' }}]"
    kinds, _ = through(browsers, server, f"live/relay-{transport}", f"{{ iceTransportPolicy: 'relay', iceServers: {servers} }}")
    assert kinds == ["relay-udp"] * 2


@pytest.mark.peer("chromium", "NAT: the server behind one")
@pytest.mark.peer("firefox", "NAT: the server behind one")
@pytest.mark.peer("coturn", "NAT: the server behind one")
def test_a_server_behind_a_nat_learns_its_address(internet, browsers, home, relay, tmp_path):
    """The router passes the ports on; a STUN server tells where it stands."""
    home[0].rules(NATS["restricted"](HOME))
    router, host = internet.home("office", "203.0.113.40", "10.88.0.2")
    router.rules(
        'table ip nat {\n chain post { type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }\n'
        ' chain pre { type nat hook prerouting priority dstnat; iifname "eth0" dnat to 10.88.0.2; }\n}')
    with host.inside():
        inner = start_server(
            tmp_path, "--workers", "2", host="10.88.0.2", ports=PORTS, webrtc="0.0.0.0:8189", token=TOKEN,
            # On a shared port one worker gets all answers of the STUN server.
            configuration=ADMINISTRATOR + f'webrtc: {{addresses: ["stun:{relay}"], single_port: true}}\n')
    inner.host = "203.0.113.40"
    source = None
    try:
        wait_for(lambda: "203.0.113.40:8189" in inner.log.read_text())
        source = subprocess.Popen(["ffmpeg", "-v", "error", "-re", *VIDEO, *AUDIO, *PLAIN, "-c:a", "aac", "-f", "flv", inner.rtmp_url("live/inner")])
        wait_for(lambda: inner.live("live/inner"))
        chromium = browsers[0]
        start(chromium, inner, "watch('/live/inner/whep')")
        playing(chromium)
        candidates = inner.api("/webrtc?path=live/inner")["sessions"][0]["local_candidates"]
        for transport in ["udp", "tcp"]:
            assert any(f" {transport} " in c.lower() and "203.0.113.40 8189" in c for c in candidates), candidates
        chromium.evaluate("viewer.close()")
    finally:
        if source:
            source.kill()
            source.wait()
        stop_server(inner)


@pytest.mark.peer("chromium", "TCP only: UDP cut in the middle")
def test_where_udp_is_cut_in_the_middle_tcp_takes_over(browsers, server, home):
    """Chromium keeps its TCP candidates in use for that."""
    browser, path = browsers[0], "live/cut"
    home[0].rules(NATS["restricted"](HOME))

    def kinds():
        return [session["pair"]["kind"] for session in server.api(f"/webrtc?path={path}")["sessions"] if session.get("pair")]

    try:
        start(browser, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})")
        wait_for(lambda: server.live(path))
        # On the same page: another would end the publisher.
        browser.evaluate(f"watch('/{path}/whep').then(() => 'done')")
        playing(browser, frames=30)
        assert kinds() == ["prflx-udp"] * 2
        home[0].rules(NATS["UDP blocked"](HOME))
        wait_for(lambda: len(kinds()) == 2 and all(kind.endswith("-tcp") for kind in kinds()), 45)
        before = browser.evaluate("received()")["video"]["frames"]
        wait_for(lambda: browser.evaluate("received()")["video"]["frames"] > before + 60, 30)
        assert browser.evaluate("[publisher.connectionState, viewer.connectionState]") == ["connected"] * 2
    finally:
        browser.evaluate("(() => { window.publisher?.close(); window.viewer?.close(); return true; })()")


@pytest.mark.peer("firefox", "restart: UDP cut in the middle")
@pytest.mark.peer("chromium", "TCP only: UDP cut in the middle")
def test_where_udp_is_cut_in_the_middle_firefox_moves_with_a_restart(browsers, server, home):
    """It cancels the checks of all other pairs when it has one, says `disconnected` when that is silent for 8 s, and never moves by
    itself."""
    (viewer, publisher), path = browsers, "live/cut-firefox"
    home[0].rules(NATS["restricted"](HOME))

    def kinds(role):
        return [s["pair"]["kind"] for s in server.api(f"/webrtc?path={path}")["sessions"] if s["role"] == role and s.get("pair")]

    try:
        start(publisher, server, f"publish('/{path}/whip', {{ codec: 'vp8' }})")
        wait_for(lambda: server.live(path))
        start(viewer, server, f"watch('/{path}/whep')")
        playing(viewer, frames=30)
        home[0].rules(NATS["UDP blocked"](HOME))
        wait_for(lambda: publisher.evaluate("window.publisher.iceConnectionState") == "disconnected", 45)
        assert kinds("publisher") in ([], ["prflx-udp"])
        publisher.evaluate("restart(window.publisher)")
        wait_for(lambda: kinds("publisher") == ["prflx-tcp"], 30)
        playing(viewer, frames=60, seconds=45)
        assert publisher.evaluate("window.publisher.connectionState") == "connected"
    finally:
        for browser in browsers:
            browser.evaluate("(() => { window.publisher?.close(); window.viewer?.close(); return true; })()")


# MARK: Peers without a window

PROGRAMS = {"aiortc": Aiortc, "pion": Pion, "martlet": Agent}


def peers_through(namespace, server, path, clips, kind, frames=50):  # noqa: F811
    """Two of a kind, there: one publishes and the other watches; by what kinds of pair."""
    with contextlib.ExitStack() as stack:
        with namespace.inside():
            publisher, viewer = (stack.enter_context(contextlib.closing(PROGRAMS[kind]())) for _ in range(2))
        _, pairs = whip.through(publisher, viewer, server, path, clips, frames)
        assert len(pairs) == 2
        return set(pairs)


@pytest.mark.peer("kind", "NAT: {nat}")
@pytest.mark.parametrize("nat", ["full cone", "restricted", "symmetric"])
@pytest.mark.parametrize("kind", PROGRAMS)
def test_programs_behind_a_nat_publish_and_watch_by_udp(server, home, clips, kind, nat):  # noqa: F811
    home[0].rules(NATS[nat](HOME))
    assert peers_through(home[1], server, f"live/{nat.replace(' ', '-')}-{kind}", clips, kind) == {"prflx-udp"}


@pytest.mark.peer("martlet", "TCP only: UDP blocked")
def test_where_udp_is_blocked_our_peer_connection_finds_tcp(server, home, clips):  # noqa: F811
    home[0].rules(NATS["UDP blocked"](HOME))
    pairs = peers_through(home[1], server, "live/blocked-martlet", clips, "martlet")
    assert all(pair.endswith("-tcp") for pair in pairs), pairs


@pytest.mark.peer("kind", "loss and delay: 2 % loss")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_programs_go_on_through_two_percent_of_loss(server, home, clips, kind):  # noqa: F811
    home[0].rules(NATS["2 % loss"](HOME))
    peers_through(home[1], server, f"live/lossy-{kind}", clips, kind, frames=100)


@pytest.mark.peer("ffmpeg9", "NAT: {nat}")
@pytest.mark.parametrize("nat", ["full cone", "restricted", "symmetric"])
def test_ffmpeg_publishes_by_whip_from_behind_a_nat(server, home, ffmpeg9, nat):
    home[0].rules(NATS[nat](HOME))
    path = f"live/{nat.replace(' ', '-')}-ffmpeg"
    with home[1].inside():
        process = subprocess.Popen([
            ffmpeg9, "-v", "error", "-re", *VIDEO, *AUDIO, *PLAIN, "-profile:v", "baseline", "-c:a", "libopus", "-ar", "48000", "-ac", "2",
            "-f", "whip", server.url(f"/{path}/whip")])
    try:
        wait_for(lambda: server.live(path))
        decoded = ffmpeg("-t", "2", "-i", server.url(f"/{path}.flv"), "-vsync", "vfr", "-f", "null", "-")
        assert decoded.stderr == ""
    finally:
        process.kill()
        process.wait()
