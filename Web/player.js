// Plays a live stream in a <video>, close to live, for as long as somebody publishes it.
//
//   import { play } from "/player.js";
//   const player = play(document.querySelector("video"), "live/cam", { onstate: (state, text) => console.log(state, text) });
//   player.stats;    // { latency, stalls, width, height, … }
//   player.close();
//
// The stream comes as fragmented MP4 over a WebSocket into Media Source Extensions: the server sends a text message with the
// MIME type before each initialization segment, and a binary message for each fragment. Where a browser cannot do that, or
// not with the stream's codecs, it plays HLS itself if it can, and else by WebRTC (WHEP), which who wants the shortest way
// may ask for.
import { PeerStats } from "./peer-stats.js";
import { watch } from "./whip.js";

/** Seconds behind the newest frame at which to play; each stall adds some, quiet minutes take it back. */
const TARGET = { least: 0.5, most: 2, step: 0.25, quiet: 20_000 };
/** Seconds behind the target from which to play faster, and from which to jump. */
const LATE = 0.3;
const LOST = 4;
/** Seconds that stay in the buffer behind the playhead. */
const KEEP = 15;
/** Fragments in wait for the decoder, in bytes: more than this means that the page slept, and that a fresh start is cheaper. */
const QUEUE_LIMIT = 32 << 20;
/** Close codes from here on mean "do not come again". */
const FINAL_CLOSE = 4500;

const HLS_TYPE = "application/vnd.apple.mpegurl";
// Safari on iPhones has only the managed kind.
const MediaSourceKind = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

/** What this browser may be asked for with `options.transport`. */
export function transports() {
  const names = [];
  if (MediaSourceKind && globalThis.WebSocket) names.push("fmp4");
  if (document.createElement("video").canPlayType(HLS_TYPE)) names.push("hls");
  if (globalThis.RTCPeerConnection) names.push("webrtc");
  return names;
}

/**
 * Begins to play, and goes on until `close()`: connections that are lost come back, with growing pauses between.
 *
 * @param {HTMLVideoElement} video muted if it is to start without a click; pausing it closes the connection, playing opens it.
 * @param {string} path the stream: "live/cam".
 * @param {object} [options]
 * @param {"auto"|"fmp4"|"hls"|"webrtc"} [options.transport] "auto" takes the first of these that can be.
 * @param {string} [options.query] credentials as the address has them, `token=…` or `key=…`; by default the page's own.
 * @param {string} [options.origin] of the server; by default the page's own.
 * @param {(state: PlayerState, text: string) => void} [options.onstate] called at each change; `text` is for people.
 * @returns {Player}
 *
 * @typedef {"connecting"|"waiting"|"playing"|"paused"|"stalled"|"blocked"|"reconnecting"|"failed"} PlayerState
 * `waiting`: nobody publishes yet. `blocked`: the browser wants a click first. `failed`: no further try is made.
 */
export function play(video, path, options = {}) {
  return new Player(video, path, options);
}

class Player {
  #video;
  #path;
  #options;
  #listeners = new AbortController();
  #timers = new Set();
  #transport = null;
  #state = "connecting";
  #attempts = 0;
  #reconnects = 0;
  #stalls = 0;
  #stalledSince = 0;
  #quietSince = performance.now();
  #target = TARGET.least;
  #isSuspended = false;
  /** Nothing of this connection was shown yet. */
  #isFresh = true;

  constructor(video, path, { transport = "auto", query = credentials(), origin = location.origin, onstate = () => {} }) {
    this.#video = video;
    this.#path = path.split("/").map(encodeURIComponent).join("/");
    this.#options = { transport, query, origin, onstate };
    const on = (target, name, handle) => target.addEventListener(name, handle, { signal: this.#listeners.signal });
    on(video, "waiting", () => this.#stall());
    on(video, "playing", () => this.#play());
    on(video, "play", () => this.#resume());
    on(video, "pause", () => this.#suspend());
    on(video, "error", () => video.error && this.#fail(video.error.message || "the picture could not be decoded"));
    on(document, "visibilitychange", () => document.hidden || this.#follow());
    on(globalThis, "online", () => this.#state === "reconnecting" && this.#connect());
    const follow = setInterval(() => this.#follow(), 200);
    this.#listeners.signal.addEventListener("abort", () => clearInterval(follow));
    this.#connect();
  }

  /** Ends playback for good. The last picture stays. */
  close() {
    this.#listeners.abort();
    this.#disconnect();
  }

  /** What a viewer may want to know now. Seconds and counts; `null` where unknown. */
  get stats() {
    const video = this.#video;
    const quality = video.getVideoPlaybackQuality?.();
    return {
      state: this.#state,
      transport: this.#transport?.name ?? null,
      mime: this.#transport?.mime ?? null,
      codecs: this.#transport?.codecs ?? null,
      /** The stream has sound and no picture. */
      audioOnly: this.#transport?.mime?.startsWith("audio/") ?? (video.readyState > 0 && !video.videoWidth),
      latency: this.#latency,
      target: this.#target,
      rate: video.playbackRate,
      stalls: this.#stalls + (this.#transport?.freezes ?? 0),
      reconnects: this.#reconnects,
      width: video.videoWidth,
      height: video.videoHeight,
      decoded: this.#transport?.decoded ?? quality?.totalVideoFrames ?? null,
      dropped: this.#transport?.dropped ?? quality?.droppedVideoFrames ?? null,
    };
  }

  // MARK: Connections

  #connect() {
    this.#disconnect();
    const wanted = this.#options.transport;
    const possible = transports();
    const name = wanted === "auto" ? possible[0] : possible.find((kind) => kind === wanted);
    if (!name) return this.#end("This browser plays neither Media Source Extensions nor HLS nor WebRTC");
    this.#set(this.#attempts ? "reconnecting" : "connecting", this.#attempts ? "Connecting again…" : "Connecting…");
    this.#start(name);
  }

  #start(name) {
    const events = {
      media: () => this.#begin(),
      lost: (reason) => this.#fail(reason),
      refused: (reason) => this.#end(reason),
      unsupported: (mime) => this.#fallBack(mime),
    };
    // A transport of old may still have something to say.
    const current = (handle) => (...values) => this.#transport === transport && handle(...values);
    for (const key of Object.keys(events)) events[key] = current(events[key]);
    const url = (suffix, scheme) => {
      const address = new URL(`/${this.#path}${suffix}`, this.#options.origin);
      if (scheme) address.protocol = address.protocol.replace("http", scheme);
      address.search = this.#options.query;
      return address.href;
    };
    const transport = new { fmp4: FMP4Transport, hls: HLSTransport, webrtc: WebRTCTransport }[name](this.#video, url, events);
    this.#transport = transport;
    this.#isFresh = true;
    transport.open();
    this.#after(2000, () => {
      const isBegun = this.#state !== "connecting" && this.#state !== "reconnecting";
      if (this.#transport === transport && transport.isConnected && !isBegun) this.#set("waiting", "Waiting for somebody to publish…");
    });
    this.#run();
  }

  #disconnect() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    const transport = this.#transport;
    this.#transport = null;
    transport?.close();
  }

  /** The first media of a connection. */
  #begin() {
    this.#attempts = 0;
    this.#quietSince = performance.now();
    this.#run();
  }

  #run() {
    if (this.#isSuspended) return;
    this.#video.play().catch((error) => {
      // Without a click, browsers play only what is muted; anything else here is a newer load's doing.
      if (error.name === "NotAllowedError") this.#set("blocked", "Press play");
    });
  }

  #fail(reason) {
    if (this.#state === "failed" || this.#isSuspended) return;
    this.#disconnect();
    const pause = Math.min(10, 0.5 * 2 ** this.#attempts++) * (0.75 + Math.random() / 2);
    this.#reconnects++;
    this.#set("reconnecting", `${sentence(reason)}. Trying again in ${Math.ceil(pause)} s…`);
    this.#after(pause * 1000, () => this.#connect());
  }

  #end(reason) {
    this.#disconnect();
    this.#set("failed", sentence(reason));
  }

  /** @param {string} what this transport cannot bring to this browser */
  #fallBack(what) {
    const possible = transports();
    const next = this.#options.transport === "auto" && possible[possible.indexOf(this.#transport.name) + 1];
    if (!next) return this.#end(`This browser cannot play ${what}`);
    this.#disconnect();
    this.#start(next);
  }

  // MARK: What the element says

  /** A live stream does not wait: who pauses leaves, and comes back to what is live then. */
  #suspend() {
    if (this.#video.ended || this.#video.error || this.#isSuspended) return;
    this.#isSuspended = true;
    this.#disconnect();
    this.#set("paused", "Paused");
  }

  #resume() {
    if (!this.#isSuspended && this.#state !== "failed") return;
    this.#isSuspended = false;
    this.#attempts = 0;
    this.#connect();
  }

  #play() {
    this.#stalledSince = 0;
    if (this.#transport) this.#set("playing", "Live");
  }

  #stall() {
    if (this.#state !== "playing" || this.#video.seeking) return;
    this.#stalls++;
    this.#stalledSince = performance.now();
    this.#quietSince = this.#stalledSince;
    this.#target = Math.min(TARGET.most, this.#target + TARGET.step);
    this.#set("stalled", "Waiting for data…");
  }

  // MARK: Latency

  get #latency() {
    if (this.#transport?.name === "webrtc") return this.#transport.latency;
    const { buffered, seekable, currentTime } = this.#video;
    const ranges = this.#transport?.name === "hls" ? seekable : buffered;
    return ranges.length ? Math.max(0, ranges.end(ranges.length - 1) - currentTime) : null;
  }

  /** Stays near the newest frame: a little faster when late, a jump when far behind or before a gap. */
  #follow() {
    const now = performance.now();
    if (now - this.#quietSince > TARGET.quiet && this.#target > TARGET.least) {
      this.#target = Math.max(TARGET.least, this.#target - TARGET.step);
      this.#quietSince = now;
    }
    // Longer than a publisher may be away: the line is dead, the decoder hangs, or the time line began anew.
    if (this.#stalledSince && now - this.#stalledSince > 15_000) {
      this.#stalledSince = 0;
      return this.#fail("no data came");
    }
    const video = this.#video;
    const { buffered } = video;
    if (this.#transport?.name !== "fmp4" || !buffered.length || video.seeking) return;
    const last = buffered.length - 1;
    const [start, end] = [buffered.start(last), buffered.end(last)];
    const late = end - video.currentTime;
    if (this.#isFresh || late > this.#target + LOST || late < -0.5) {
      this.#isFresh = false;
      return this.#jump(Math.max(start, end - this.#target));
    }
    const range = this.#range(video.currentTime);
    if (range < last && (range < 0 || buffered.end(range) - video.currentTime < 0.1)) {
      return this.#jump(range + 1 === last ? Math.max(start, Math.min(end - this.#target, start + 1)) : buffered.start(range + 1));
    }
    const over = late - this.#target;
    const rate = over > 1.5 ? 1.2 : over > LATE ? 1.08 : over < 0.05 ? 1 : null;
    // Between the two thresholds it stays as it is: the rate would else change several times a second.
    if (rate && rate !== video.playbackRate) video.playbackRate = rate;
  }

  /** The buffered range around a time; -1 or the one before it when it lies in a gap. */
  #range(time) {
    const { buffered } = this.#video;
    let index = buffered.length - 1;
    while (index >= 0 && buffered.start(index) > time + 0.01) index--;
    return index;
  }

  #jump(time) {
    // Inside the range by a hair: its very start may round to the gap before it.
    this.#video.currentTime = time + 0.001;
  }

  #set(state, text) {
    if (state === this.#state && state === "playing") return;
    this.#state = state;
    this.#options.onstate(state, text);
  }

  #after(milliseconds, body) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      body();
    }, milliseconds);
    this.#timers.add(timer);
  }
}

/** Fragmented MP4 over a WebSocket into a SourceBuffer. */
class FMP4Transport {
  name = "fmp4";
  mime = null;
  #video;
  #url;
  #events;
  #socket = null;
  #source = null;
  #buffer = null;
  #sourceURL = null;
  /** Fragments as bytes, and `{ mime }` before each initialization segment. */
  #queue = [];
  #queued = 0;
  #hasBegun = false;

  constructor(video, url, events) {
    [this.#video, this.#url, this.#events] = [video, url, events];
  }

  open() {
    this.#load();
    const socket = new WebSocket(this.#url(".mp4", "ws"));
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
  }

  get isConnected() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  close() {
    if (this.#socket) this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket?.close();
    this.#queue = [];
    this.#buffer = null;
    // The element keeps its source, and so its last picture, until there is something newer.
  }

  #load() {
    const video = this.#video;
    const source = new MediaSourceKind();
    this.#source = source;
    this.#buffer = null;
    source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(this.#sourceURL);
      this.#pump();
    }, { once: true });
    if (MediaSourceKind !== globalThis.MediaSource) video.disableRemotePlayback = true;
    this.#sourceURL = URL.createObjectURL(source);
    video.src = this.#sourceURL;
  }

  #receive(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "format") this.#queue.push({ mime: message.mime });
    } else {
      this.#queue.push(data);
      this.#queued += data.byteLength;
      if (this.#queued > QUEUE_LIMIT) return this.#events.lost("the page was asleep");
      if (!this.#hasBegun) {
        this.#hasBegun = true;
        this.#events.media();
      }
    }
    this.#pump();
  }

  /** Hands the buffer what waits, one operation at a time. */
  #pump() {
    if (!this.#queue.length || this.#source.readyState !== "open" || this.#buffer?.updating) return;
    if (this.#video.error) return;
    try {
      if (this.#queue[0].mime) {
        this.#format(this.#queue.shift().mime);
      } else if (!this.#trim(KEEP)) {
        this.#append();
      }
    } catch (error) {
      this.#events.lost(`playback failed: ${error.message}`);
    }
  }

  /** A new initialization segment follows. */
  #format(mime) {
    if (!MediaSourceKind.isTypeSupported(mime)) return this.#events.unsupported(mime);
    if (this.#buffer && kinds(mime) !== kinds(this.mime)) {
      // A source buffer's tracks are for life: start over, with what waits.
      this.#queue.unshift({ mime });
      this.mime = mime;
      this.#load();
      // A new source leaves the element paused.
      return this.#events.media();
    }
    if (!this.#buffer) {
      this.#buffer = this.#source.addSourceBuffer(mime);
      this.#buffer.addEventListener("updateend", () => this.#pump());
    } else if (mime !== this.mime) {
      this.#buffer.changeType(mime);
    }
    this.mime = mime;
    this.#pump();
  }

  #append() {
    const end = this.#queue.findIndex((item) => item.mime);
    const count = end < 0 ? this.#queue.length : end;
    const bytes = joined(this.#queue.slice(0, count));
    try {
      this.#buffer.appendBuffer(bytes);
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
      // Room must come from behind the playhead; if there is none, the player stands still: begin anew.
      if (!this.#trim(1)) this.#events.lost("the buffer is full");
      return;
    }
    this.#queue.splice(0, count);
    this.#queued -= bytes.byteLength;
  }

  /** Frees what was played more than `keep` seconds ago; says whether there was any. */
  #trim(keep) {
    const { currentTime } = this.#video;
    const { buffered } = this.#buffer;
    // By whole seconds: not with every frame.
    if (!buffered.length || currentTime - buffered.start(0) < keep + (keep > 5 ? 5 : 0)) return false;
    this.#buffer.remove(0, currentTime - keep);
    return true;
  }

  #closed(code, reason) {
    if (code >= FINAL_CLOSE) return this.#events.refused(reason || `the server closed the connection (${code})`);
    if (this.#hasBegun || code !== 1006) return this.#events.lost(reason || "the connection was lost");
    // A refused upgrade looks like a broken line to a page; plain HTTP tells which.
    refusal(this.#url(".mp4")).then((text) => (text ? this.#events.refused(text) : this.#events.lost("the server could not be reached")));
  }
}

/** HLS by the browser itself. */
class HLSTransport {
  name = "hls";
  mime = null;
  /** The element does not say more. */
  isConnected = true;
  #video;
  #url;
  #events;
  #listeners = new AbortController();

  constructor(video, url, events) {
    [this.#video, this.#url, this.#events] = [video, url, events];
  }

  open() {
    const video = this.#video;
    const on = (name, handle) => video.addEventListener(name, handle, { signal: this.#listeners.signal });
    on("loadeddata", () => this.#events.media());
    on("ended", () => this.#events.lost("the stream ended"));
    video.playbackRate = 1;
    video.src = this.#url(".m3u8");
  }

  close() {
    this.#listeners.abort();
    // Else the element would go on to fetch segments.
    this.#video.removeAttribute("src");
    this.#video.load();
  }
}

/** WebRTC: the shortest way, without a buffer of our own. */
class WebRTCTransport {
  static #period = 1000;
  /** Seconds without a picture or sound after which the line is taken for dead: a publisher may be away for a while. */
  static #patience = 20;

  name = "webrtc";
  mime = null;
  codecs = null;
  /** Seconds: half a round trip and the time in the jitter buffer; without the former where the browser does not tell it. */
  latency = null;
  freezes = 0;
  /** Not every browser counts these at the element. */
  decoded = null;
  dropped = null;
  #video;
  #url;
  #events;
  #session = null;
  #timer = null;
  #stats = null;
  #packets = 0;
  #silence = 0;

  constructor(video, url, events) {
    [this.#video, this.#url, this.#events] = [video, url, events];
  }

  open() {
    const url = new URL(this.#url("/whep"));
    // In a field, where it is in no log.
    const token = url.searchParams.get("token");
    url.searchParams.delete("token");
    // The player sees to coming back.
    this.#session = watch(url.href, { token, reconnects: false, onstate: (state, text, error) => this.#follow(state, text, error) });
    this.#video.removeAttribute("src");
    this.#video.playbackRate = 1;
    this.#video.srcObject = this.#session.stream;
    this.#timer = setInterval(() => this.#read(), WebRTCTransport.#period);
  }

  get isConnected() {
    return this.#session.isWaiting;
  }

  close() {
    clearInterval(this.#timer);
    this.#session.close();
    this.#video.srcObject = null;
  }

  #follow(state, text, error) {
    if (state === "connected") this.#events.media();
    if (state !== "failed") return;
    if (error.status === 406) this.#events.unsupported(`this stream by WebRTC: ${text.charAt(0).toLowerCase()}${text.slice(1)}`);
    else if (error.isFinal) this.#events.refused(error.message);
    else this.#events.lost(error.message);
  }

  async #read() {
    const { peer, state } = this.#session;
    if (!peer || state !== "connected") return;
    this.#stats ??= new PeerStats(peer);
    const { delay, roundTrip, codecs, freezes, decoded, dropped, packets } = await this.#stats.read();
    [this.decoded, this.dropped] = [decoded, dropped];
    if (delay !== null) this.latency = delay + (roundTrip ?? 0) / 2;
    this.codecs = codecs;
    this.freezes = freezes ?? 0;
    this.#silence = packets > this.#packets ? 0 : this.#silence + WebRTCTransport.#period / 1000;
    this.#packets = packets;
    if (this.#silence >= WebRTCTransport.#patience) this.#events.lost("no data came");
  }
}

function credentials() {
  const from = new URLSearchParams(location.search);
  const to = new URLSearchParams();
  for (const name of ["token", "key"]) if (from.has(name)) to.set(name, from.get(name));
  return to.toString();
}

/** Why the server says no, or nothing when it does not. */
async function refusal(url) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 3000);
  try {
    const response = await fetch(url, { signal: stop.signal });
    if (response.ok || response.status >= 500) return null;
    return (await response.json()).error?.message ?? `The server answered ${response.status}`;
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** What a MIME type has of picture and sound: `video/mp4; codecs="avc1.42c01f,mp4a.40.2"` → `video 2`. */
function kinds(mime) {
  return `${mime.split("/")[0]} ${mime.split(",").length}`;
}

function joined(parts) {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(new Uint8Array(part), offset);
    offset += part.byteLength;
  }
  return bytes;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
