"""python-socketio as a peer: whoever connects to the default namespace gets what POST /pub brings."""
import sys

import socketio
from aiohttp import web

io = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
app = web.Application()
io.attach(app)


async def publish(request):
    await io.emit("message", await request.text())
    return web.Response(text="{}")


app.router.add_post("/pub", publish)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, backlog=4096, access_log=None)
