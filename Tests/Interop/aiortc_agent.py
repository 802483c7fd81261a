"""An aiortc peer connection that is driven as peer-agent is: commands come as lines of JSON on standard input, what happens goes to
standard output."""
import asyncio
import json
import sys
import threading

from aiortc import AudioStreamTrack, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp
from peers import checksum, pattern


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Agent:
    def __init__(self, command):
        servers = [RTCIceServer(**server) for server in command.get("iceServers", [])]
        policy = RTCIceTransportPolicy.RELAY if command.get("relayOnly") else RTCIceTransportPolicy.ALL
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=servers, iceTransportPolicy=policy))
        self.channels, self.tasks = {}, []
        self.peer.on("connectionstatechange", lambda: tell("state", text=self.peer.connectionState))
        self.peer.on("datachannel", self.use)
        self.peer.on("track", self.receive)

    def use(self, channel):
        self.channels[channel.label] = channel

        def message(data):
            if isinstance(data, str):
                tell("message", label=channel.label, text=data)
            else:
                tell("message", label=channel.label, bytes=len(data), sum=checksum(data))

        channel.on("message", message)
        channel.on("close", lambda: tell("channel closed", label=channel.label))
        if channel.readyState == "open":
            tell("channel", label=channel.label)
        else:
            channel.on("open", lambda: tell("channel", label=channel.label))

    def receive(self, track):
        tell("track", kind=track.kind)

        async def pull():
            count = 0
            while True:
                # A frame that is decoded.
                await track.recv()
                count += 1
                if count == 1 or count % 25 == 0:
                    tell("frames", kind=track.kind, frames=count)

        self.tasks.append(asyncio.ensure_future(pull()))

    def add_media(self, command):
        kind, direction = command["kind"], command.get("direction", "sendrecv")
        if direction == "recvonly":
            self.peer.addTransceiver(kind, direction="recvonly")
            return
        # Green, and silence.
        self.peer.addTrack(VideoStreamTrack() if kind == "video" else AudioStreamTrack())

    async def describe(self, description):
        await self.peer.setLocalDescription(description)
        local = self.peer.localDescription
        # It does not trickle: the candidates are in the description.
        tell("description", type=local.type, sdp=local.sdp)
        tell("candidate", candidate="")

    async def obey(self, command):
        do = command["do"]
        if do == "offer":
            await self.describe(await self.peer.createOffer())
        elif do == "description":
            await self.peer.setRemoteDescription(RTCSessionDescription(command["sdp"], command["type"]))
            if command["type"] == "offer":
                await self.describe(await self.peer.createAnswer())
        elif do == "candidate":
            candidate = None
            if command["candidate"]:
                candidate = candidate_from_sdp(command["candidate"].removeprefix("candidate:"))
                candidate.sdpMid = command.get("mid")
            await self.peer.addIceCandidate(candidate)
        elif do == "channel":
            self.use(self.peer.createDataChannel(command["label"]))
        elif do == "send":
            self.channels[command["label"]].send(command["text"] if "text" in command else pattern(command["bytes"]))
        elif do == "media":
            self.add_media(command)
        elif do == "statistics":
            pair = self.peer.sctp.transport.transport._connection._nominated[1]
            remote = pair.remote_candidate
            tell("statistics", local=pair.local_candidate.type, remote=remote.type, address=f"{remote.host}:{remote.port}")
        elif do == "close":
            await self.peer.close()


async def main():
    loop, commands = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    agent = Agent(await commands.get())
    while command := await commands.get():
        try:
            await agent.obey(command)
        except Exception as error:
            tell("error", text=repr(error))


if __name__ == "__main__":
    asyncio.run(main())
