// node-ws as a peer: /echo echoes; /ws and /deflate subscribe; POST /pub sends to every subscriber.
const http = require("http");
const { WebSocketServer } = require("/usr/share/nodejs/ws");

const plain = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const deflate = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 256, serverNoContextTakeover: true } });
const subscribers = new Set();

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const text = Buffer.concat(parts).toString();
    for (const socket of subscribers) socket.send(text);
    response.end("{}");
  });
});

server.on("upgrade", (request, socket, head) => {
  const wss = request.url === "/deflate" ? deflate : plain;
  wss.handleUpgrade(request, socket, head, (ws) => {
    if (request.url === "/echo") return ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
    subscribers.add(ws);
    ws.on("close", () => subscribers.delete(ws));
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", 4096);
