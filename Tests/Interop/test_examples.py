"""The programs of Examples/, which see only the products, against the real server and ffmpeg. `make examples` builds them."""
import asyncio
import hashlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time
import urllib.request

import jwt
import pytest
import websockets

from conftest import AUDIO, ROOT, ffmpeg, free_port, probe, start_server, stop_server, wait_for

FOLDER = pathlib.Path(os.environ.get("MARTLET_EXAMPLES", ROOT / ".build/examples/debug"))


@pytest.fixture
def example():
    """Starts an example; answers the process."""
    processes = []

    def start(name, *arguments):
        command = [str(FOLDER / name), *map(str, arguments)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def kinds(streams):
    return {s["codec_type"]: s["codec_name"] for s in streams}


def test_publish_file_keeps_the_pace_of_the_file_and_loops(server, media, example):
    process = example("publish-file", "--loop", media / "bframes.flv", server.rtmp_url("live/example"))
    wait_for(lambda: server.live("live/example"))
    streams, packets = probe(server.rtmp_url("live/example"), seconds=18)
    assert kinds(streams) == {"video": "h264", "audio": "aac"}
    times = [float(p["dts_time"]) for p in packets if p["codec_type"] == "video"]
    assert all(a <= b for a, b in zip(times, times[1:]))
    # The file has fifteen seconds: it went on where it had ended, at thirty pictures a second.
    assert times[-1] - times[0] > 15
    assert max(b - a for a, b in zip(times, times[1:])) < 0.2
    assert process.poll() is None
    rate = server.stream("live/example")["frame_rate"]
    assert 25 < rate < 35, rate


def test_publish_file_ends_with_its_file_and_reports_refusals(server, media, example, tmp_path):
    short = tmp_path / "short.flv"
    subprocess.run(["ffmpeg", "-v", "error", "-t", "2", "-i", str(media / "av.flv"), "-c", "copy", str(short)], check=True)
    process = example("publish-file", short, server.rtmp_url("live/short"))
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == "done"
    process = example("publish-file", short, server.rtmp_url("api/v1"))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "belong to the server" in errors, errors


def test_watch_says_what_ffmpeg_publishes(server, media, publish, example):
    publish(media / "av.flv", server.rtmp_url("live/watched"))
    wait_for(lambda: server.live("live/watched"))
    process = example("watch", server.rtmp_url("live/watched"), 4)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert len(lines) == 4
    assert "avc1." in lines[-1] and "640x360" in lines[-1] and "mp4a.40.2 48000 Hz" in lines[-1], lines
    pictures = int(lines[-1].split(" fps")[0].split()[-1])
    assert 24 <= pictures <= 36, lines


def test_watch_ends_with_the_stream_and_says_when_there_is_none(make_server, media, publish, example):
    server = make_server(configuration="streams: {grace: 200ms, wait_for_publisher: 300ms}\n")
    publisher = publish(media / "av.flv", server.rtmp_url("live/ends"))
    wait_for(lambda: server.live("live/ends"))
    process = example("watch", server.rtmp_url("live/ends"))
    process.stdout.readline()
    publisher.kill()
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "the stream has ended" in output
    process = example("watch", server.rtmp_url("live/nobody"))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "NetStream.Play.StreamNotFound" in errors, errors


def test_fetch_downloads_a_large_file_with_little_memory(make_server, example, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    content = os.urandom(1 << 20) * 64
    (files / "large.bin").write_bytes(content)
    server = make_server(configuration=f"http:\n  static: {files}\n")
    target = tmp_path / "copy.bin"
    process = example("fetch", server.url("/large.bin"), target)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert f"{len(content)} bytes  100 %" in errors
    process = example("fetch", server.url("/missing.bin"), tmp_path / "nothing")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1 and "404" in errors


def test_an_embedded_server_serves_its_own_stream_and_those_of_others(media, publish, example):
    http, rtmp = free_port(), free_port()
    process = example("embedded-server", media / "av.flv", http, rtmp)
    links = [process.stdout.readline() for _ in range(2)]
    assert f"http://127.0.0.1:{http}/live/file.m3u8" in links[0]
    assert f"rtmp://127.0.0.1:{rtmp}/live/file" in links[1]
    for url in [f"rtmp://127.0.0.1:{rtmp}/live/file", f"http://127.0.0.1:{http}/live/file.flv",
                f"http://127.0.0.1:{http}/live/file.ts", f"http://127.0.0.1:{http}/live/file.mp4",
                f"http://127.0.0.1:{http}/live/file.m3u8"]:
        streams, packets = probe(url, seconds=2)
        assert kinds(streams) == {"video": "h264", "audio": "aac"}, url
        assert len(packets) > 50, url
    publish(media / "av.flv", f"rtmp://127.0.0.1:{rtmp}/live/other")
    assert kinds(probe(f"rtmp://127.0.0.1:{rtmp}/live/other", seconds=2)[0]) == {"video": "h264", "audio": "aac"}
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert output.splitlines()[-1] == "stopped"


def lines_of(process):
    """The lines of a program as they come: a function that waits for the next one that fits."""
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()

    def next_line(fits=lambda line: True, seconds=20):
        seen = []
        while True:
            try:
                line = lines.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"waited {seconds} s in vain; seen: {seen}")
            assert line is not None, (seen, process.stderr.read())
            seen.append(line)
            if fits(line):
                return line

    return next_line


def type_into(process, text):
    process.stdin.write(text + "\n")
    process.stdin.flush()


class Restarting:
    """A server on one port that is killed and comes back."""

    def __init__(self, directory, configuration):
        self.directory, self.configuration, self.ports = directory, configuration, [free_port() for _ in range(4)]
        self.start()

    def start(self):
        self.server = start_server(self.directory, configuration=self.configuration, ports=self.ports)

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()


@pytest.fixture
def restarting(tmp_path):
    restarting = Restarting(tmp_path, "channels:\n  retry: 50ms\n  namespaces:\n    kept: {durable: true, presence: true}\n")
    yield restarting
    stop_server(restarting.server)


def test_chat_goes_on_where_it_was_when_its_server_was_killed(restarting, example):
    url = f"ws://127.0.0.1:{restarting.server.http}"
    ann = example("chat", url, "kept/chat", "Ann")
    ann_says = lines_of(ann)
    ann_says(lambda line: line == "* you are on kept/chat")
    ben = example("chat", url, "kept/chat", "Ben")
    ben_says = lines_of(ben)
    ben_says(lambda line: line == "* you are on kept/chat")
    ann_says(lambda line: line == "* Ben came")
    type_into(ann, "hello")
    for says in (ann_says, ben_says):
        says(lambda line: line == "Ann: hello")
    restarting.kill()
    for says in (ann_says, ben_says):
        says(lambda line: line == "* the connection is lost")
    # Typed while there is no server.
    for number in range(10):
        type_into(ben, f"message {number}")
    restarting.start()
    heard = []
    for says in (ann_says, ben_says):
        heard.append([says(lambda line: line.startswith("Ben: ")) for _ in range(10)])
    assert heard == [[f"Ben: message {n}" for n in range(10)]] * 2
    history = json.loads(restarting.server.get("/channels/kept/chat/history")[2])["messages"]
    assert [m["data"]["text"] for m in history] == ["hello"] + [f"message {n}" for n in range(10)]
    ben.stdin.close()
    assert ben.wait(20) == 0, ben.stderr.read()
    ann_says(lambda line: line == "* Ben left")
    # A newcomer sees what was said.
    carl_says = lines_of(example("chat", url, "kept/chat", "Carl"))
    assert [carl_says(lambda line: not line.startswith("*")) for _ in range(10)] == heard[0]


def test_follow_misses_nothing_when_its_server_was_killed(restarting, example):
    def publish_line(text):
        request = urllib.request.Request(restarting.server.url("/channels/kept/log?event=line"), data=text.encode())
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())["cursor"]

    follow = example("follow", restarting.server.url("/channels/kept/log/events?last=100"))
    says = lines_of(follow)
    first = publish_line("one\ntwo")
    assert json.loads(says()) == {"id": first, "event": "line", "data": "one\ntwo"}
    for round in range(3):
        restarting.kill()
        restarting.start()
        cursors = [publish_line(f"{round} {n}") for n in range(20)]
        events = [json.loads(says()) for _ in range(20)]
        assert [(e["id"], e["data"]) for e in events] == [(c, f"{round} {n}") for n, c in enumerate(cursors)]


def test_follow_ends_when_it_is_told_to_and_says_what_is_no_event_stream(server, example):
    follow = example("follow", server.url("/channels/nobody/events"), "end")
    assert follow.wait(20) == 0
    follow = example("follow", server.url("/diag/hello"))
    assert follow.wait(20) == 1 and "text/plain" in follow.stderr.read()
    follow = example("follow", server.url("/nothing/here"))
    assert follow.wait(20) == 1 and "404" in follow.stderr.read()


class PythonServer:
    """The `websockets` package as a server: echoes, and closes when asked to."""

    def __init__(self):
        self.port, self.closes, self.headers = free_port(), [], []
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        assert self.ready.wait(20)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())

    async def serve(self):
        self.stopped = asyncio.Event()
        async with websockets.serve(self.handle, "127.0.0.1", self.port, subprotocols=["v2", "v1"], max_size=64 << 20):
            self.ready.set()
            await self.stopped.wait()

    async def handle(self, connection):
        self.headers.append(dict(connection.request.headers))
        try:
            async for message in connection:
                if message == "please close":
                    await connection.close(4321, "as you wish")
                elif message == "please break":
                    connection.transport.abort()
                else:
                    await connection.send(message)
        except websockets.ConnectionClosed:
            pass
        self.closes.append((connection.close_code, connection.close_reason))

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopped.set)


@pytest.fixture
def python_server():
    server = PythonServer()
    yield server
    server.stop()


def test_talk_with_another_websocket_server(python_server, example):
    url = f"ws://127.0.0.1:{python_server.port}/"
    talk = example("talk", url, "v1", "other")
    says = lines_of(talk)
    opening = says()
    assert opening.startswith('* open, protocol "v1", extensions "permessage-deflate'), opening
    for text in ["hello", "grüße 🐦", "x" * 150]:
        type_into(talk, text)
        assert says() == text
    # Compressed both ways, and larger than any buffer between.
    type_into(talk, "ab" * 30_000)
    assert says() == "* text, 60000 bytes"
    for size in [0, 125, 126, 65535, 65536, 10_000_000]:
        type_into(talk, f"/binary {size}")
        assert says() == f"* binary, {size} bytes"
    type_into(talk, "/close 4999 that was all")
    assert says() == "* closed with 4999: that was all"
    assert talk.wait(20) == 0
    wait_for(lambda: python_server.closes == [(4999, "that was all")])


def test_talk_hears_how_the_other_side_ends(python_server, example):
    url = f"ws://127.0.0.1:{python_server.port}/"
    talk = example("talk", url, "v2")
    says = lines_of(talk)
    assert 'protocol "v2"' in says()
    type_into(talk, "please close")
    assert says() == "* closed with 4321: as you wish"
    assert talk.wait(20) == 0
    talk = example("talk", url, "v2")
    says = lines_of(talk)
    says()
    type_into(talk, "please break")
    assert talk.wait(20) == 1 and "1006" in talk.stderr.read()
    talk = example("talk", f"ws://127.0.0.1:{free_port()}/")
    assert talk.wait(20) == 1 and "cannot be reached" in talk.stderr.read()


def test_talk_with_our_own_server(server, example):
    talk = example("talk", f"ws://127.0.0.1:{server.http}/diag/echo")
    says = lines_of(talk)
    assert "permessage-deflate; server_no_context_takeover" in says()
    type_into(talk, "ab" * 1000)
    assert says() == "* text, 2000 bytes"
    talk.stdin.close()
    assert says() == "* closed with 1000"
    assert talk.wait(20) == 0


SECRET = "a secret of more than thirty-two letters"


def mint(*actions, seconds=60):
    return jwt.encode({"exp": time.time() + seconds, "sub": "ann", "can": [{"do": do, "on": "**"} for do in actions]}, SECRET)


def test_chat_and_follow_bring_a_token_and_end_when_it_does(make_server, example, monkeypatch):
    server = make_server(configuration=(
        f"auth:\n  leeway: 0\n  jwt: [{{secret: {SECRET}, do: [publish, subscribe, history, presence]}}]\n"))
    url = f"ws://127.0.0.1:{server.http}"
    chat = example("chat", url, "room", "Ann")
    assert chat.wait(20) == 1 and "101" in chat.stderr.read()
    monkeypatch.setenv("MARTLET_TOKEN", mint("publish"))
    chat = example("chat", url, "room", "Ann")
    assert chat.wait(20) == 1 and "103" in chat.stderr.read()
    monkeypatch.setenv("MARTLET_TOKEN", mint("publish", "subscribe", seconds=4))
    chat = example("chat", url, "room", "Ann")
    says = lines_of(chat)
    says(lambda line: line == "* you are on room")
    type_into(chat, "hello")
    assert says() == "Ann: hello"
    # Closed with 4501, which means: do not come back.
    assert chat.wait(20) == 1 and "4501" in chat.stderr.read()
    follow = example("follow", server.url("/channels/room/events"))
    assert follow.wait(20) == 1 and "403" in follow.stderr.read()


def test_two_terminals_talk_by_peer_chat(server, example):
    url, room = f"ws://127.0.0.1:{server.http}", "peer-chat"
    first = example("peer-chat", url, room)
    first_says = lines_of(first)
    assert first_says() == f"* waiting for the other one on {room}"
    second = example("peer-chat", url, room)
    second_says = lines_of(second)
    for says in (first_says, second_says):
        says(lambda line: "is there; what you type goes straight to it" in line)
    type_into(first, "hello")
    second_says(lambda line: line == "> hello")
    type_into(second, "grüße 🐦")
    first_says(lambda line: line == "> grüße 🐦")
    first.stdin.close()
    assert first.wait(20) == 0 and second.wait(20) == 0


def test_peer_file_sends_a_file_goes_on_where_it_broke_off_and_finds_damage(server, example, tmp_path):
    url = f"ws://127.0.0.1:{server.http}"
    source, folder = tmp_path / "clip.bin", tmp_path / "received"
    source.write_bytes(os.urandom(3_000_001))
    folder.mkdir()
    name = f"clip.bin.{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.part"

    def transfer(room):
        receiver = example("peer-file", "receive", folder, url, room)
        sender = example("peer-file", "send", source, url, room)
        return [process.communicate(timeout=60) + (process.returncode,) for process in (sender, receiver)]

    (sent, _, first), (received, _, second) = transfer("whole")
    assert (first, second) == (0, 0), (sent, received)
    assert (folder / "clip.bin").read_bytes() == source.read_bytes()
    assert "sent 3000001 bytes" in sent and "received" in received
    # As an attempt that broke off leaves it.
    (folder / "clip.bin").unlink()
    (folder / name).write_bytes(source.read_bytes()[:2_000_000])
    (sent, _, first), _ = transfer("again")
    assert first == 0 and "going on at 2000000" in sent
    assert (folder / "clip.bin").read_bytes() == source.read_bytes()
    # What is there is not what it should be.
    (folder / "clip.bin").unlink()
    (folder / name).write_bytes(bytes(1000))
    results = transfer("damaged")
    assert all(status == 1 and "damaged" in errors for _, errors, status in results), results
    assert list(folder.iterdir()) == []


def test_peer_file_goes_on_after_both_ends_have_died(server, example, tmp_path):
    url = f"ws://127.0.0.1:{server.http}"
    source, folder = tmp_path / "large.bin", tmp_path / "received"
    folder.mkdir()
    source.write_bytes(os.urandom(60_000_000))
    start = lambda: [example("peer-file", "receive", folder, url, "large"), example("peer-file", "send", source, url, "large")]
    processes = start()
    wait_for(lambda: any(path.stat().st_size > 1_000_000 for path in folder.iterdir()), 60, step=0.01)
    for process in processes:
        process.kill()
        process.wait()
    receiver, sender = start()
    output, errors = sender.communicate(timeout=90)
    assert sender.returncode == 0 and receiver.wait(20) == 0, errors
    assert "going on at " in output
    assert (folder / "large.bin").read_bytes() == source.read_bytes()


def test_peer_publish_and_peer_record(server, example, tmp_path):
    """WHIP in, WHEP out, and every other output beside it."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "4", "-c:v", "libvpx", "-deadline", "realtime", "-b:v", "400k",
           "-g", "15", str(tmp_path / "in.ivf"))
    ffmpeg(*AUDIO, "-t", "4", "-c:a", "libopus", "-ac", "2", str(tmp_path / "in.ogg"))
    publisher = example("peer-publish", "--loop", tmp_path / "in.ivf", tmp_path / "in.ogg", server.url("/live/files/whip"))
    wait_for(lambda: server.live("live/files"))
    recorder = example("peer-record", server.url("/live/files/whep"), tmp_path / "out", 4)
    output, errors = recorder.communicate(timeout=40)
    assert recorder.returncode == 0, errors
    pictures, sound = (int(word) for word in output.splitlines()[-1].split() if word.isdigit())
    assert pictures > 60 and sound > 100, output
    for name, kind in [("out.ivf", "vp8"), ("out.ogg", "opus")]:
        streams, packets = probe(str(tmp_path / name))
        assert [s["codec_name"] for s in streams] == [kind] and len(packets) > 60
        # Every frame can be decoded.
        assert ffmpeg("-i", str(tmp_path / name), "-vsync", "vfr", "-f", "null", "-").stderr == ""
    publisher.kill()
