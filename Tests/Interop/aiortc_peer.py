"""aiortc as a peer of the server."""
import asyncio

from webrtc import send


async def exchange(peer, server, path):
    """One exchange of offer and answer: the fields of the response, and the answer."""
    from aiortc import RTCSessionDescription

    await peer.setLocalDescription(await peer.createOffer())
    status, fields, answer = await asyncio.to_thread(
        send, server, "POST", path, peer.localDescription.sdp, Content_Type="application/sdp")
    assert status == 201, answer
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return fields, answer


async def open_echo(server, seconds=15):
    """A session with an open data channel that echoes: peer, channel, the queue of what comes back, fields and answer."""
    from aiortc import RTCPeerConnection

    peer = RTCPeerConnection()
    channel = peer.createDataChannel("echo")
    answers, opened = asyncio.Queue(), asyncio.Event()
    channel.on("message", answers.put_nowait)
    channel.on("open", opened.set)
    fields, answer = await exchange(peer, server, "/diag/datachannel")
    await asyncio.wait_for(opened.wait(), seconds)
    return peer, channel, answers, fields, answer
