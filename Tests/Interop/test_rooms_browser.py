"""Rooms in browsers: the call page and `joinRoom`, with pictures and sound between Chromium and Firefox, signaling that breaks, files."""
import hashlib
import json
import select
import socket
import threading
import time
import urllib.request

import jwt
import pytest
from browsers import Chromium, Firefox
from conftest import free_port, start_server, stop_server, wait_for
from documents import block
from webrtc import CHROMIUM, FIREFOX

pytestmark = pytest.mark.paired

# A name that is not the machine's own.
ELSEWHERE = "insecure.example"
SECRET = "a secret of more than thirty-two letters"
# Bob has a phone, and likes it dark.
MAKERS = {"ada": lambda: Chromium(flags=CHROMIUM), "bob": lambda: Chromium(flags=CHROMIUM, size=(390, 800), dark=True),
          "eve": lambda: Firefox(preferences=FIREFOX)}

# Every connection of the page, for its statistics: what has been decoded, and how much of the sound was made up for what was missing.
WATCH = """(() => {
  window.peers = [];
  const Native = RTCPeerConnection;
  window.RTCPeerConnection = class extends Native { constructor(...rest) { super(...rest); peers.push(this); } };
  window.received = async () => {
    const all = { frames: 0, energy: 0, connections: 0 };
    for (const peer of peers) {
      if (peer.connectionState !== "connected") continue;
      const now = { frames: 0, energy: 0 };
      for (const report of (await peer.getStats()).values()) {
        if (report.type !== "inbound-rtp") continue;
        now.frames += report.framesDecoded ?? 0;
        now.energy += report.totalAudioEnergy ?? 0;
      }
      // As good as the worst of them.
      all.frames = all.connections ? Math.min(all.frames, now.frames) : now.frames;
      all.energy = all.connections ? Math.min(all.energy, now.energy) : now.energy;
      all.connections++;
    }
    return all;
  };
})()"""

LISTEN = """(async () => {
  const { joinRoom } = await import("/martlet.js");
  window.log = [];
  window.files = [];
  window.room = await joinRoom(%s, { name: %s, ...%s });
  for (const type of ["joined", "left", "changed", "track", "trackended", "message", "data", "connection", "topology"]) {
    room.addEventListener(type, (event) => log.push([type, event.participant?.name ?? null, event.source ?? event.state ?? event.data ?? event.reason ?? null]));
  }
  room.addEventListener("file", ({ transfer }) => { files.push(transfer); });
  // Browsers decode what is played.
  const play = ({ id, stream }) => {
    if (document.getElementById(id)) return;
    const video = Object.assign(document.createElement("video"), { id, srcObject: stream, autoplay: true, playsInline: true });
    document.body.append(video);
  };
  room.addEventListener("track", ({ participant }) => participant === room.me || play(participant));
  for (const participant of room.participants.values()) play(participant);
  return room.me.id;
})()"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = start_server(folder, configuration=(
        f"rooms: {{grace: 12s, topology: mesh}}\nfiles: {{path: {folder}/files}}\nauth: {{jwt: [{{secret: {SECRET}, do: [upload]}}]}}\n"))
    yield server
    stop_server(server)


class People:
    """Browsers by the name of who sits at them, made when they are first asked for."""

    def __init__(self):
        self.browsers = {}

    def __getitem__(self, name):
        if name not in self.browsers:
            self.browsers[name] = MAKERS[name]()
        return self.browsers[name]

    def leave(self):
        for browser in self.browsers.values():
            browser.open("about:blank")


@pytest.fixture(scope="module")
def all_people():
    people = People()
    yield people
    for browser in people.browsers.values():
        browser.close()


@pytest.fixture
def people(all_people):
    yield all_people
    all_people.leave()


def token(*actions):
    return jwt.encode({"exp": time.time() + 600, "can": [{"do": actions, "on": "rooms/**"}]}, SECRET)


def until(browser, script, seconds=30):
    try:
        return wait_for(lambda: browser.evaluate(f"(async () => Boolean(await ({script})))()"), seconds)
    except AssertionError:
        state = browser.evaluate("JSON.stringify(window.log ?? null) + document.body.innerText")
        raise AssertionError(f"in vain for {script}; the page has {state}") from None


def join(people, server, room, name, options="{}", url="", block=()):
    """A page of its own that joins with `joinRoom`; `block` names what finds nobody at the other end."""
    browser = people[name]
    browser.open(f"{url or server.url('')}/healthz")
    browser.evaluate("sessionStorage.clear()")
    browser.evaluate(WATCH)
    nowhere = free_port()
    for kind, scheme in (("WebSocket", "ws"), ("EventSource", "http")):
        if kind in block:
            browser.evaluate(f"""(() => {{
              const Native = window.{kind};
              window.{kind} = class extends Native {{ constructor(url, ...rest) {{ super("{scheme}://127.0.0.1:{nowhere}/", ...rest); }} }};
            }})()""")
    browser.own = browser.evaluate(LISTEN % (json.dumps(room), json.dumps(name), options))
    return browser


def call(people, server, room, name, url=""):
    """The call page, as a person goes through it."""
    browser = ask_in(people, server, room, name, url)
    until(browser, "!document.getElementById('call').hidden")
    return browser


def ask_in(people, server, room, name, url=""):
    browser = people[name]
    browser.open(f"{url or server.url('')}/call/{room}")
    browser.evaluate(WATCH)
    until(browser, "document.getElementById('preview').videoWidth > 0")
    browser.evaluate(f"document.getElementById('enter').elements.name.value = {json.dumps(name)}")
    browser.evaluate("document.getElementById('join').click()")
    return browser


def press(browser, identifier):
    browser.evaluate(f"document.getElementById({json.dumps(identifier)}).click()")


def others_flow(browser, count, more=10):
    """Pictures are decoded and sound is heard of so many others, from now on."""
    until(browser, f"received().then(({{ connections }}) => connections === {count})")
    before = browser.evaluate("received()")
    until(browser, f"received().then(({{ frames, energy }}) => frames >= {before['frames'] + more} && energy > {before['energy']})")


def others(browser):
    return browser.evaluate("[...room.participants.values()].map(({ name }) => name).sort()")


# The call page


@pytest.mark.peer("chromium", "rooms: calls")
@pytest.mark.peer("firefox", "rooms: calls")
@pytest.mark.parametrize("who", [["ada", "bob"], ["ada", "eve"], ["ada", "bob", "eve"]], ids=" ".join)
def test_people_see_and_hear_each_other(people, server, who):
    room = "-".join(who)
    pages = [call(people, server, room, name) for name in who]
    for browser, name in zip(pages, who, strict=True):
        others_flow(browser, len(who) - 1)
        assert others(browser) == sorted(set(who) - {name})
        for other in set(who) - {name}:
            tile = f"[...document.querySelectorAll('.tile.pictured')].find((tile) => tile.innerText.includes('{other}'))?.querySelector('video')"
            until(browser, f"(({tile})?.videoWidth ?? 0) > 0 && ({tile}).currentTime > 0.5")
        until(browser, "[...document.querySelectorAll('.tile:not(.own) .quality')].every(({ dataset }) => ['good', 'fair', 'poor'].includes(dataset.level))")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Nothing inline, nothing from elsewhere, no error on the console.
        assert not [problem for problem in getattr(browser, "problems", []) if "favicon" not in problem]


@pytest.mark.peer("chromium", "rooms: calls")
def test_what_is_said_reaches_an_event_stream_and_the_others(people, server):
    with urllib.request.urlopen(server.url("/channels/rooms/talk/events"), timeout=30) as events:
        ada, bob = call(people, server, "talk", "ada"), call(people, server, "talk", "bob")
        until(ada, "document.querySelectorAll('.tile').length === 2")
        press(ada, "tool-chat")
        ada.evaluate("""(() => { document.getElementById("text").value = "grüße"; document.getElementById("say").requestSubmit(); })()""")
        until(bob, "document.getElementById('messages').textContent.includes('grüße')")
        heard = next(json.loads(line[5:]) for line in events if line.startswith(b"data:") and "grüße".encode() in line)
    assert heard == {"from": ada.evaluate("room.me.id"), "name": "ada", "data": "grüße"}
    # Bob was told while the chat was closed; who comes later is shown what was said.
    assert bob.evaluate("document.getElementById('tool-chat').innerText").strip() == "Chat (1)"
    bob.open(server.url("/healthz"))
    until(ada, "document.getElementById('news').textContent.includes('bob has left')")
    bob = call(people, server, "talk", "bob")
    until(bob, "document.getElementById('messages').textContent.includes('grüße')")


@pytest.mark.peer("chromium", "rooms: calls")
def test_mute_is_shown_and_a_reload_is_somebody_new(people, server):
    ada, bob = call(people, server, "mute", "ada"), call(people, server, "mute", "bob")
    others_flow(ada, 1)
    first = bob.evaluate("room.me.id")
    press(bob, "tool-microphone")
    press(bob, "tool-camera")
    until(ada, "(document.querySelector('.tile:not(.own) .off')?.textContent ?? '') === 'muted, no picture'")
    until(ada, "!document.querySelector('.tile:not(.own)').classList.contains('pictured')")
    assert bob.evaluate("[...room.me.tracks.values()].every(({ enabled }) => !enabled)")
    press(bob, "tool-camera")
    until(ada, "document.querySelector('.tile:not(.own)').classList.contains('pictured')")
    # A reload leaves, and comes as another participant.
    bob = call(people, server, "mute", "bob")
    until(ada, f"room.participants.size === 1 && !room.participants.has({json.dumps(first)})")
    others_flow(ada, 1)
    press(bob, "tool-leave")
    until(bob, "document.getElementById('over-text').textContent === 'You have left.'")
    until(ada, "room.participants.size === 0 && !document.getElementById('alone').hidden")


@pytest.mark.peer("chromium", "rooms: shares the screen")
def test_a_screen_is_a_tile_of_its_own(people, server):
    ada, eve = call(people, server, "screen", "ada"), call(people, server, "screen", "eve")
    others_flow(eve, 1)
    # Headless browsers have no screen: a canvas is one.
    ada.evaluate("""(() => {
      const canvas = document.createElement("canvas");
      setInterval(() => canvas.getContext("2d").fillRect(0, 0, 1 + Math.random() * 300, 100), 50);
      navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(15);
    })()""")
    press(ada, "tool-screen")
    until(eve, "(document.querySelector('.tile.screen video')?.videoWidth ?? 0) > 0")
    assert eve.evaluate("document.querySelectorAll('.tile').length") == 3
    press(eve, "tool-view")
    until(eve, "document.querySelector('.tile.large')?.classList.contains('screen')")
    press(ada, "tool-screen")
    until(eve, "!document.querySelector('.tile.screen')")
    others_flow(eve, 1)
    # The section is used again.
    press(ada, "tool-screen")
    until(eve, "(document.querySelector('.tile.screen video')?.videoWidth ?? 0) > 0")
    assert ada.evaluate("peers.at(-1).getTransceivers().length") == 3


def key(browser, name):
    browser.evaluate(f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: {json.dumps(name)}, bubbles: true }}))")


@pytest.mark.peer("chromium", "rooms: is used by keyboard")
def test_the_page_by_keyboard(people, server):
    ada = call(people, server, "keys", "ada")
    ada.evaluate("document.activeElement.blur()")
    key(ada, "m")
    until(ada, "room.me.muted.join() === 'microphone' && document.getElementById('tool-microphone').innerText.trim() === 'Unmute'")
    press(ada, "tool-chat")
    assert ada.evaluate("document.activeElement.id") == "text"
    key(ada, "m")
    assert ada.evaluate("room.me.muted.join()") == "microphone", "a letter that is written is no key"
    key(ada, "Escape")
    until(ada, "document.getElementById('side').hidden && document.activeElement.id === 'tool-chat'")
    press(ada, "tool-view")
    key(ada, "Escape")
    until(ada, "document.getElementById('stage').dataset.view === 'grid'")
    # Whatever can be pressed says what it is.
    assert ada.evaluate("[...document.querySelectorAll('button, input, select')].every((each) => each.textContent.trim() || each.labels?.length || each.ariaLabel || each.hidden)")


@pytest.mark.peer("chromium", "rooms: waits in the lobby, and is thrown out")
def test_a_moderator_lets_in_mutes_and_throws_out(request, people, make_server):
    server = make_server(configuration="rooms: {lobby: true}\n")
    # Who asks by this machine's own address is an administrator; Bob asks by another name.
    origin = f"http://{ELSEWHERE}:{server.http}"
    bob = Chromium(flags=[*CHROMIUM, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1", f"--unsafely-treat-insecure-origin-as-secure={origin}"])
    request.addfinalizer(bob.close)
    ada = call(people, server, "door", "ada")
    ask_in({"bob": bob}, server, "door", "bob", url=origin)
    until(bob, "document.getElementById('entering').textContent.includes('let you in')")
    until(ada, "document.getElementById('messages').textContent.includes('bob asks to come in')")
    ada.evaluate("[...document.querySelectorAll('#messages button')].find((button) => button.textContent === 'Let in').click()")
    until(bob, "!document.getElementById('call').hidden")
    others_flow(ada, 1)
    ada.evaluate("room.moderate('mute', { participant: [...room.participants.keys()][0], muted: ['microphone'] })")
    until(ada, "(document.querySelector('.tile:not(.own) .off')?.textContent ?? '') === 'muted'")
    ada.evaluate("room.moderate('kick', { participant: [...room.participants.keys()][0], reason: 'enough' })")
    until(bob, "document.getElementById('over-text').textContent.includes('enough')")
    assert bob.evaluate("room.state") == "closed"
    until(ada, "room.participants.size === 0")


# joinRoom


@pytest.mark.peer("chromium", "rooms: joins by event stream and by polls")
@pytest.mark.peer("firefox", "rooms: joins by event stream and by polls")
@pytest.mark.parametrize("block, transport", [(["WebSocket"], "sse"), (["WebSocket", "EventSource"], "poll")])
def test_without_websockets_the_call_is_the_same(people, server, block, transport):
    ada = join(people, server, transport, "ada", block=block)
    eve = join(people, server, transport, "eve", block=block)
    for browser in (ada, eve):
        until(browser, f"room.transport === '{transport}'")
        others_flow(browser, 1)
    ada.evaluate("room.say({ x: [1, 'ü'] })")
    until(eve, "log.some(([type, , data]) => type === 'message' && data?.x?.[1] === 'ü')")
    ada.evaluate("room.leave()")
    until(eve, "log.some(([type, name, reason]) => type === 'left' && name === 'ada' && reason === 'left')")


class Cable:
    """A TCP way to the server that can be pulled out and put in again."""

    def __init__(self, port):
        self.target = port
        self.is_in = True
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.is_in:
                client.close()
                continue
            pair = (client, socket.create_connection(("127.0.0.1", self.target)))
            self.pairs.append(pair)
            threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, *pair):
        try:
            while True:
                for source in select.select(pair, [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    pair[source is pair[0]].sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            for end in pair:
                end.close()

    def pull(self):
        self.is_in = False
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs = []

    def close(self):
        self.pull()
        self.listener.close()


@pytest.fixture
def cable(server):
    cable = Cable(server.http)
    yield cable
    cable.close()


@pytest.mark.peer("chromium", "rooms: loses the signaling")
def test_signaling_that_comes_back_in_time_leaves_media_alone(people, server, cable):
    ada = call(people, server, "cut", "ada", url=f"http://127.0.0.1:{cable.port}")
    bob = join(people, server, "cut", "bob")
    others_flow(ada, 1)
    first = ada.evaluate("room.me.id")
    cable.pull()
    until(ada, "room.state === 'reconnecting' && document.getElementById('banner').textContent.includes('connection to the server was lost')")
    # Media goes on, and what happens meanwhile is not lost.
    others_flow(ada, 1)
    bob.evaluate("room.setMuted('camera', true)")
    bob.evaluate("room.say('meanwhile')")
    cable.is_in = True
    until(ada, "room.state === 'connected' && document.getElementById('banner').hidden")
    until(ada, "document.getElementById('messages').textContent.includes('meanwhile')")
    until(ada, "document.querySelector('.tile:not(.own) .off').textContent === 'no picture'")
    assert ada.evaluate("room.me.id") == first and not bob.evaluate("log.some(([type]) => type === 'left' || type === 'trackended')")
    for browser in (ada, bob):
        assert browser.evaluate("peers.length") == 1, "it is the same connection"


@pytest.mark.peer("chromium", "rooms: comes again after the grace")
def test_who_was_away_for_too_long_comes_again_by_itself(people, server, cable):
    ada = join(people, server, "again", "ada", url=f"http://127.0.0.1:{cable.port}")
    bob = join(people, server, "again", "bob")
    others_flow(ada, 1)
    cable.pull()
    until(bob, "log.some(([type, name, reason]) => type === 'left' && name === 'ada' && reason === 'timeout')", 40)
    cable.is_in = True
    until(ada, f"room.state === 'connected' && room.me.id !== {json.dumps(ada.own)}")
    others_flow(ada, 1)
    others_flow(bob, 1)
    assert others(bob) == ["ada"]


@pytest.mark.peer("chromium", "rooms: loses a connection")
@pytest.mark.peer("firefox", "rooms: loses a connection")
@pytest.mark.parametrize("victim", [0, 1], ids=["earlier", "later"])
def test_a_connection_that_is_dead_is_made_anew(people, server, victim):
    pair = join(people, server, f"dead{victim}", "ada"), join(people, server, f"dead{victim}", "eve")
    others_flow(pair[0], 1)
    pair[victim].evaluate("peers[0].close()")
    for browser in pair:
        until(browser, "peers.length >= 2 && peers.at(-1).connectionState === 'connected'", 60)
        others_flow(browser, 1)
        assert not browser.evaluate("log.some(([type]) => type === 'left')")


@pytest.mark.peer("chromium", "rooms: upgrades a call")
@pytest.mark.peer("firefox", "rooms: upgrades a call")
def test_a_call_of_data_alone_gets_sound_and_pictures_and_loses_them_again(people, server):
    nothing = "{ audio: false, video: false }"
    ada, eve = join(people, server, "data", "ada", nothing), join(people, server, "data", "eve", nothing)
    until(eve, "peers[0]?.connectionState === 'connected'")
    for sender, receiver in ((ada, eve), (eve, ada)):
        sender.evaluate("room.send([...room.participants.keys()][0], { from: room.me.name })")
        until(receiver, f"log.some(([type, , data]) => type === 'data' && data.from === '{'ada' if sender is ada else 'eve'}')")
    for browser in (ada, eve):
        browser.evaluate("""(async () => {
          const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
          for (const track of media.getTracks()) await room.publish(track);
        })()""")
    for browser in (ada, eve):
        others_flow(browser, 1)
    eve.evaluate("Promise.all([...room.me.tracks.values()].map((track) => room.unpublish(track)))")
    until(ada, "[...room.participants.values()][0].tracks.size === 0")
    others_flow(eve, 1)
    ada.evaluate("Promise.all([...room.me.tracks.values()].map((track) => room.unpublish(track)))")
    until(eve, "[...room.participants.values()][0].tracks.size === 0")
    assert ada.evaluate("peers.length") == eve.evaluate("peers.length") == 1, "all over one connection"
    assert ada.evaluate("peers[0].connectionState") == "connected"


@pytest.mark.peer("chromium", "rooms: shows a screen in place of the camera")
def test_a_section_that_carries_another_source_is_told_so(people, server):
    """The browser sees no need for an offer: the section goes on in the same direction."""
    options = "{ audio: false, video: true }"
    ada, bob = join(people, server, "instead", "ada", options), join(people, server, "instead", "bob", options)
    until(bob, "[...room.participants.values()][0]?.tracks.has('camera')")
    others_are_seen = "received().then(({ frames }) => frames > 0)"
    until(bob, others_are_seen)
    ada.evaluate("""(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 180 });
      const [context, screen] = [canvas.getContext("2d"), canvas.captureStream(10).getVideoTracks()[0]];
      setInterval(() => { context.fillStyle = `hsl(${Date.now() / 20 % 360} 50% 50%)`; context.fillRect(0, 0, 320, 180); }, 100);
      room.unpublish(room.me.tracks.get("camera"));
      room.publish(screen, { source: "screen" });
    })()""")
    until(bob, "(({ tracks }) => tracks.has('screen') && !tracks.has('camera'))([...room.participants.values()][0])")


# From each to each to the server, and back

# A tone in place of Chromium's beeps, and the longest silence of what is heard of the other from then on.
TONE = """(() => {
  window.context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 440 });
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  return room.publish(out.stream.getAudioTracks()[0], { source: "microphone" });
})()"""
LISTENING = """(() => {
  const [other] = room.participants.values();
  const heard = new Map();
  window.silence = { longest: 0, since: null, tracks: 0 };
  setInterval(() => {
    const track = other.tracks.get("microphone");
    if (track && !heard.has(track)) {
      const analyser = new AnalyserNode(context, { fftSize: 256 });
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      heard.set(track, analyser);
      silence.tracks = heard.size;
    }
    const samples = new Float32Array(256);
    heard.get(track)?.getFloatTimeDomainData(samples);
    const now = performance.now();
    if (samples.some((sample) => Math.abs(sample) > 0.01)) {
      if (silence.since !== null && silence.began) silence.longest = Math.max(silence.longest, now - silence.since);
      silence.since = null;
      silence.began = true;
    } else {
      silence.since ??= now;
    }
  }, 10);
})()"""


@pytest.mark.peer("chromium", "rooms: goes over to the server's media and back")
@pytest.mark.peer("firefox", "rooms: goes over to the server's media and back")
@pytest.mark.parametrize("other", ["bob", "eve"])
def test_a_call_goes_over_to_the_server_and_back_and_sound_goes_on(people, server, other):
    room = f"over-{other}"
    pair = join(people, server, room, "ada"), join(people, server, room, other)
    # Firefox's microphone is a tone, and without a device it has no sound to look at.
    ears = [browser for browser in pair if isinstance(browser, Chromium)]
    for browser in ears:
        browser.evaluate(TONE)
    for browser in pair:
        others_flow(browser, 1)
    for browser in ears:
        browser.evaluate(LISTENING)
        until(browser, "silence.began")
    for topology in ("sfu", "mesh", "sfu"):
        pair[0].evaluate(f"room.moderate('topology', {{ topology: '{topology}' }})")
        for browser in pair:
            until(browser, f"room.topology === '{topology}'")
            # The old connections are given up once the new ones carry everything.
            until(browser, "peers.filter(({ connectionState }) => connectionState !== 'closed').length === 1", 40)
            others_flow(browser, 1)
    for browser in ears:
        heard = browser.evaluate("silence")
        # A fifth of a second, and as much again for a machine that is busy.
        assert heard["tracks"] == 4 and heard["longest"] < 400, heard
    for browser in pair:
        assert browser.evaluate("[...room.participants.values()][0].tracks.size") == 2
    # Data goes on without a connection between the two.
    pair[0].evaluate("room.send([...room.participants.keys()][0], 'still here')")
    until(pair[1], "log.some(([type, , data]) => type === 'data' && data === 'still here')")


@pytest.mark.peer("chromium", "rooms: passes everything on as the supernode")
@pytest.mark.peer("firefox", "rooms: passes everything on as the supernode")
def test_a_supernode_passes_everything_on(people, server):
    names = ("ada", "bob", "eve")
    pages = {name: join(people, server, "super", name) for name in names}
    for browser in pages.values():
        others_flow(browser, 2)
    pages["bob"].evaluate(TONE)
    pages["ada"].evaluate("void (window.context = new AudioContext())")
    pages["ada"].evaluate(LISTENING)
    until(pages["ada"], "silence.began")
    for supernode in ("bob", "eve", None):
        mode = {"topology": "supernode", "supernode": pages[supernode].own} if supernode else {"topology": "mesh"}
        pages["ada"].evaluate(f"room.moderate('topology', {json.dumps(mode)})")
        for name, browser in pages.items():
            until(browser, f"room.supernode === {json.dumps(supernode and pages[supernode].own)}")
            count = 1 if supernode and name != supernode else 2
            until(browser, f"peers.filter(({{ connectionState }}) => connectionState !== 'closed').length === {count}", 40)
            others_flow(browser, count)
            until(browser, "[...room.participants.values()].every(({ tracks }) => tracks.size === 2 && [...tracks.values()].every(({ muted }) => !muted))")
    assert not pages["ada"].evaluate("log.some(([type]) => type === 'trackended')")
    assert pages["ada"].evaluate("silence.longest") < 400
    # Without its supernode the room is without sound until another one is there, and no longer.
    pages["ada"].evaluate(f"room.moderate('topology', {json.dumps({'topology': 'supernode', 'supernode': pages['eve'].own})})")
    until(pages["ada"], "room.topology === 'supernode' && peers.filter(({ connectionState }) => connectionState !== 'closed').length === 1", 40)
    pages["eve"].evaluate("room.leave()")
    until(pages["ada"], "room.participants.size === 1")
    for browser in (pages["ada"], pages["bob"]):
        others_flow(browser, 1)


@pytest.mark.peer("chromium", "rooms: goes over to the server's media when others come")
@pytest.mark.peer("firefox", "rooms: goes over to the server's media when others come")
def test_the_third_who_comes_moves_the_call_to_the_server(people, make_server):
    server = make_server(configuration="rooms: {mesh_limit: 2}\n")
    ada, bob = call(people, server, "grows", "ada"), call(people, server, "grows", "bob")
    others_flow(ada, 1)
    assert ada.evaluate("room.topology") == "mesh"
    eve = call(people, server, "grows", "eve")
    for browser in (ada, bob, eve):
        until(browser, "room.topology === 'sfu' && peers.filter(({ connectionState }) => connectionState !== 'closed').length === 1")
        until(browser, "[...document.querySelectorAll('.tile.pictured video')].filter(({ videoWidth, currentTime }) => videoWidth > 0 && currentTime > 0.5).length === 3")
        others_flow(browser, 1)


@pytest.mark.peer("chromium", "rooms: calls through the server")
@pytest.mark.peer("firefox", "rooms: calls through the server")
def test_three_call_through_the_server_and_tracks_come_and_go(people, make_server):
    server = make_server(configuration="rooms: {topology: sfu}\n")
    pages = [call(people, server, "hub", name) for name in ("ada", "bob", "eve")]
    for browser in pages:
        until(browser, "document.querySelectorAll('.tile.pictured').length === 3")
        until(browser, "[...document.querySelectorAll('.tile video')].every(({ videoWidth, currentTime }) => videoWidth > 0 && currentTime > 0.5)")
        others_flow(browser, 1)
        assert browser.evaluate("room.topology === 'sfu' && peers.length === 1")
    ada, bob, eve = pages
    sections = ada.evaluate("peers[0].getTransceivers().length")
    for _ in range(2):
        bob.evaluate("room.unpublish(window.own = room.me.tracks.get('camera'))")
        until(ada, "document.querySelectorAll('.tile.pictured').length === 2")
        bob.evaluate("room.publish(own)")
        until(ada, "document.querySelectorAll('.tile.pictured').length === 3")
    assert ada.evaluate("peers[0].getTransceivers().length") == sections, "sections are used again"
    press(bob, "tool-leave")
    until(eve, "document.querySelectorAll('.tile').length === 2")
    others_flow(eve, 1)


# Files

SIZE = 3_000_001


def content():
    return bytes((n * 7 + n // 251) & 255 for n in range(SIZE))


FILE = f"""(() => {{
  const bytes = new Uint8Array({SIZE});
  for (let n = 0; n < bytes.length; n++) bytes[n] = (n * 7 + Math.floor(n / 251)) & 255;
  return new File([bytes], "holiday.bin", {{ type: "application/x-holiday" }});
}})()"""
DIGEST = """file.arrayBuffer().then((bytes) => crypto.subtle.digest("SHA-256", bytes))
  .then((digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join(""))"""


@pytest.mark.peer("chromium", "rooms: sends and takes files")
@pytest.mark.peer("firefox", "rooms: sends and takes files")
def test_a_file_goes_from_one_to_the_other_with_pauses(people, server):
    nothing = "{ audio: false, video: false }"
    pair = join(people, server, "files", "ada", nothing), join(people, server, "files", "eve", nothing)
    for sender, receiver in (pair, pair[::-1]):
        until(sender, "room.participants.size === 1")
        sender.evaluate(f"void (window.transfer = room.sendFile([...room.participants.keys()][0], {FILE}))")
        until(receiver, "files.length === 1 && files[0].state === 'waiting' && files[0].name === 'holiday.bin'")
        assert sender.evaluate("transfer.state") == "waiting", "nothing goes before it is taken"
        # It stops at the receiver's wish, goes on, and stops at the sender's.
        receiver.evaluate("""void files[0].addEventListener("progress", function halt() {
          if (files[0].loaded < 500000) return;
          files[0].removeEventListener("progress", halt);
          files[0].pause();
        })""")
        receiver.evaluate("void files[0].accept()")
        until(sender, "transfer.state === 'paused'")
        sender.evaluate("""void transfer.addEventListener("progress", function halt() {
          if (transfer.loaded < 1500000) return;
          transfer.removeEventListener("progress", halt);
          transfer.pause();
        })""")
        receiver.evaluate("files[0].resume()")
        until(sender, "transfer.state === 'paused' && transfer.loaded >= 1500000 || transfer.state === 'done'")
        sender.evaluate("transfer.resume()")
        assert receiver.evaluate(f"files[0].done.then((file) => {DIGEST})") == hashlib.sha256(content()).hexdigest()
        until(sender, "transfer.state === 'done' && transfer.loaded === transfer.size && transfer.via === 'peer'")


@pytest.mark.peer("chromium", "rooms: sends and takes files")
def test_what_arrives_changed_is_not_taken(people, server):
    nothing = "{ audio: false, video: false }"
    ada, bob = join(people, server, "changed", "ada", nothing), join(people, server, "changed", "bob", nothing)
    until(ada, "room.participants.size === 1")
    ada.evaluate("""(() => {
      const send = RTCDataChannel.prototype.send;
      RTCDataChannel.prototype.send = function (data) {
        if (typeof data !== "string" && data.byteLength > 20) data[20] ^= 1;
        return send.call(this, data);
      };
    })()""")
    ada.evaluate("void (window.transfer = room.sendFile([...room.participants.keys()][0], new File(['x'.repeat(1000)], 'x')))")
    until(bob, "files.length === 1")
    bob.evaluate("void files[0].accept()")
    until(bob, "files[0].state === 'failed' && files[0].error.message.includes('SHA-256')")
    until(ada, "transfer.state === 'cancelled'")


@pytest.mark.peer("chromium", "rooms: sends a file by way of the server")
def test_where_a_participant_cannot_be_reached_the_file_goes_by_the_server(people, server):
    options = f"{{ audio: false, video: false, token: {json.dumps(token('upload', 'download', 'join'))} }}"
    ada = join(people, server, "far", "ada", options)
    # No candidate of this one gets to the other.
    ada.evaluate("""(() => {
      const real = window.fetch;
      window.fetch = (url, init) => {
        const { do: action } = typeof init?.body === "string" && String(url).includes("/rooms/") ? JSON.parse(init.body) : {};
        return ["offer", "answer", "candidate"].includes(action) ? Promise.resolve(Response.json({ ok: true })) : real(url, init);
      };
    })()""")
    bob = join(people, server, "far", "bob", options)
    until(ada, "room.participants.size === 1")
    ada.evaluate(f"void (window.transfer = room.sendFile([...room.participants.keys()][0], {FILE}))")
    until(bob, "files.length === 1 && files[0].via === 'server'", 40)
    assert bob.evaluate(f"files[0].accept().then((file) => {DIGEST})") == hashlib.sha256(content()).hexdigest()
    until(ada, "transfer.state === 'done' && transfer.via === 'server'")


# What is written to be copied


@pytest.mark.peer("firefox", "rooms: runs the page of the documentation")
def test_the_page_of_the_documentation_is_a_call(people, server, elsewhere):
    folder, address = elsewhere
    html = block("javascript.md", "Rooms", "html").replace("localhost:8080", f"127.0.0.1:{server.http}").replace('"lobby"', '"documented"')
    (folder / "call.html").write_text(html)
    ada, eve = call(people, server, "documented", "ada"), people["eve"]
    eve.open(f"{address}/call.html")
    until(eve, "[...document.querySelectorAll('video')].filter(({ videoWidth, currentTime }) => videoWidth > 0 && currentTime > 0.5).length === 2")
    others_flow(ada, 1)
    eve.evaluate("""(() => { document.getElementById("text").value = "from elsewhere"; document.getElementById("say").requestSubmit(); })()""")
    until(eve, "document.getElementById('log').textContent === 'Ada: from elsewhere'")
    until(ada, "document.getElementById('messages').textContent.includes('from elsewhere')")


# Before the call

REFUSALS = {
    "chromium without permission": (lambda: Chromium(flags=["--use-fake-device-for-media-stream", "--deny-permission-prompts"]), "may not use the camera and microphone"),
    "firefox without devices": (lambda: Firefox(preferences={"media.navigator.permission.disabled": True}), "No camera was found"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_without_devices_the_page_says_why_and_lets_in(server, name):
    make, expected = REFUSALS[name]
    browser = make()
    try:
        browser.open(server.url("/call/bare"))
        until(browser, "document.getElementById('problem').textContent")
        assert expected in browser.evaluate("document.getElementById('problem').textContent")
        browser.evaluate("document.getElementById('enter').elements.name.value = 'Mallory'")
        press(browser, "join")
        until(browser, "!document.getElementById('call').hidden && room.state === 'connected'")
    finally:
        browser.close()


def test_over_plain_http_the_page_says_so_and_lets_in(server):
    browser = Chromium(flags=[*CHROMIUM, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"])
    try:
        browser.open(f"http://{ELSEWHERE}:{server.http}/call/plain")
        until(browser, "document.querySelector('#insecure a')")
        assert browser.evaluate("document.querySelector('#insecure a').href") == f"https://{ELSEWHERE}:{server.https}/call/plain"
        browser.evaluate("document.getElementById('enter').elements.name.value = 'Mallory'")
        press(browser, "join")
        until(browser, "!document.getElementById('call').hidden && room.state === 'connected'")
    finally:
        browser.close()


def test_who_moderates_sees_how_and_who_does_not_does_not(people, server):
    ada, bob = call(people, server, "order", "ada"), call(people, server, "order", "bob")
    until(bob, "room.participants.size === 1")
    # Both are of this machine, which moderates; a page from elsewhere is told that it does not.
    press(ada, "tool-people")
    row = "document.querySelector('#list [data-participant=\"%s\"]')" % bob.evaluate("room.me.id")
    button = row + ".querySelectorAll('button')"
    until(ada, f"[...{button}].map((each) => each.textContent).join() === 'Mute,Camera off,Send out'")
    ada.evaluate(f"{button}[0].click()")
    until(bob, "room.me.muted.includes('microphone')")
    until(ada, f"{button}[0].disabled")
    ada.evaluate("document.getElementById('lock').click()")
    until(bob, "room.isLocked && document.getElementById('lock').textContent === 'Let others in again'")
    ada.evaluate("document.getElementById('lock').click()")
    until(bob, "!room.isLocked")
    for browser in (ada, bob):
        # As the server says it to who has no such permission.
        browser.evaluate("room.dispatchEvent(Object.assign(new Event('may'), { may: (room.may = ['publish']) })), 0")
        until(browser, "document.getElementById('lock').hidden && [...document.querySelectorAll('#list .row')].every(({ hidden }) => hidden)")
    # What is said from outside is shown as that.
    request = urllib.request.Request(server.url("/channels/rooms/order"), b"dinner is ready", method="POST")
    urllib.request.urlopen(request, timeout=20).close()
    until(ada, "document.querySelector('#messages .outside')?.textContent.includes('A program, from outside')")


def test_who_may_not_publish_sends_nothing_until_it_may(people, server):
    options = lambda **change: urllib.request.urlopen(urllib.request.Request(  # noqa: E731
        server.url("/api/v1/rooms/stage"), json.dumps(change).encode(), method="PUT"), timeout=20).close()
    options(publish="nobody", topology="sfu")
    ada, bob = join(people, server, "stage", "ada"), join(people, server, "stage", "bob")
    until(bob, "room.participants.size === 1 && room.topology === 'sfu'")
    assert ada.evaluate("room.may.join()") == "moderate" and ada.evaluate("room.options.publish") == "nobody"
    assert ada.evaluate("room.me.tracks.size") == 2
    until(bob, "[...room.participants.values()].every(({ tracks }) => tracks.size === 0)")
    options(publish="everyone", topology="sfu")
    until(ada, "room.may.includes('publish')")
    others_flow(bob, 1)
    options(publish="nobody", topology="sfu")
    until(bob, "[...room.participants.values()].every(({ tracks }) => tracks.size === 0)")


def test_joinroom_says_how_much_it_can_send(people, server):
    ada, bob = join(people, server, "uplink", "ada"), join(people, server, "uplink", "bob")
    others_flow(bob, 1)

    def uplinks():
        with urllib.request.urlopen(server.url("/api/v1/rooms/uplink"), timeout=20) as response:
            return [one.get("uplink") for one in json.loads(response.read())["participants"]]

    both = wait_for(lambda: all(found := uplinks()) and found, 40)
    assert all(one["bitrate"] > 50_000 and one["limited"] in (True, False) for one in both), both
