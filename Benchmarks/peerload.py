"""The WebRTC clients of `bench webrtc`, and how two servers are told of them."""
import http.client
import json
import queue
import subprocess
import threading
import time
import uuid

from harness import bench, cpu


class Load:
    """One process with all clients. What it says is kept until somebody asks for it."""

    def __init__(self, address):
        self.process = subprocess.Popen([str(bench), "webrtc", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines, self.kept = queue.Queue(), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def say(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()

    def wait(self, matches, timeout=15):
        for line in self.kept:
            if matches(line):
                self.kept.remove(line)
                return line
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"the load did not answer within {timeout} s; it said {self.kept[-3:]}") from None
            if line.get("is") == "failed":
                raise SystemExit(f"peer {line['peer']}: {line['reason']}")
            if matches(line):
                return line
            self.kept.append(line)

    def offer(self, peer, role, **more):
        self.say("offer", peer=peer, role=role, **more)
        return self.wait(lambda line: line.get("peer") == peer and "offer" in line)["offer"]

    def accept(self, peer, role, offer):
        self.say("accept", peer=peer, role=role, sdp=offer)
        return self.wait(lambda line: line.get("peer") == peer and "answer" in line)["answer"]

    def event(self, peer, what, timeout=15):
        return self.wait(lambda line: line.get("peer") == peer and line.get("is") == what, timeout)

    def report(self):
        self.say("report")
        return self.wait(lambda line: "report" in line)["report"]

    def measure(self, server, seconds):
        """A while in which nobody comes or goes: the server's CPU seconds, and what the clients counted."""
        self.say("measure")
        before = cpu(server.pids)
        time.sleep(seconds)
        return cpu(server.pids) - before, self.report()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def forwarding_costs(used, result):
    """The columns that every row about forwarded packets has."""
    return {
        "us_per_packet": round(used / result["packets"] * 1e6, 2), "packets_per_s": round(result["packets"] / result["seconds"]),
        "missed": result["missed"], "sent_again": result["recovered"], "latency_p50_ms": round(result["latency_ms"]["p50"], 2),
        "latency_p99_ms": round(result["latency_ms"]["p99"], 2),
    }


class WHIP:
    """Martlet: one POST each."""

    def __init__(self, server):
        self.server = server

    def _post(self, path, offer):
        connection = http.client.HTTPConnection(self.server.host, self.server.http, timeout=20)
        connection.request("POST", path, offer, {"Content-Type": "application/sdp"})
        response = connection.getresponse()
        body = response.read().decode()
        if response.status != 201:
            raise SystemExit(f"POST {path}: {response.status} {body}")
        connection.close()
        return body

    def publish(self, load, bitrate):
        offer = load.offer("publisher", "publisher", bitrate=bitrate)
        load.say("answer", peer="publisher", sdp=self._post("/live/bench/whip", offer))

    def watch(self, load, peer, feedback=False, bitrate=1):
        """Answers when it was asked for, in nanoseconds of the monotonic clock. With feedback the viewer reports on every packet."""
        offer = load.offer(peer, "viewer", feedback=feedback, bitrate=bitrate)
        asked = time.monotonic_ns()
        load.say("answer", peer=peer, sdp=self._post("/live/bench/whep", offer))
        return asked

    def open_channel(self, load, peer, label, size):
        offer = load.offer(peer, "data", label=label, size=size)
        load.say("answer", peer=peer, sdp=self._post("/diag/datachannel", offer))


class Room:
    """A room of Martlet: two POSTs each. Who publishes and watches has one connection for both."""

    def __init__(self, server):
        self.server, self.keys, self.ids, self.speaker = server, {}, {}, None

    def _do(self, **command):
        connection = http.client.HTTPConnection(self.server.host, self.server.http, timeout=20)
        connection.request("POST", "/rooms/bench", json.dumps(command), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if not answer.get("ok"):
            raise SystemExit(f"rooms: {command['do']}: {answer}")
        return answer

    def join(self, peer):
        answer = self._do(do="join", name=peer)
        self.keys[peer], self.ids[peer] = answer["key"], answer["participant"]

    def _offer(self, load, peer, offer, watched):
        """Sections that send are the peer's own; the others take up what is watched, in order."""
        tracks, subscribe, waiting = [], [], {"audio": list(watched), "video": list(watched)}
        for section in offer.split("\nm=")[1:]:
            kind, mid = section.split(" ", 1)[0], section.split("a=mid:")[1].split()[0]
            source = "microphone" if kind == "audio" else "camera"
            if "a=sendonly" in section:
                tracks.append({"mid": mid, "source": source})
            else:
                subscribe.append({"mid": mid, "participant": self.ids[waiting[kind].pop(0)], "source": source})
        answer = self._do(do="offer", key=self.keys[peer], sdp=offer, tracks=tracks, subscribe=subscribe)
        load.say("answer", peer=peer, sdp=answer["sdp"])

    def publish(self, load, bitrate, peer="publisher"):
        self.join(peer)
        self.speaker = peer
        self._offer(load, peer, load.offer(peer, "publisher", bitrate=bitrate), [])

    def watch(self, load, peer, feedback=False, bitrate=1):
        offer = load.offer(peer, "viewer", feedback=feedback, bitrate=bitrate)
        asked = time.monotonic_ns()
        self.join(peer)
        self._offer(load, peer, offer, [self.speaker])
        return asked

    def meet(self, load, members, bitrate):
        """All of them publish, and watch all others."""
        for peer in members:
            self.join(peer)
        for peer in members:
            offer = load.offer(peer, "member", bitrate=bitrate, others=len(members) - 1)
            self._offer(load, peer, offer, [other for other in members if other != peer])


class VideoRoom:
    """Janus: its plugin of that name, by HTTP and long polls, a session for each peer."""

    room, feed = 1234, 1

    def __init__(self, server):
        self.server = server

    def _attach(self):
        return _JanusHandle(self.server)

    def publish(self, load, bitrate, peer="publisher", feed=feed):
        offer = load.offer(peer, "publisher", bitrate=bitrate)
        answer = self._attach().exchange(
            {"request": "joinandconfigure", "ptype": "publisher", "room": self.room, "id": feed}, {"type": "offer", "sdp": offer})
        load.say("answer", peer=peer, sdp=answer)

    def watch(self, load, peer, feedback=False, bitrate=1, feeds=(feed,)):
        """The session is there already when the time begins; its offer says whether there is feedback on every packet."""
        handle = self._attach()
        asked = time.monotonic_ns()
        offer = handle.exchange({"request": "join", "ptype": "subscriber", "room": self.room, "streams": [{"feed": feed} for feed in feeds]})
        handle.post({"request": "start"}, {"type": "answer", "sdp": load.accept(peer, "viewer", offer)})
        return asked

    def meet(self, load, members, bitrate):
        """A connection to publish and one to watch for each, as the plugin has it."""
        feeds = {peer: self.feed + index for index, peer in enumerate(members)}
        for peer, feed in feeds.items():
            self.publish(load, bitrate, f"{peer}-out", feed)
            load.event(f"{peer}-out", "connected")
        time.sleep(1.5)
        for peer in members:
            self.watch(load, peer, feeds=[feed for other, feed in feeds.items() if other != peer])


class _JanusHandle:
    def __init__(self, server):
        self.connection = http.client.HTTPConnection(server.host, server.http, timeout=30)
        self.path = "/janus"
        self.path += f"/{self._request({'janus': 'create'})['data']['id']}"
        self.session = self.path
        self.path += f"/{self._request({'janus': 'attach', 'plugin': 'janus.plugin.videoroom'})['data']['id']}"

    def _request(self, message):
        self.connection.request("POST", self.path, json.dumps(dict(message, transaction=uuid.uuid4().hex)))
        answer = json.loads(self.connection.getresponse().read())
        if answer["janus"] == "error":
            raise SystemExit(f"janus: {answer['error']}")
        return answer

    def post(self, body, jsep=None):
        self._request({"janus": "message", "body": body, **({"jsep": jsep} if jsep else {})})

    def exchange(self, body, jsep=None):
        """The description that comes back."""
        self.post(body, jsep)
        while True:
            self.connection.request("GET", self.session)
            event = json.loads(self.connection.getresponse().read())
            data = event.get("plugindata", {}).get("data", {})
            if "error" in data:
                raise SystemExit(f"janus: {data['error']}")
            if "jsep" in event:
                return event["jsep"]["sdp"]
