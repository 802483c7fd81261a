"""Browsers far away: a tenth of a second there and back, and one packet in a hundred lost on each way."""
import contextlib
import re

import pytest
from browsers import Chromium, Firefox
from conftest import wait_for
from line import line
from networks import run
from test_networks import PORTS, PROGRAMS, SERVER, internet, peers_through, server  # noqa: F401
from test_peer_connection import clips  # noqa: F401
from test_webrtc import playing
from webrtc import CHROMIUM, FIREFOX, page

pytestmark = pytest.mark.alone

# Between the backbone and the browsers.
NEAR, FAR = "10.66.0.1/24", "10.66.0.2/24"
DELAY, LOSS = 0.05, 0.01


@pytest.fixture(scope="module")
def far(internet):  # noqa: F811
    host, backbone = internet.namespace("far"), internet.backbone
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(line(backbone, host, [NEAR, FAR], delay=DELAY, jitter=0.005, loss=LOSS))
        except OSError as error:
            pytest.skip(f"TUN devices are not possible here: {error}")
        host.ip("route", "add", "default", "via", NEAR.split("/")[0])
        run("ip", "netns", "exec", backbone.name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        backbone.rules('table ip nat {\n chain post { type nat hook postrouting priority srcnat; oifname "br0" masquerade; }\n}')
        yield host


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request, far):
    with far.inside():
        if request.param == "chromium":
            secure = f"--unsafely-treat-insecure-origin-as-secure=http://{SERVER}:{PORTS[0]}"
            made = Chromium(flags=[*(flag for flag in CHROMIUM if "loopback" not in flag), secure])
        else:
            made = Firefox(preferences={
                **FIREFOX, "media.peerconnection.ice.loopback": False, "media.devices.insecure.enabled": True, "media.getusermedia.insecure.enabled": True})
    made.name = request.param
    yield made
    made.close()


@pytest.fixture(scope="module")
def opened(browser, server):  # noqa: F811
    """A page that can publish and watch."""
    return page(browser, server)


@pytest.mark.peer("chromium", "loss and delay: 100 ms, 1 % loss")
@pytest.mark.peer("firefox", "loss and delay: 100 ms, 1 % loss")
def test_pictures_and_sound_come_both_ways(opened, server):  # noqa: F811
    path = f"live/far-{opened.name}"
    try:
        opened.evaluate(f"publish('/{path}/whip', {{ codec: 'vp8' }}).then(() => 'done')")
        wait_for(lambda: server.live(path))
        opened.evaluate(f"watch('/{path}/whep').then(() => 'done')")
        got = playing(opened, frames=150, seconds=60)
        assert got["width"] > 0 and got["video"]["nacks"] > 0
        # Whichever way is measured, it is as long as it is.
        sessions = wait_for(lambda: (s := server.api(f"/webrtc?path={path}")["sessions"]) and all("round_trip" in one for one in s) and s)
        assert len(sessions) == 2 and all(2 * DELAY <= session["round_trip"] < 1 for session in sessions), sessions
        # Hardly a picture is missing: packets are sent again in time.
        before = opened.evaluate("received()")["video"]["frames"]
        wait_for(lambda: opened.evaluate("received()")["video"]["frames"] >= before + 100, 30)
    finally:
        opened.evaluate("(() => { window.publisher?.close(); window.viewer?.close(); return true; })()")
    assert re.search(r"martlet_webrtc_retransmissions_total [1-9]", server.get("/metrics")[2].decode())


@pytest.mark.peer("kind", "loss and delay: 100 ms, 1 % loss")
@pytest.mark.parametrize("kind", PROGRAMS)
def test_pictures_and_sound_of_programs_come_both_ways(far, server, clips, kind):  # noqa: F811
    peers_through(far, server, f"live/far-{kind}", clips, kind, frames=100)


CHANNELS = """(async () => {
  const peer = new RTCPeerConnection();
  const open = label => new Promise(done => {
    const channel = peer.createDataChannel(label);
    channel.binaryType = "arraybuffer";
    channel.onopen = () => done(channel);
  });
  const opening = ["sink", "source"].map(open);
  await exchange(peer, "/diag/datachannel");
  const [sink, source] = await Promise.all(opening);
  const begun = performance.now();
  await new Promise(done => { let total = 0; source.onmessage = ({ data }) => { total += data.byteLength; if (total >= SIZE) done(); }; });
  const down = performance.now() - begun;
  source.close();
  const next = performance.now();
  sink.bufferedAmountLowThreshold = 1 << 18;
  for (let sent = 0; sent < SIZE; sent += 16384) {
    while (sink.bufferedAmount > 1 << 20) await new Promise(done => sink.onbufferedamountlow = done);
    sink.send(new Uint8Array(16384));
  }
  const report = new Promise(done => sink.onmessage = ({ data }) => done(Number(data)));
  sink.send("report");
  const sunk = await report;
  const up = performance.now() - next;
  peer.close();
  return { sunk, down: SIZE / down, up: SIZE / up };
})()"""


@pytest.mark.peer("chromium", "loss and delay: data channels, 100 ms, 1 % loss")
@pytest.mark.peer("firefox", "loss and delay: data channels, 100 ms, 1 % loss")
def test_data_channels_keep_their_pace(opened):
    """A window of 1,200-byte packets that is halved at each loss carries some 120 kB/s there (Mathis et al., 1997)."""
    size = 1 << 20
    got = opened.evaluate(CHANNELS.replace("SIZE", str(size)))
    print(f"{opened.name}: {got['down']:.0f} kB/s from the server, {got['up']:.0f} kB/s to it")
    assert got["sunk"] == size and got["down"] > 50, got
