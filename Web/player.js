// Plays a live stream in a <video>: fragmented MP4 over a WebSocket into Media Source Extensions.
//
// The server sends a text message with the MIME type before each initialization segment, and a binary message for each
// fragment. Playback stays a little behind the newest frame: it jumps when it has fallen far behind and speeds up slightly
// when it is a little late.

const TARGET = 0.4; // seconds behind the newest frame
const LATE = 1.5; // above this, play faster
const LOST = 6; // above this, jump

export function play(video, path, { status = () => {}, token = new URLSearchParams(location.search).get("token") } = {}) {
  const player = new Player(video, path, status, token);
  player.connect();
  return player;
}

class Player {
  constructor(video, path, status, token) {
    Object.assign(this, { video, path, status, token, queue: [], stalls: 0, retry: 0, closed: false });
    video.addEventListener("waiting", () => this.stalls++);
    this.timer = setInterval(() => this.follow(), 250);
  }

  connect() {
    this.source = new MediaSource();
    this.buffer = null;
    this.queue = [];
    const url = URL.createObjectURL(this.source);
    this.video.src = url;
    this.source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(url);
      this.open();
    }, { once: true });
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const query = this.token ? `?token=${encodeURIComponent(this.token)}` : "";
    this.socket = new WebSocket(`${scheme}//${location.host}/${this.path.split("/").map(encodeURIComponent).join("/")}.mp4${query}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.configure(JSON.parse(data)) : this.append(data));
    this.socket.onclose = ({ code, reason }) => this.closedBy(code, reason);
  }

  configure({ mime }) {
    this.retry = 0;
    if (!MediaSource.isTypeSupported(mime)) {
      this.status(`This browser cannot play ${mime}`);
      return this.close();
    }
    if (this.buffer) {
      this.queue.push({ mime });
      return this.pump();
    }
    this.buffer = this.source.addSourceBuffer(mime);
    this.buffer.mode = "segments";
    this.buffer.addEventListener("updateend", () => this.pump());
    this.video.play().catch(() => this.status("Press play"));
  }

  append(data) {
    this.queue.push(data);
    this.pump();
  }

  pump() {
    if (!this.buffer || this.buffer.updating || !this.queue.length || this.source.readyState !== "open") return;
    try {
      const first = this.queue[0];
      if (first.mime) {
        this.queue.shift();
        this.buffer.changeType(first.mime);
        return this.pump();
      }
      const end = this.queue.findIndex((item) => item.mime);
      const parts = this.queue.splice(0, end < 0 ? this.queue.length : end);
      this.buffer.appendBuffer(parts.length === 1 ? parts[0] : joined(parts));
    } catch (error) {
      if (error.name === "QuotaExceededError") return this.trim(2);
      this.status(`Playback failed: ${error.message}`);
      this.socket.close();
    }
  }

  trim(keep) {
    const { buffered, currentTime } = this.video;
    if (this.buffer && !this.buffer.updating && buffered.length && currentTime - buffered.start(0) > keep) {
      this.buffer.remove(0, currentTime - keep);
    }
  }

  get latency() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  follow() {
    const { video } = this;
    if (!video.buffered.length) return;
    const end = video.buffered.end(video.buffered.length - 1);
    const late = end - video.currentTime;
    if (video.currentTime < video.buffered.start(video.buffered.length - 1) || late > LOST) video.currentTime = Math.max(0, end - TARGET);
    video.playbackRate = late > LATE ? 1.1 : 1;
    this.trim(30);
    if (!video.paused) this.status(`${late.toFixed(1)} s behind live · ${this.stalls} stalls`);
  }

  closedBy(code, reason) {
    if (this.closed) return;
    if (code >= 4500) return this.status(reason || `Closed (${code})`);
    const wait = Math.min(10, 0.5 * 2 ** this.retry++) * (0.75 + Math.random() / 2);
    this.status(`${reason || "The connection was lost"}. Trying again…`);
    setTimeout(() => !this.closed && this.connect(), wait * 1000);
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    this.socket?.close();
  }
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(new Uint8Array(part), offset);
    offset += part.byteLength;
  }
  return bytes;
}
