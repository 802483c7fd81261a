"""Channels as Socket.IO clients have them: rooms that every other transport reaches, and connections that are recovered."""
import asyncio
import json
import time

import aiohttp
import jwt
import pytest
import socketio
from conftest import start_server, stop_server
from test_channels import SECRET, Durable, Socket, mint, publish, run


@pytest.fixture(scope="module")
def channels(tmp_path_factory):
    server = start_server(tmp_path_factory.mktemp("socketio"), "--workers", "2", configuration=(
        "channels: {namespaces: {team: {presence: true}}}\nsocketio: {namespaces: [/, /team]}\n"))
    yield server
    stop_server(server)


class Client:
    """A python-socketio client and the events it heard."""

    def __init__(self, server, namespace="/", **options):
        self.server, self.namespace, self.options = server, namespace, options
        self.io = socketio.AsyncClient(reconnection=False)
        self.events = asyncio.Queue()
        self.io.on("*", self.heard, namespace=namespace)

    async def heard(self, event, *arguments):
        await self.events.put((event, *arguments))

    async def __aenter__(self):
        await self.io.connect(self.server.url(""), namespaces=[self.namespace], **self.options)
        return self

    async def __aexit__(self, *error):
        await self.io.disconnect()

    async def call(self, event, *arguments):
        return await self.io.call(event, arguments, namespace=self.namespace, timeout=10)

    async def event(self):
        return await asyncio.wait_for(self.events.get(), 10)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], None])
def test_a_room_is_a_channel(channels, transports):
    async def main():
        name = "room-" + "-".join(transports or ["both"])
        async with aiohttp.ClientSession() as session, Socket(session, channels) as socket, Client(channels, transports=transports) as client:
            await socket.ask(do="subscribe", channel=name)
            joined = await client.call("join", name)
            assert joined["channel"] == name and joined["lost"] is False
            cursor = await publish(session, channels, name, "by HTTP", params={"event": "news"})
            event, data, about, offset = await client.event()
            assert (event, data, about["cursor"], about["channel"]) == ("news", "by HTTP", cursor, name)
            assert (await socket.message())["data"] == "by HTTP"
            answer = await client.call("publish", name, {"x": [1, None]}, {"event": "move"})
            assert (await socket.message())["data"] == {"x": [1, None]}
            assert (await client.event())[:2] == ("move", {"x": [1, None]}) and answer["cursor"].endswith(":2")
            await client.call("publish", name, b"\x00\xff", {"type": "image/png"})
            pushed = await socket.message()
            assert (pushed["bytes"], pushed["type"]) == (b"\x00\xff", "image/png")
            assert (await client.event())[:2] == ("message", b"\x00\xff")
            assert [m["cursor"][-1] for m in (await client.call("history", name, {"limit": 2}))["messages"]] == ["2", "3"]
            assert await client.call("leave", name) == {}
            assert (await client.call("leave", name))["error"]["code"] == 106
    run(main())


def test_a_namespace_is_a_namespace_of_channels(channels):
    async def main():
        async with aiohttp.ClientSession() as session, Client(channels, "/team") as one, Client(channels, "/team") as two:
            assert (await one.call("subscribe", "red", {"presence": True, "info": {"name": "Ada"}}))["channel"] == "team/red"
            await two.call("subscribe", "red", {"info": {"name": "Bob"}})
            event, what, member, channel = await one.event()
            assert (event, what, member["info"], channel) == ("presence", "join", {"name": "Bob"}, "team/red")
            assert (await one.call("presence", "red"))["count"] == 2
            await publish(session, channels, "team/red", "hello")
            assert (await two.event())[:2] == ("message", "hello")
    run(main())


def test_wrong_events_are_answered(channels):
    async def main():
        async with Client(channels) as client:
            for event, arguments in [("subscribe", []), ("subscribe", [7]), ("subscribe", ["a//b"]), ("publish", ["a"]), ("fly", []),
                                     ("subscribe", ["a", {"since": "nonsense"}])]:
                assert (await client.call(event, *arguments))["error"]["code"] == 100, event
    run(main())


def test_a_token_in_auth_decides(tmp_path):
    server = start_server(tmp_path, configuration=f"auth: {{leeway: 0, jwt: [{{secret: {SECRET}, do: [publish, subscribe]}}]}}\n")

    async def main():
        async with Client(server) as client:
            assert (await client.call("subscribe", "a"))["error"]["code"] == 101
        async with Client(server, auth={"token": mint(["subscribe"], "a", seconds=3, sub="ada")}) as client:
            assert (await client.call("subscribe", "a"))["channel"] == "a"
            assert (await client.call("publish", "a", "x"))["error"]["code"] == 103
            gone = asyncio.Event()
            client.io.on("disconnect", lambda *_: gone.set())
            await asyncio.wait_for(gone.wait(), 8)
    try:
        run(main())
    finally:
        stop_server(server)


class Raw:
    """Socket.IO over a bare WebSocket, to do what python-socketio's client cannot: recover."""

    def __init__(self, session, server, recovery=None):
        self.context = session.ws_connect(server.url("/socket.io/?EIO=4&transport=websocket"))
        self.recovery = recovery

    async def __aenter__(self):
        self.ws = await self.context.__aenter__()
        await self.ws.receive()
        await self.ws.send_str("40" + (json.dumps(self.recovery) if self.recovery else ""))
        self.connected = json.loads((await self.text())[2:])
        return self

    async def __aexit__(self, *error):
        await self.context.__aexit__(*error)

    async def text(self):
        while True:
            message = await self.ws.receive(timeout=10)
            assert message.type == aiohttp.WSMsgType.TEXT, message
            if message.data == "2":
                await self.ws.send_str("3")
            else:
                return message.data

    async def event(self):
        text = await self.text()
        assert text.startswith("42"), text
        return json.loads(text[2:])


def test_a_connection_is_recovered_across_a_restart(tmp_path):
    durable = Durable(tmp_path)

    async def first():
        async with aiohttp.ClientSession() as session, Raw(session, durable.server) as raw:
            for n, name in enumerate(["kept/x", "kept/y"]):
                await raw.ws.send_str(f'42{n}["subscribe","{name}"]')
                assert json.loads((await raw.text())[3:])[0]["channel"] == name
            for n in range(3):
                await publish(session, durable.server, "kept/x", f"x{n}")
                await publish(session, durable.server, "kept/y", f"y{n}")
            events = [await raw.event() for _ in range(6)]
            assert sorted(e[1] for e in events) == ["x0", "x1", "x2", "y0", "y1", "y2"]
            await raw.ws.close()
            for name in ("x", "y"):
                await publish(session, durable.server, f"kept/{name}", f"{name} while away")
            return raw.connected, events[3][-1], {e[1] for e in events[4:]}

    async def second(connected, offset, missed):
        async with aiohttp.ClientSession() as session, Raw(session, durable.server, {"pid": connected["pid"], "offset": offset}) as raw:
            assert raw.connected == connected, "the same names: it was recovered"
            got = [await raw.event() for _ in range(4)]
            assert {e[1] for e in got} == missed | {"x while away", "y while away"}
            await publish(session, durable.server, "kept/x", "after")
            assert (await raw.event())[1] == "after"

    async def third(connected):
        async with aiohttp.ClientSession() as session, Raw(session, durable.server, {"pid": connected["pid"], "offset": "kept/x=other:1"}) as raw:
            assert raw.connected["pid"] != connected["pid"] and raw.connected["sid"] != connected["sid"], "history was lost: it begins anew"
    try:
        state = run(first())
        durable.kill()
        durable.start()
        run(second(*state))
        run(third(state[0]))
    finally:
        stop_server(durable.server)
