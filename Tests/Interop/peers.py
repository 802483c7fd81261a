"""Peer connections that a test drives, each somewhere else: ours (`peer-agent` of Examples), a browser's, aiortc's, Pion's. All take
the same commands and report in the same words: what is a description or a candidate is what the W3C's API takes and gives."""
import functools
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from conftest import ROOT

EXAMPLES = os.environ.get("MARTLET_EXAMPLES", ROOT / ".build/examples/debug")


class Peer:
    """One peer connection somewhere. What it reports is kept until somebody waits for it."""

    def tell(self, do, **command):
        raise NotImplementedError

    def update(self, position, seconds):
        """Waits until there are more than `position` reports, for so long at most."""
        raise NotImplementedError

    def wait(self, event, seconds=30, after=0, **wanted):
        """The first report of this kind, from the one numbered `after` on."""
        end = time.monotonic() + seconds
        position = after
        while True:
            for report in itertools.islice(self.reports, position, None):
                position += 1
                assert report["event"] not in ("error", "exit") or event == report["event"], report
                if report["event"] == event and all(report.get(key) == value for key, value in wanted.items()):
                    return report
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"waited {seconds} s in vain for {event} {wanted}:\n" + "\n".join(map(str, self.reports[-30:])))
            self.update(position, left)

    def seen(self, event, **wanted):
        return [r for r in list(self.reports) if r["event"] == event and all(r.get(key) == value for key, value in wanted.items())]

    @property
    def position(self):
        return len(self.reports)

    def describe(self, do, **command):
        """Makes it describe itself; candidates follow."""
        after = self.position
        self.tell(do, **command)
        return self.wait("description", after=after)

    def statistics(self):
        after = self.position
        self.tell("statistics")
        return self.wait("statistics", after=after)

    def frames(self, kind, count, seconds=30):
        """Waits until so many more frames have come."""
        seen = self.seen("frames", kind=kind)
        wanted = (seen[-1]["frames"] if seen else 0) + count
        end = time.monotonic() + seconds
        while True:
            after = self.position
            if any(r["frames"] >= wanted for r in self.seen("frames", kind=kind)):
                return
            self.wait("frames", seconds=max(0.1, end - time.monotonic()), after=after, kind=kind)



class Process(Peer):
    """A program that takes commands as lines of JSON and reports likewise."""

    def __init__(self, program, **configuration):
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        self.reports = []
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.tell("start", **configuration)

    def _read(self):
        for line in self.process.stdout:
            self._add(json.loads(line))
        self._add({"event": "exit", "text": self.process.stderr.read()})

    def _add(self, report):
        with self.changed:
            self.reports.append(report)
            self.changed.notify_all()

    def update(self, position, seconds):
        with self.changed:
            self.changed.wait_for(lambda: len(self.reports) > position, seconds)

    def tell(self, do, **command):
        self.process.stdin.write(json.dumps({"do": do, **command}) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


class Agent(Process):
    """A PeerConnection."""

    def __init__(self, **configuration):
        super().__init__([os.path.join(EXAMPLES, "peer-agent")], **configuration)


class Aiortc(Process):
    def __init__(self, **configuration):
        super().__init__([sys.executable, str(ROOT / "Tests/Interop/aiortc_agent.py")], **configuration)


class Pion(Process):
    def __init__(self, **configuration):
        super().__init__([pion_program()], **configuration)


@functools.cache
def pion_program(name="pion"):
    """Built against Debian's sources, which are there without modules; a `go.mod` makes `/v3` in their paths understood."""
    folder = ROOT / ".build/pion"
    source = folder / "src" / name
    source.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Tests/Interop" / name / "main.go", source)
    (source / "go.mod").write_text("module agent\n")
    environment = dict(os.environ, GO111MODULE="off", GOFLAGS="", GOPATH=f"{folder}:/usr/share/gocode", GOCACHE=str(folder / "cache"))
    subprocess.run(["go", "build", "-o", folder / name, "."], cwd=source, env=environment, check=True)
    return str(folder / name)


class BrowserPeer(Peer):
    """A page of a browser; `url` is any page of a secure context."""

    def __init__(self, browser, url, **configuration):
        self.browser, self.reports = browser, []
        browser.open(url)
        browser.evaluate(PAGE)
        self.tell("start", **configuration)

    def tell(self, do, **command):
        self.browser.evaluate(f"obey({json.dumps({'do': do, **command})}).then(() => null)")

    def update(self, position, seconds):
        end = time.monotonic() + seconds
        while True:
            self.reports += self.browser.evaluate(f"reports.slice({len(self.reports)})")
            if len(self.reports) > position or time.monotonic() >= end:
                return
            time.sleep(0.05)

    @property
    def position(self):
        self.update(len(self.reports), 0)
        return len(self.reports)

    def close(self):
        self.browser.evaluate("window.peer?.close()")


PAGE = """(() => {
  const reports = window.reports = [], channels = {}, stream = new MediaStream();
  let peer, policy;
  const tell = (event, fields = {}) => reports.push({ event, ...fields });
  const use = (channel) => {
    channels[channel.label] = channel;
    channel.binaryType = "arraybuffer";
    channel.onopen = () => tell("channel", { label: channel.label });
    channel.onclose = () => tell("channel closed", { label: channel.label });
    channel.onmessage = ({ data }) => {
      if (typeof data === "string") return tell("message", { label: channel.label, text: data });
      // Below 2^53 for what is sent here.
      const sum = new Uint8Array(data).reduce((sum, byte, place) => sum + (place + 1) * byte, 0);
      tell("message", { label: channel.label, bytes: data.byteLength, sum });
    };
    if (channel.readyState === "open") channel.onopen();
  };
  const describe = async () => tell("description", { type: peer.localDescription.type, sdp: peer.localDescription.sdp });
  const count = async (before) => {
    for (const report of (await peer.getStats()).values()) {
      if (report.type !== "inbound-rtp") continue;
      const samples = (report.totalSamplesReceived ?? 0) - (report.concealedSamples ?? 0);
      const frames = report.kind === "video" ? report.framesDecoded : samples > 0 ? Math.floor(samples / 960) : report.packetsReceived;
      if (frames > (before[report.kind] ?? 0)) tell("frames", { kind: report.kind, frames: before[report.kind] = frames });
    }
    if (peer.connectionState !== "closed") setTimeout(() => count(before), 200);
  };
  const start = (c) => {
    window.peer = peer = new RTCPeerConnection({ iceServers: c.iceServers ?? [], iceTransportPolicy: c.relayOnly ? "relay" : "all" });
    peer.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate && c.drops && candidate.candidate.includes(c.drops)) return;
      tell("candidate", { candidate: candidate?.candidate ?? "", mid: candidate?.sdpMid });
    };
    peer.onconnectionstatechange = () => tell("state", { text: peer.connectionState });
    peer.ondatachannel = ({ channel }) => use(channel);
    const element = document.createElement("video");
    Object.assign(element, { muted: true, autoplay: true, playsInline: true, srcObject: stream });
    document.body.append(element);
    peer.ontrack = ({ track }) => { stream.addTrack(track); tell("track", { kind: track.kind }); element.play().catch(() => {}); };
    count({});
  };
  window.obey = async (c) => {
    try {
      switch (c.do) {
        case "start": return start(c);
        case "offer": await peer.setLocalDescription(await peer.createOffer({ iceRestart: !!c.restart })); return describe();
        case "description":
          await peer.setRemoteDescription({ type: c.type, sdp: c.sdp });
          if (c.type === "offer") { await peer.setLocalDescription(); await describe(); }
          return;
        case "candidate": return await peer.addIceCandidate(c.candidate ? { candidate: c.candidate, sdpMid: c.mid } : null);
        case "channel": return use(peer.createDataChannel(c.label));
        case "send":
          return channels[c.label].send(c.text ?? Uint8Array.from({ length: c.bytes }, (_, i) => i * 31 + (i >> 8)));
        case "media": {
          if (c.direction === "recvonly") return void peer.addTransceiver(c.kind, { direction: "recvonly" });
          const media = await navigator.mediaDevices.getUserMedia({ [c.kind]: true });
          const sender = peer.addTrack(media.getTracks()[0], media);
          if (c.codec) {
            const all = RTCRtpReceiver.getCapabilities(c.kind).codecs;
            peer.getTransceivers().find((t) => t.sender === sender)
              .setCodecPreferences(all.filter(({ mimeType }) => mimeType.toLowerCase() === `${c.kind}/${c.codec}`.toLowerCase()));
          }
          return;
        }
        case "statistics": {
          const all = await peer.getStats();
          const transport = [...all.values()].find((r) => r.type === "transport");
          const pair = transport?.selectedCandidatePairId ? all.get(transport.selectedCandidatePairId)
            : [...all.values()].find((r) => r.type === "candidate-pair" && r.nominated && r.state === "succeeded");
          const [local, remote] = [all.get(pair.localCandidateId), all.get(pair.remoteCandidateId)];
          return tell("statistics", { local: local.candidateType, remote: remote.candidateType, address: `${remote.address}:${remote.port}`, protocol: local.protocol });
        }
        case "close": return peer.close();
      }
    } catch (error) { tell("error", { text: `${c.do}: ${error}` }); }
  };
})()"""


def pattern(count):
    """The bytes that peer-agent sends, and the sum that it reports of them."""
    return bytes(((i * 31) + (i >> 8)) & 255 for i in range(count))


def checksum(data):
    return sum((i + 1) * byte for i, byte in enumerate(data)) & (1 << 64) - 1
