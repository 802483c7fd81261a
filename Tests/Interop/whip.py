"""Peers that a test drives (`peers.py`), as publishers and viewers of the server, and on its data channels."""
import re

from conftest import wait_for
from webrtc import send

KIND = "application/trickle-ice-sdpfrag"


def credentials(sdp):
    return {name: re.search(f"a={name}:(.*)", sdp)[1].strip() for name in ("ice-ufrag", "ice-pwd")}


class Session:
    """A peer's session, by one exchange of offer and answer; PATCH is what changes it (RFC 9725 §4.3)."""

    def __init__(self, peer, server, path):
        self.peer, self.server = peer, server
        offer = peer.describe("offer")["sdp"]
        self.fragment = credentials(offer)["ice-ufrag"]
        status, fields, self.answer = send(server, "POST", path, offer, Content_Type="application/sdp")
        assert status == 201, self.answer
        self.resource, self.etag = fields["Location"], fields["ETag"]
        peer.tell("description", type="answer", sdp=self.answer)
        peer.wait("state", text="connected")

    def trickle(self):
        """Tells the server of all candidates, and gives them: those of the first section, since one transport carries all (BUNDLE)."""
        self.peer.wait("candidate", candidate="")
        found = [report for report in self.peer.seen("candidate") if report["candidate"]]
        candidates = [report["candidate"] for report in found if report["mid"] == found[0]["mid"]]
        lines = [f"ice-ufrag:{self.fragment}", *candidates, "end-of-candidates"]
        status, _, text = send(
            self.server, "PATCH", self.resource, "".join(f"a={line}\r\n" for line in lines), Content_Type=KIND, If_Match=self.etag)
        assert status == 204, text
        return candidates

    def restart(self):
        """New credentials go there, the server's come back."""
        ours = credentials(self.peer.describe("offer", restart=True)["sdp"])
        assert ours["ice-ufrag"] != self.fragment
        body = "".join(f"a={name}:{value}\r\n" for name, value in ours.items())
        status, fields, text = send(self.server, "PATCH", self.resource, body, Content_Type=KIND, If_Match=self.etag)
        assert status == 200 and fields["ETag"] != self.etag, text
        self.fragment, self.etag = ours["ice-ufrag"], fields["ETag"]
        for name, value in credentials(text).items():
            self.answer = re.sub(f"a={name}:.*", f"a={name}:{value}", self.answer)
        self.peer.tell("description", type="answer", sdp=self.answer)


def publish(peer, server, path, clips):
    """`clips` are files by the kind of track."""
    for kind in ("video", "audio"):
        peer.tell("media", kind=kind, direction="sendrecv", file=clips[kind])
    return Session(peer, server, f"/{path}/whip")


def watch(peer, server, path):
    for kind in ("video", "audio"):
        peer.tell("media", kind=kind, direction="recvonly")
    return Session(peer, server, f"/{path}/whep")


def through(publisher, viewer, server, path, clips, frames=50):
    """One publishes, the other watches: both sessions, and by what kinds of pair they go, once so many frames have come."""
    sessions = [publish(publisher, server, path, clips)]
    wait_for(lambda: server.live(path))
    sessions.append(watch(viewer, server, path))
    for kind in ("video", "audio"):
        viewer.frames(kind, frames, seconds=60)
    return sessions, [session["pair"]["kind"] for session in server.api(f"/webrtc?path={path}")["sessions"]]
