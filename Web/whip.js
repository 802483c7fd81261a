// Publishes and watches by WebRTC: a client of WHIP (RFC 9725) and WHEP.
//
//   import { publish, watch } from "/whip.js";
//   const camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
//   const session = publish("/live/cam/whip", camera, { token: "…", onstate: (state, text) => console.log(state, text) });
//   document.querySelector("video").srcObject = watch("/live/cam/whep").stream;
//   session.close();
//
// A session outlives its connections: where the path is lost ICE is restarted, where that does not help a new connection is made.

/** Milliseconds that a path may be silent before ICE is restarted, that one restart gets, and that all of them get together. */
const RECOVERY = { silence: 2000, attempt: 4000, total: 20_000 };
/** Milliseconds in which candidates are gathered for one PATCH. */
const TRICKLE = 60;
const FRAGMENT = "application/trickle-ice-sdpfrag";

/** What a server, or the network on the way to it, had against a session. */
export class WHIPError extends Error {
  /**
   * @param {number} status HTTP status; 0 when there was no answer, or the connection was lost later
   * @param {string} message for people
   * @param {number} [retryAfter] seconds, as the server asks
   */
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Trying again would get the same answer. */
  get isFinal() {
    return this.status >= 400 && this.status < 500 && ![404, 408, 409, 425, 429].includes(this.status);
  }
}

/**
 * Publishes the tracks of `media`.
 *
 * @param {string} url `/APP/NAME/whip`
 * @param {MediaStream} media its tracks stay the caller's: closing the session does not stop them
 * @param {object} [options]
 * @param {string} [options.token] goes out as `Authorization: Bearer …`
 * @param {"h264"|"vp8"|"vp9"|"av1"} [options.codec] of the picture; by default the server chooses among the browser's
 * @param {number} [options.bitrate] of the picture at most, in bits a second
 * @param {boolean} [options.simulcast] sends the picture in three sizes, with the rids `q`, `h` and `f`
 * @param {boolean} [options.reconnects] false ends at the first loss
 * @param {(state: SessionState, text: string, error?: WHIPError) => void} [options.onstate] `text` is for people
 * @returns {Session}
 *
 * @typedef {"connecting"|"connected"|"reconnecting"|"failed"|"closed"} SessionState
 */
export function publish(url, media, options = {}) {
  const session = new Session(url, options, (peer) => {
    for (const track of media.getTracks()) addTrack(peer, track, media, options);
  });
  session.media = media;
  return session;
}

/**
 * Watches: the picture and the sound come in `session.stream`. While nobody publishes, the server lets it wait.
 *
 * @param {string} url `/APP/NAME/whep`, with `?layer=RID` for one of several sizes
 * @param {object} [options] `token`, `reconnects` and `onstate` as of `publish`
 * @returns {Session}
 */
export function watch(url, options = {}) {
  const stream = new MediaStream();
  const session = new Session(url, options, (peer) => {
    for (const track of stream.getTracks()) stream.removeTrack(track);
    peer.ontrack = ({ track }) => stream.addTrack(track);
    for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
  });
  session.stream = stream;
  return session;
}

function addTrack(peer, track, media, { codec, bitrate, simulcast }) {
  const isVideo = track.kind === "video";
  const sendEncodings = isVideo ? encodings(bitrate, simulcast) : undefined;
  const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings });
  if (!isVideo || !codec) return;
  const all = RTCRtpSender.getCapabilities("video").codecs;
  const chosen = all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`);
  if (!chosen.length) throw new WHIPError(415, `this browser does not send ${codec.toUpperCase()}`);
  transceiver.setCodecPreferences([...chosen, ...all.filter(({ mimeType }) => /\/(rtx|red|ulpfec)$/i.test(mimeType))]);
}

function encodings(bitrate, isSimulcast) {
  if (!isSimulcast) return [{ maxBitrate: bitrate }];
  // From small to large, as Chromium wants them; a quarter of the pixels needs some third of the bits.
  return [["q", 4, 9], ["h", 2, 3], ["f", 1, 1]].map(([rid, scaleResolutionDownBy, share]) =>
    ({ rid, scaleResolutionDownBy, maxBitrate: bitrate && Math.round(bitrate / share) }));
}

/** What `publish` and `watch` answer. */
class Session {
  /** What is published, or what is watched. */
  media = null;
  stream = null;
  #url;
  #options;
  #prepare;
  #link = null;
  #state = "connecting";
  #attempts = 0;
  #timer = null;
  #leave = () => this.close();

  constructor(url, { token = null, reconnects = true, onstate = () => {}, ...rest }, prepare) {
    this.#url = new URL(url, location.href).href;
    this.#options = { token, reconnects, onstate, ...rest };
    this.#prepare = prepare;
    globalThis.addEventListener("pagehide", this.#leave);
    // Whoever made it has it before the first state is told.
    queueMicrotask(() => this.#connect());
  }

  get state() {
    return this.#state;
  }

  /** The connection in use, for its statistics; another one after a loss. */
  get peer() {
    return this.#link?.peer ?? null;
  }

  /** Whether the server is there and has not decided yet: it lets viewers wait for a publisher. */
  get isWaiting() {
    return this.#link?.isWaiting ?? false;
  }

  /**
   * Ends the session, here at once.
   * @returns {Promise<void>} resolves when the server knows, too
   */
  close() {
    if (this.#isOver) return Promise.resolve();
    const done = this.#finish();
    this.#set("closed", "Ended");
    return done;
  }

  /**
   * Publishes these tracks in place of those before, without a new negotiation.
   * @returns {Promise<boolean>} false when there is another number of tracks than before: then a new session is needed
   */
  async replace(media) {
    const kinds = (stream) => stream.getTracks().map(({ kind }) => kind).sort().join();
    if (kinds(media) !== kinds(this.media)) return false;
    this.media = media;
    this.#prepare = (peer) => {
      for (const track of media.getTracks()) addTrack(peer, track, media, this.#options);
    };
    for (const sender of this.peer?.getSenders() ?? []) {
      const track = media.getTracks().find(({ kind }) => kind === sender.track?.kind);
      if (track) await sender.replaceTrack(track);
    }
    return true;
  }

  /** Changes what the picture may take, in bits a second. */
  async setBitrate(bitrate) {
    this.#options.bitrate = bitrate;
    const sender = this.peer?.getSenders().find(({ track }) => track?.kind === "video");
    const parameters = sender?.getParameters();
    if (!parameters?.encodings?.length) return;
    const wanted = encodings(bitrate, parameters.encodings.length > 1);
    parameters.encodings.forEach((encoding, index) => (encoding.maxBitrate = wanted[index]?.maxBitrate));
    await sender.setParameters(parameters);
  }

  #connect() {
    if (this.#isOver) return;
    this.#set(this.#attempts ? "reconnecting" : "connecting", this.#attempts ? "Connecting again…" : "Connecting…");
    const link = new Link(this.#url, this.#options.token, Boolean(this.stream), {
      connected: () => {
        this.#attempts = 0;
        this.#set("connected", "Connected");
      },
      interrupted: () => this.#set("reconnecting", "The connection was interrupted; looking for another way…"),
      ended: (error) => this.#link === link && this.#lose(error),
    });
    this.#link = link;
    link.open(this.#prepare);
  }

  #lose(error) {
    // A publisher that was cut off is still there for the server until that notices.
    const isHopeless = error.isFinal || (error.status === 409 && !this.#attempts);
    if (isHopeless || !this.#options.reconnects) {
      this.#finish();
      return this.#set("failed", sentence(error.message), error);
    }
    this.#link.close();
    const pause = error.retryAfter ?? Math.min(10, 0.5 * 2 ** this.#attempts) * (0.75 + Math.random() / 2);
    this.#attempts++;
    this.#timer = setTimeout(() => this.#connect(), pause * 1000);
    this.#set("reconnecting", `${sentence(error.message)}. Trying again in ${Math.ceil(pause)} s…`, error);
  }

  get #isOver() {
    return this.#state === "closed" || this.#state === "failed";
  }

  #finish() {
    clearTimeout(this.#timer);
    globalThis.removeEventListener("pagehide", this.#leave);
    return this.#link?.close() ?? Promise.resolve();
  }

  #set(state, text, error) {
    if (this.#isOver) return;
    this.#state = state;
    this.#options.onstate(state, text, error);
  }
}

/** One connection and its resource on the server. It runs once and ends. */
class Link {
  peer = null;
  #url;
  #token;
  #mayWait;
  #events;
  #isOver = false;
  #resource = null;
  #request = new AbortController();
  #hasAnswered = false;
  #isRecovering = false;
  #silence = null;
  /** Candidates that are to be sent, and whether they may be: between an ICE restart and its answer they may not. */
  #candidates = [];
  #isTrickling = null;
  #mayTrickle = false;

  /** @param {boolean} mayWait the server may take its time, as for viewers of what nobody publishes */
  constructor(url, token, mayWait, events) {
    [this.#url, this.#token, this.#mayWait, this.#events] = [url, token, mayWait, events];
  }

  get isWaiting() {
    return this.#hasAnswered && !this.#resource;
  }

  async open(prepare) {
    try {
      const peer = new RTCPeerConnection({ iceServers: await this.#servers(), bundlePolicy: "max-bundle" });
      this.peer = peer;
      if (this.#isOver) return peer.close();
      peer.onicecandidate = ({ candidate }) => this.#gather(candidate);
      peer.onconnectionstatechange = () => this.#follow();
      prepare(peer);
      await peer.setLocalDescription();
      const response = await this.#send("POST", this.#url, peer.localDescription.sdp, { "Content-Type": "application/sdp" });
      if (response.status !== 201) throw await refusal(response);
      const location = response.headers.get("Location");
      if (!location) throw new WHIPError(0, "the server named no session (Location)");
      this.#resource = new URL(location, response.url).href;
      const answer = await response.text();
      if (this.#isOver) return this.#delete();
      // For a restart; the first attempt needs none of them, since the server can be reached.
      const servers = iceServers(response.headers.get("Link"));
      if (servers.length) peer.setConfiguration({ ...peer.getConfiguration(), iceServers: servers });
      await peer.setRemoteDescription({ type: "answer", sdp: answer });
      this.#hear(peer);
      this.#mayTrickle = true;
      this.#flush();
    } catch (error) {
      this.#end(error);
    }
  }

  close() {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#isTrickling);
    // An offer that is being answered has made a session, which `open` then deletes.
    if (this.#mayWait || this.#resource) this.#request.abort();
    const done = this.#resource ? this.#delete() : Promise.resolve();
    this.peer?.close();
    return done;
  }

  #end(error) {
    if (this.#isOver) return;
    this.close();
    this.#events.ended(error instanceof WHIPError ? error : new WHIPError(0, error.message));
  }

  // MARK: Requests

  /** RFC 9725 §4.6: the server may have STUN and TURN servers for us. One that is asked from elsewhere may not let us ask. */
  async #servers() {
    try {
      const response = await this.#send("OPTIONS", this.#url, null, {}, 3000);
      this.#hasAnswered = true;
      return iceServers(response.headers.get("Link"));
    } catch {
      return [];
    }
  }

  async #send(method, url, body, headers, timeout) {
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const signals = [this.#request.signal, ...(timeout ? [AbortSignal.timeout(timeout)] : [])];
    try {
      return await fetch(url, { method, headers, body, cache: "no-store", signal: AbortSignal.any(signals) });
    } catch {
      throw new WHIPError(0, "the server does not answer");
    }
  }

  /** Also while the page goes away. */
  async #delete() {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    await fetch(this.#resource, { method: "DELETE", headers, keepalive: true }).catch(() => {});
  }

  // MARK: Candidates

  #gather(candidate) {
    if (!candidate || candidate.candidate) this.#candidates.push(candidate);
    this.#isTrickling ??= setTimeout(() => {
      this.#isTrickling = null;
      this.#flush();
    }, TRICKLE);
  }

  /** RFC 8840 §9. Candidates that do not arrive are no loss: the server is reached, it does not reach out. */
  #flush() {
    if (!this.#mayTrickle || this.#isOver || !this.#candidates.length) return;
    const lines = this.#candidates.map((candidate) => (candidate ? `a=${candidate.candidate}` : "a=end-of-candidates"));
    this.#candidates = [];
    this.#patch([...fragmentHead(this.peer.localDescription.sdp), ...lines]).catch(() => {});
  }

  #patch(lines, headers = {}, timeout = 10_000) {
    return this.#send("PATCH", this.#resource, lines.map((line) => `${line}\r\n`).join(""), { "Content-Type": FRAGMENT, ...headers }, timeout);
  }

  // MARK: The connection

  /** The server says goodbye in DTLS. */
  #hear(peer) {
    const transport = peer.getTransceivers().map(({ sender, receiver }) => sender.transport ?? receiver.transport).find(Boolean);
    if (!transport) return;
    transport.onstatechange = () => {
      if (transport.state === "closed") this.#end(new WHIPError(0, "the server ended the session"));
    };
  }

  #follow() {
    if (this.#isOver) return;
    clearTimeout(this.#silence);
    switch (this.peer.connectionState) {
      case "connected":
        this.#events.connected();
        break;
      case "disconnected":
        this.#silence = setTimeout(() => this.#recover(), RECOVERY.silence);
        break;
      case "failed":
        this.#recover();
        break;
    }
  }

  /** ICE is restarted until something works, or time is over. */
  async #recover() {
    if (this.#isRecovering || this.#isOver) return;
    if (!this.#resource || !this.#mayTrickle) return this.#end(new WHIPError(0, "no connection to the server's media port came about"));
    this.#isRecovering = true;
    this.#events.interrupted();
    const end = performance.now() + RECOVERY.total;
    try {
      while (!this.#isOver && this.peer.connectionState !== "connected" && performance.now() < end) {
        const isAnswered = await this.#restart();
        await this.#pause(isAnswered ? RECOVERY.attempt : 1000);
      }
      if (!this.#isOver && this.peer.connectionState !== "connected") throw new WHIPError(0, UNREACHABLE);
    } catch (error) {
      this.#end(error);
    }
    this.#isRecovering = false;
  }

  /**
   * RFC 9725 §4.3.3: new credentials go up, the server's come back.
   * @returns whether there was an answer
   */
  async #restart() {
    const { peer } = this;
    this.#mayTrickle = false;
    this.#candidates = [];
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    let response;
    try {
      response = await this.#patch(fragmentHead(peer.localDescription.sdp), { "If-Match": "*" }, RECOVERY.attempt);
    } catch {
      return false;
    }
    if (response.status !== 200) throw await refusal(response);
    const sdp = withFragment(peer.remoteDescription.sdp, await response.text());
    await peer.setRemoteDescription({ type: "answer", sdp });
    this.#mayTrickle = true;
    this.#flush();
    return true;
  }

  /** Ends early when the connection is back. */
  #pause(milliseconds) {
    return new Promise((resolve) => {
      const stop = new AbortController();
      const done = () => {
        stop.abort();
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.peer.addEventListener("connectionstatechange", () => this.peer.connectionState === "connected" && done(), { signal: stop.signal });
    });
  }
}

const UNREACHABLE = "no media gets through: a firewall may block UDP to the server's WebRTC port";

async function refusal(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  const text = await response.text().catch(() => "");
  let message = `the server answered ${response.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Another server's, or a proxy's page.
  }
  return new WHIPError(response.status, message, retryAfter);
}

/** `<turn:…>; rel="ice-server"; username="…"; credential="…"`, as many as there are. */
export function iceServers(field) {
  return [...(field ?? "").matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+=(?:"[^"]*"|[^",;\s]*))*)/g)].flatMap(([, url, rest]) => {
    const parameters = Object.fromEntries(
      [...rest.matchAll(/;\s*([\w-]+)=(?:"([^"]*)"|([^",;\s]*))/g)].map(([, name, quoted, plain]) => [name, quoted ?? plain]));
    if (parameters.rel !== "ice-server") return [];
    const { username, credential } = parameters;
    return [{ urls: url, ...(username && { username, credential }) }];
  });
}

/** The lines that say which session a fragment belongs to. */
function fragmentHead(sdp) {
  const first = (pattern) => sdp.match(pattern)?.[0];
  return [first(/^a=ice-ufrag:.*/m), first(/^a=ice-pwd:.*/m), first(/^m=.*/m), first(/^a=mid:.*/m)].filter(Boolean).map((line) => line.trim());
}

/** A description with the credentials and candidates of a fragment in place of its own. */
function withFragment(sdp, fragment) {
  const lines = fragment.split(/\r?\n/);
  const one = (name) => lines.find((line) => line.startsWith(name));
  const candidates = lines.filter((line) => /^a=(candidate:|end-of-candidates)/.test(line));
  // Of the first section alone: with BUNDLE there is one transport.
  let isFirst = true;
  return sdp.split(/\r?\n/).flatMap((line) => {
    if (/^a=(candidate:|end-of-candidates)/.test(line)) return [];
    if (line.startsWith("a=ice-ufrag:")) return [one("a=ice-ufrag:") ?? line];
    if (line.startsWith("a=ice-pwd:")) return [one("a=ice-pwd:") ?? line];
    if (!line.startsWith("a=mid:") || !isFirst) return [line];
    isFirst = false;
    return [line, ...candidates];
  }).join("\r\n");
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
