"""Subscribers on all four transports lose their connections at random while messages are published and the server is killed and
restarted: every one of them sees every message of a durable channel exactly once, in order.

MARTLET_STORM=1000:10000 runs the whole thing (subscribers:messages), which takes some minutes; without it, a small one.
"""
import asyncio
import json
import os
import random
import time

import aiohttp
import pytest
from test_channels import Durable, run

pytestmark = pytest.mark.alone

SUBSCRIBERS, MESSAGES = map(int, os.environ.get("MARTLET_STORM", "80:1000").split(":"))
CHANNEL = "kept/storm"


class Subscriber:
    """Follows the channel until it has seen every message; each connection goes on from the cursor of the one before."""

    def __init__(self, number, durable, session):
        self.transport = ("ws", "sse", "poll", "socket.io")[number % 4]
        self.random = random.Random(number)
        self.durable, self.session = durable, session
        self.cursor = None
        self.seen = 0
        self.connections = 0
        self.error = None

    @property
    def done(self):
        return self.seen >= MESSAGES

    def take(self, cursor, text):
        """Each message holds its number: it must be the next one."""
        if int(text) != self.seen:
            raise AssertionError(f"{self.transport}: message {text} came behind {self.seen - 1}, connection {self.connections}")
        self.seen += 1
        self.cursor = cursor

    def gone(self, until):
        return self.done or time.monotonic() > until

    async def follow(self):
        follow = {"ws": self.ws, "sse": self.sse, "poll": self.poll, "socket.io": self.socket_io}[self.transport]
        while not self.done:
            self.connections += 1
            try:
                await follow(time.monotonic() + self.random.uniform(0.5, 6))
            except (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError):
                await asyncio.sleep(self.random.uniform(0.05, 0.3))

    async def ws(self, until):
        async with self.session.ws_connect(self.durable.server.url("/ws"), max_msg_size=0) as ws:
            command = {"do": "subscribe", "id": 1, "channel": CHANNEL, **({"since": self.cursor} if self.cursor else {})}
            await ws.send_str(json.dumps(command))
            while not self.gone(until):
                message = await ws.receive(timeout=max(0.01, until - time.monotonic()))
                if message.type != aiohttp.WSMsgType.TEXT:
                    return
                value = json.loads(message.data)
                if "data" in value:
                    self.take(value["cursor"], value["data"])
                else:
                    assert value["ok"] and not value["lost"], value
                    self.cursor = value["cursor"]

    async def sse(self, until):
        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        timeout = aiohttp.ClientTimeout(sock_read=6)
        async with self.session.get(self.durable.server.url(f"/channels/{CHANNEL}/events"), headers=headers, timeout=timeout) as response:
            assert response.status == 200, await response.text()
            rest = b""
            while not self.gone(until):
                rest += await response.content.readany()
                if response.content.at_eof():
                    return
                *blocks, rest = rest.split(b"\n\n")
                for block in blocks:
                    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                    assert fields.get("event") is None, fields
                    if "data" in fields:
                        self.take(fields["id"], fields["data"])
                    elif "id" in fields:
                        self.cursor = fields["id"]

    async def poll(self, until):
        while not self.gone(until):
            query = f"?since={self.cursor}&wait=1" if self.cursor else ""
            async with self.session.get(self.durable.server.url(f"/channels/{CHANNEL}/poll{query}")) as response:
                answer = await response.json()
                assert answer["lost"] == [], answer
                for message in answer["messages"]:
                    self.take(message["cursor"], message["data"])
                self.cursor = answer["cursor"]

    async def socket_io(self, until):
        async with self.session.ws_connect(self.durable.server.url("/socket.io/?EIO=4&transport=websocket"), max_msg_size=0) as ws:
            await ws.receive(timeout=5)
            await ws.send_str("40")
            await ws.receive(timeout=5)
            options = f',{{"since":"{self.cursor}"}}' if self.cursor else ""
            await ws.send_str(f'421["subscribe","{CHANNEL}"{options}]')
            while not self.gone(until):
                message = await ws.receive(timeout=max(0.01, until - time.monotonic()))
                if message.type != aiohttp.WSMsgType.TEXT:
                    return
                if message.data == "2":
                    await ws.send_str("3")
                elif message.data.startswith("431"):
                    answer = json.loads(message.data[3:])[0]
                    assert not answer["lost"], answer
                    self.cursor = answer["cursor"]
                elif message.data.startswith("42"):
                    _, data, about, _ = json.loads(message.data[2:])
                    self.take(about["cursor"], data)


async def publisher(durable, session, ready):
    """Publishes the numbers in order, each once: a number whose answer was lost goes again with the same key."""
    await ready.wait()
    for number in range(MESSAGES):
        while True:
            try:
                async with session.post(durable.server.url(f"/channels/{CHANNEL}"), data=str(number),
                                        headers={"Idempotency-Key": f"n{number}"}) as response:
                    assert response.status in (200, 503), await response.text()
                    if response.status == 200:
                        break
            except (aiohttp.ClientError, ConnectionError):
                pass
            await asyncio.sleep(0.05)


async def storm(durable):
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as session:
        subscribers = [Subscriber(number, durable, session) for number in range(SUBSCRIBERS)]
        ready = asyncio.Event()
        tasks = [asyncio.create_task(s.follow()) for s in subscribers]
        publishing = asyncio.create_task(publisher(durable, session, ready))
        while not all(s.cursor for s in subscribers):
            await asyncio.sleep(0.1)
        ready.set()
        while max(s.seen for s in subscribers) < MESSAGES // 2:
            await asyncio.sleep(0.05)
            for task in tasks:
                if task.done():
                    task.result()
        durable.kill()
        await asyncio.to_thread(durable.start)
        for task in [publishing, *tasks]:
            await task
        return subscribers


def test_every_subscriber_sees_every_message_exactly_once_in_order(tmp_path, record_property):
    durable = Durable(tmp_path)
    try:
        subscribers = run(storm(durable), 1200)
    finally:
        if durable.server.running:
            durable.server.process.terminate()
            durable.server.process.wait(20)
    assert all(s.seen == MESSAGES for s in subscribers)
    connections = sum(s.connections for s in subscribers)
    assert connections > SUBSCRIBERS, "nobody lost a connection"
    by_transport = {t: sum(s.connections for s in subscribers if s.transport == t) for t in ("ws", "sse", "poll", "socket.io")}
    print(f"{SUBSCRIBERS} subscribers, {MESSAGES} messages, {connections} connections {by_transport}, one kill -9: nothing missed, nothing twice")
