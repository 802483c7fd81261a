"""What of a picture goes to whom through the server: as large as it is shown, of who spoke last, and made only where somebody watches."""
import json
import urllib.request

import pytest
from browsers import Chromium
from conftest import start_server, stop_server, wait_for
from webrtc import CHROMIUM

pytestmark = pytest.mark.alone

# Several members of a room in one page: `members` by name, each with what it sends and shows.
PAGE = """(() => {
  const Native = RTCPeerConnection;
  window.made = [];
  window.RTCPeerConnection = class extends Native { constructor(...rest) { super(...rest); made.push(this); } };
  window.members = {};
  window.enter = async (room, name, options = {}) => {
    const { joinRoom } = await import("/martlet.js");
    const before = made.length;
    const joined = await joinRoom(room, { name, ...options });
    members[name] = { room: joined, get peer() { return made.slice(before).find(({ own }) => own === name || own === undefined); } };
    for (const peer of made.slice(before)) peer.own = name;
    return joined.me.id;
  };
  // Bytes sent by layer, by the name of the layer.
  window.sent = async (name) => Object.fromEntries([...(await members[name].peer.getStats()).values()]
    .filter(({ type, kind }) => type === "outbound-rtp" && kind === "video").map(({ rid, bytesSent }) => [rid ?? "", bytesSent]));
  window.rates = async (name, milliseconds = 1000) => {
    const before = await sent(name);
    await new Promise((done) => setTimeout(done, milliseconds));
    return Object.fromEntries(Object.entries(await sent(name)).map(([rid, bytes]) => [rid, (bytes - (before[rid] ?? 0)) * 8000 / milliseconds]));
  };
  window.show = (name, of) => {
    const other = [...members[name].room.participants.values()].find((each) => each.name === of);
    const id = `${name}-${of}`;
    const video = document.getElementById(id) ?? Object.assign(document.createElement("video"), { id, autoplay: true, muted: true, playsInline: true });
    video.srcObject = other.stream;
    document.body.append(video);
    return video;
  };
})()"""
CAMERA = "{ video: { width: 640, height: 480 } }"
NOTHING = "{ audio: false, video: false }"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("server"), "--workers", "2", configuration="rooms: {topology: sfu}\n")
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def made_page():
    browser = Chromium(flags=CHROMIUM)
    yield browser
    browser.close()


@pytest.fixture
def page(made_page, server):
    made_page.open(server.url("/healthz"))
    made_page.evaluate(PAGE)
    yield made_page
    made_page.open("about:blank")


def until(browser, script, seconds=40):
    try:
        return wait_for(lambda: browser.evaluate(f"(async () => Boolean(await ({script})))()"), seconds)
    except AssertionError:
        state = browser.evaluate("""JSON.stringify([...document.querySelectorAll("video")].map(({ id, videoHeight, currentTime }) => [id, videoHeight, currentTime]))""")
        raise AssertionError(f"in vain for {script}; pictures: {state}") from None


def sends(browser, name, flowing, silent):
    """Waits until these layers flow and those do not."""
    def holds():
        rates = browser.evaluate(f"rates('{name}')")
        return rates and all(rates.get(rid, 0) > 10_000 for rid in flowing) and all(rates.get(rid, 0) < 1000 for rid in silent) and rates
    return wait_for(holds, 40)


@pytest.mark.peer("chromium", "rooms: is sent what it shows")
def test_a_tile_of_the_call_page_gets_the_layer_that_fits(page, server):
    for name in ("ada", "bob"):
        page.evaluate(f"enter('tiles', '{name}', {CAMERA})")
    viewer = Chromium(flags=CHROMIUM)
    try:
        viewer.open(server.url("/call/tiles"))
        until(viewer, "document.getElementById('preview').videoWidth > 0")
        viewer.evaluate("document.getElementById('enter').elements.name.value = 'eve'")
        viewer.evaluate("document.getElementById('join').click()")
        until(viewer, "document.querySelectorAll('.tile.pictured').length === 3")

        def height(name):
            return f"[...document.querySelectorAll('.tile')].find((tile) => tile.innerText.includes('{name}')).querySelector('video').videoHeight"

        def press(name):
            viewer.evaluate(f"[...document.querySelectorAll('.tile')].find((tile) => tile.innerText.includes('{name}')).querySelector('.pin').click()")

        press("ada")
        until(viewer, f"{height('ada')} === 480 && {height('bob')} === 240")
        # Large is the other one now.
        press("bob")
        until(viewer, f"{height('bob')} === 480 && {height('ada')} === 240")
    finally:
        viewer.close()


@pytest.mark.peer("chromium", "rooms: makes the layers that somebody watches")
def test_layers_that_nobody_watches_are_not_made_and_come_back(page, server):
    page.evaluate("enter('rest', 'ada', { video: { width: 1280, height: 720 } })")
    # Nobody is there: no picture is made, and sound goes on.
    sends(page, "ada", [], ["q", "h", "f"])
    assert page.evaluate("""members.ada.peer.getStats().then((all) => [...all.values()].find(({ type, kind }) => type === "outbound-rtp" && kind === "audio").bytesSent)""") > 0
    page.evaluate(f"enter('rest', 'bob', {NOTHING})")
    until(page, "[...members.bob.room.participants.values()][0].tracks.size === 2")
    video = "document.getElementById('bob-ada')"
    page.evaluate("void show('bob', 'ada')")
    ada = page.evaluate("members.ada.room.me.id")

    def view(wish):
        page.evaluate(f"members.bob.room.setView('{ada}', 'camera', {json.dumps(wish)})")

    until(page, f"{video}.videoHeight === 720")
    view({"width": 200, "height": 150})
    until(page, f"{video}.videoHeight === 180")
    sends(page, "ada", ["q"], ["h", "f"])
    view({"width": 400, "height": 300})
    until(page, f"{video}.videoHeight === 360")
    sends(page, "ada", ["h"], ["q", "f"])
    view({"paused": True})
    sends(page, "ada", [], ["q", "h", "f"])
    view({"width": 1280, "height": 720})
    until(page, f"{video}.videoHeight === 720")
    # A recorder or a player of another output watches, too.
    page.evaluate("members.bob.room.leave()")
    sends(page, "ada", [], ["q", "h", "f"])
    with urllib.request.urlopen(server.url(f"/rooms/rest/{ada}.flv"), timeout=30) as stream:
        assert stream.read(65536)
        sends(page, "ada", ["f"], [])


@pytest.mark.peer("chromium", "rooms: sees who spoke last")
def test_who_spoke_last_is_seen_and_what_is_pinned(page, server):
    page.evaluate("""(() => {
      window.context = new AudioContext();
      window.voice = (loud) => {
        const gain = new GainNode(context, { gain: loud ? 0.5 : 0 });
        const out = context.createMediaStreamDestination();
        const tone = new OscillatorNode(context, { frequency: 300 });
        tone.connect(gain).connect(out);
        tone.start();
        return { gain, track: out.stream.getAudioTracks()[0] };
      };
      window.voices = {};
      window.speak = (name) => { for (const [each, { gain }] of Object.entries(voices)) gain.gain.value = each === name ? 0.5 : 0; };
    })()""")
    for name in ("ada", "bob", "cleo"):
        page.evaluate(f"voices.{name} = voice(false), enter('last', '{name}', {{ audio: voices.{name}.track, video: {{ width: 320, height: 240 }} }})")
    page.evaluate("enter('last', 'eve', { audio: false, video: false, lastN: 1 })")
    until(page, "[...members.eve.room.participants.values()].filter(({ tracks }) => tracks.size === 2).length === 3")
    for name in ("ada", "bob", "cleo"):
        page.evaluate(f"void show('eve', '{name}')")

    def shown():
        """Whose pictures go on."""
        return page.evaluate("""(async () => {
          const count = () => Object.fromEntries(["ada", "bob", "cleo"].map((name) => [name, document.getElementById(`eve-${name}`).getVideoPlaybackQuality().totalVideoFrames]));
          const before = count();
          await new Promise((done) => setTimeout(done, 700));
          const after = count();
          return Object.keys(after).filter((name) => after[name] > before[name]).join();
        })()""")

    for name in ("bob", "cleo", "ada"):
        page.evaluate(f"speak('{name}')")
        wait_for(lambda: shown() == name, 40)
    cleo = page.evaluate("members.cleo.room.me.id")
    page.evaluate(f"members.eve.room.setView('{cleo}', 'camera', {{ pinned: true }})")
    wait_for(lambda: shown() == "ada,cleo", 40)


STATISTICS = """members.bob.peer.getStats().then((all) => {
  const { frameHeight, framesDecoded, freezeCount, keyFramesDecoded, bytesReceived, framesPerSecond } = [...all.values()].find(({ type, kind }) => type === "inbound-rtp" && kind === "video");
  return { frameHeight, framesDecoded, freezeCount, keyFramesDecoded, bytesReceived, framesPerSecond };
})"""


@pytest.mark.peer("chromium", "rooms: sends layers in one stream (SVC), of which each gets what fits")
@pytest.mark.parametrize("codec, mode, heights", [("VP9", "L2T3_KEY", [480, 240, 480]), ("AV1", "L1T3", [480])])
def test_layers_in_one_stream_are_left_out_for_who_sees_less(page, server, codec, mode, heights):
    room = codec.lower()
    page.evaluate(f"enter('{room}', 'ada', {{ video: {{ width: 640, height: 480 }}, scalability: {{ codec: '{codec}', mode: '{mode}' }} }})")
    page.evaluate(f"enter('{room}', 'bob', {NOTHING})")
    until(page, "[...members.bob.room.participants.values()][0].tracks.size === 2")
    page.evaluate("void show('bob', 'ada')")
    ada = page.evaluate("members.ada.room.me.id")
    for height in heights:
        page.evaluate(f"members.bob.room.setView('{ada}', 'camera', {{ width: {height}, height: {height} }})")
        until(page, f"document.getElementById('bob-ada').videoHeight === {height}")
        before = page.evaluate(STATISTICS)
        wait_for(lambda: page.evaluate(STATISTICS)["framesDecoded"] >= before["framesDecoded"] + 40, 30)
        after = page.evaluate(STATISTICS)
        assert after["frameHeight"] == height and after["freezeCount"] == before["freezeCount"], (before, after)
    assert page.evaluate(f"members.ada.peer.getSenders().some((sender) => sender.getParameters().encodings?.[0]?.scalabilityMode === '{mode}')")
