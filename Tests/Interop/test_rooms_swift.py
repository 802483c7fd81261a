"""`Room` of MartletClient in rooms with browsers: the bot and the recorder of Examples/, in every topology, and when the signaling breaks."""
import json
import re
import subprocess

import pytest
from conftest import AUDIO, VIDEO, ffmpeg, start_server, stop_server, wait_for
from test_examples import example, lines_of
from test_rooms_browser import Cable, all_people, call, join, others_flow, people, press, until

pytestmark = pytest.mark.paired

__all__ = ["all_people", "example", "people"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("server"), configuration="rooms: {topology: mesh}\n")
    yield server
    stop_server(server)


def heard(process):
    """What a program says, as it comes: waits for the next line that is, or begins with, the text."""
    line = lines_of(process)
    return lambda text: line(lambda said: said.startswith(text), seconds=40)


def finished(process):
    process.wait(30)
    assert process.returncode == 0, process.stderr.read()


NOTHING = "{ audio: false, video: false }"


def hears(browser, text):
    until(browser, f"log.some(([type, , data]) => type === 'data' && data === {json.dumps(text)})")


def send_to_bot(browser, text):
    browser.evaluate(f"room.send([...room.participants.values()].find(({{ name }}) => name === 'Echo'), {json.dumps(text)})")


@pytest.mark.peer("chromium", "rooms: talks with a Swift program")
def test_a_bot_answers_in_the_chat_of_the_call_page(people, server, example):
    ada = call(people, server, "bot", "ada")
    bot = example("room-bot", server.url(""), "bot")
    wait = heard(bot)
    wait("joined bot as Echo, with 1 others")
    until(ada, "document.querySelectorAll('.tile').length === 2")
    press(ada, "tool-chat")
    ada.evaluate("""(() => { document.getElementById("text").value = "grüße"; document.getElementById("say").requestSubmit(); })()""")
    until(ada, "document.getElementById('messages').textContent.includes('You said: grüße')")
    press(ada, "tool-leave")
    wait("ada is gone (left)")


@pytest.mark.peer("chromium", "rooms: sends a Swift program data")
@pytest.mark.peer("firefox", "rooms: sends a Swift program data")
@pytest.mark.parametrize("name", ["ada", "eve"])
@pytest.mark.parametrize("isFirst", [True, False], ids=["before", "after"])
def test_a_bot_answers_over_the_data_channel(people, server, example, name, isFirst):
    room = f"data-{name}-{isFirst}"
    browser = join(people, server, room, name, NOTHING) if isFirst else None
    bot = example("room-bot", server.url(""), room)
    heard(bot)("joined")
    browser = browser or join(people, server, room, name, NOTHING)
    until(browser, "room.participants.size === 1 && peers.some(({ connectionState }) => connectionState === 'connected')")
    send_to_bot(browser, "over the channel")
    hears(browser, "over the channel")
    # Both have nothing to carry but this: the connection goes on, whatever the room's topology.
    browser.evaluate("room.moderate('topology', { topology: 'sfu' })")
    until(browser, "room.topology === 'sfu'")
    send_to_bot(browser, "by whichever way")
    hears(browser, "by whichever way")


@pytest.mark.peer("chromium", "rooms: loses the signaling of a Swift program")
def test_a_bot_comes_back_as_the_same_and_has_missed_nothing(people, server, example):
    cable = Cable(server.http)
    try:
        bot = example("room-bot", f"http://127.0.0.1:{cable.port}", "cable")
        wait = heard(bot)
        wait("joined")
        ada = join(people, server, "cable", "ada", NOTHING)
        until(ada, "room.participants.size === 1")
        cable.pull()
        wait("reconnecting")
        ada.evaluate("room.say('meanwhile')")
        cable.is_in = True
        wait("connected")
        until(ada, "log.some(([type, , data]) => type === 'message' && data === 'You said: meanwhile')")
        assert not ada.evaluate("log.some(([type]) => type === 'left')")
    finally:
        cable.close()


def decoded(path):
    """How many frames ffmpeg makes of a file, and that it has nothing against it."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "level+warning", "-stats", "-i", str(path), "-f", "null", "-"],
        capture_output=True, text=True, timeout=90)
    # Those of decoders: two pictures within one tick of a guessed frame rate are none.
    complaints = [line for line in result.stderr.splitlines() if ("[error]" in line or "[fatal]" in line) and "[null @" not in line]
    assert result.returncode == 0 and complaints == [], f"{path}: {complaints}"
    seconds = re.findall(r"time=(\d+):(\d+):([\d.]+)", result.stderr)
    frames = re.findall(r"frame= *(\d+)", result.stderr)
    return int(frames[-1]) if frames else 0, sum(float(part) * 60 ** (2 - place) for place, part in enumerate(seconds[-1])) if seconds else 0


def recorded(folder, *sources):
    """The files of each source, in the order in which they were begun."""
    files = sorted(folder.glob("*"), key=lambda path: int(path.stem.split("-")[-1]))
    return [[path for path in files if f"-{source}-" in path.name] for source in sources]


@pytest.mark.peer("chromium", "rooms: is recorded by a Swift program")
@pytest.mark.peer("firefox", "rooms: is recorded by a Swift program")
@pytest.mark.parametrize("name", ["ada", "eve"])
def test_what_a_browser_shows_and_says_is_recorded_in_a_mesh_and_then_by_the_server(people, server, example, tmp_path, name):
    room = f"record-{name}"
    recorder = example("room-record", server.url(""), room, tmp_path)
    wait = heard(recorder)
    wait(f"recording {room}")
    browser = join(people, server, room, name)

    def grown(count):
        camera, microphone = recorded(tmp_path, "camera", "microphone")
        enough = [(camera, 60_000), (microphone, 8_000)]
        return all(len(files) >= count and files[-1].stat().st_size > size for files, size in enough)

    wait_for(lambda: grown(1), 40)
    browser.evaluate("room.moderate('topology', { topology: 'sfu' })")
    wait("the room is a sfu")
    wait_for(lambda: grown(2), 40)
    # The connection to each other is given up by both.
    until(browser, "peers.filter(({ connectionState }) => connectionState !== 'closed').length === 1")
    browser.evaluate("room.moderate('topology', { topology: 'mesh' })")
    wait("the room is a mesh")
    wait_for(lambda: grown(3), 40)
    browser.evaluate("room.leave()")
    finished(recorder)
    for path in recorded(tmp_path, "camera")[0][:3]:
        frames, _ = decoded(path)
        assert frames >= 10, path
    for path in recorded(tmp_path, "microphone")[0][:3]:
        _, seconds = decoded(path)
        assert seconds > 0.5, path


@pytest.mark.peer("chromium", "rooms: passes others on to a Swift program")
def test_a_recorder_is_a_spoke_of_a_supernode(people, server, example, tmp_path):
    recorder = example("room-record", server.url(""), "spoke", tmp_path)
    heard(recorder)("recording spoke")
    ada, bob = join(people, server, "spoke", "ada"), join(people, server, "spoke", "bob")
    wait_for(lambda: len(list(tmp_path.glob("*"))) >= 4, 40)
    # Whoever is elected, it is not the recorder, which passes nothing on.
    ada.evaluate("room.moderate('topology', { topology: 'supernode' })")
    until(ada, "room.topology === 'supernode'")
    node = ada.evaluate("room.supernode")
    assert node in (ada.own, bob.own)
    spoke = bob if node == ada.own else ada
    until(spoke, "peers.filter(({ connectionState }) => connectionState !== 'closed').length === 1", 40)

    def passed_on():
        files = sorted(tmp_path.glob(f"{spoke.own}-camera-*"), key=lambda path: int(path.stem.split("-")[-1]))
        return files[-1] if len(files) >= 2 and files[-1].stat().st_size > 60_000 else None

    path = wait_for(passed_on, 40)
    for browser in (ada, bob):
        browser.evaluate("room.leave()")
    finished(recorder)
    assert decoded(path)[0] >= 10


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A picture with key frames twice a second, and a tone."""
    folder = tmp_path_factory.mktemp("film")
    ffmpeg(*VIDEO, "-t", "4", "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "600k", "-g", "15", str(folder / "film.ivf"))
    ffmpeg(*AUDIO, "-t", "4", "-c:a", "libopus", "-ac", "2", "-page_duration", "20000", str(folder / "film.ogg"))
    return folder / "film.ivf", folder / "film.ogg"


@pytest.mark.peer("chromium", "rooms: sees and hears a Swift program")
@pytest.mark.peer("firefox", "rooms: sees and hears a Swift program")
@pytest.mark.parametrize("who", [["ada", "bob"], ["ada", "eve"]], ids=" ".join)
def test_what_a_program_publishes_is_seen_and_heard_directly_and_by_the_server(people, server, example, film, who):
    room = "film-" + "-".join(who)
    heard(example("room-play", server.url(""), room, *film))(f"playing in {room}")
    pages = [join(people, server, room, name) for name in who]
    others_flow(pages[0], 2)
    others_flow(pages[1], 2)
    for topology, connections in (("sfu", 1), ("mesh", 2)):
        pages[0].evaluate(f"room.moderate('topology', {{ topology: '{topology}' }})")
        for browser in pages:
            until(browser, f"room.topology === '{topology}'")
            until(browser, f"peers.filter(({{ connectionState }}) => connectionState === 'connected').length === {connections}", 40)
            until(browser, f"peers.filter(({{ connectionState }}) => connectionState !== 'closed').length === {connections}", 40)
            others_flow(browser, connections)
            until(browser, "[...room.participants.values()].every(({ tracks }) => tracks.size === 2 && [...tracks.values()].every(({ muted }) => !muted))")
            until(browser, "[...document.querySelectorAll('video')].filter(({ videoWidth, currentTime }) => videoWidth > 0 && currentTime > 0.5).length === 2")
    assert not pages[0].evaluate("log.some(([type]) => type === 'trackended')")
