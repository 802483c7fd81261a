// What participants send each other beside media: JSON, and files in chunks over the data channel, by the server where there is none.
//
// A text frame is `{"data": …}`, `{"handover": GENERATION}`, `{"renegotiate": SECTIONS}` or `{"file": {"do": …, "id": N, …}}`; a binary one
// is a chunk of a file: the transfer's number (4 bytes), where the chunk begins (8, a double), the bytes.
import { SHA256 } from "./sha256.js";

/** Bytes of a chunk, and of what is read of the file at once. */
const CHUNK = 32 * 1024;
const READ = 512 * 1024;
const HEADER = 12;
/** Bytes that are kept as chunks before the browser gets them as one, which it may put on the disk. */
const GATHER = 8 << 20;
/** Milliseconds for a connection of two participants to come about before a file goes by way of the server. */
const REACH = 8000;
/** Files that one participant may offer at a time. */
const OFFERS = 64;

/** What a transfer needs to know about, and can do. */
class Transfer extends EventTarget {
  /** `waiting`, `running`, `paused`, `done`, `failed` or `cancelled`. */
  state = "waiting";
  loaded = 0;
  /** `peer` or `server`. */
  via = "peer";
  error = null;
  #settle;

  constructor({ id, name, size, type }, participant, io) {
    super();
    Object.assign(this, { id, name, size, type, participant });
    Object.defineProperty(this, "io", { value: io });
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.done.catch(() => {});
  }

  get isOver() { return ["done", "failed", "cancelled"].includes(this.state); }

  /** Ends it for both. */
  cancel(reason = "cancelled") {
    if (this.isOver) return;
    this.tell({ do: "cancel", reason });
    this.end("cancelled", new Error(reason));
  }

  tell(message) { this.io.say(this.participant, { file: { ...message, id: this.id, to: this.side } }); }

  set(state) {
    if (this.isOver || this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  progress(loaded) {
    this.loaded = loaded;
    this.dispatchEvent(new Event("progress"));
  }

  end(state, value) {
    if (this.isOver) return;
    if (state !== "done") this.error = value;
    this.set(state);
    if (state === "done") this.#settle.resolve(value);
    else this.#settle.reject(value);
  }
}

/** A file that we send. */
export class Outgoing extends Transfer {
  direction = "out";
  side = "receiver";
  #offset = 0;
  #hash = new SHA256();
  #hashed = 0;
  /** Each start ends the run before. */
  #run = 0;
  #upload = null;

  constructor(id, file, participant, io) {
    super({ id, name: file.name ?? "file", size: file.size, type: file.type }, participant, io);
    this.file = file;
  }

  async offer() {
    if (await this.io.reach(this.participant)) {
      this.tell({ do: "offer", name: this.name, size: this.size, type: this.type });
    } else {
      await this.#store();
    }
  }

  pause() {
    if (this.state !== "running" || this.via !== "peer") return;
    this.#run++;
    this.set("paused");
    this.tell({ do: "paused" });
  }

  resume() { if (this.state === "paused") this.#send(this.#offset); }

  take(message) {
    switch (message.do) {
      case "go":
        if (Number.isSafeInteger(message.at) && message.at >= 0 && message.at <= Math.max(this.#hashed, this.#offset)) this.#send(message.at);
        break;
      case "hold":
        this.#run++;
        this.set("paused");
        break;
      case "done":
        this.progress(this.size);
        this.end("done", undefined);
        break;
      case "cancel":
        this.end("cancelled", new Error(`${message.reason}`));
        break;
    }
  }

  /** The connection is gone; where there is another one the receiver says where to go on. */
  stall() {
    this.#run++;
    this.set("paused");
  }

  end(state, value) {
    this.#run++;
    this.#upload?.abort();
    super.end(state, value);
  }

  async #send(offset) {
    const run = ++this.#run;
    this.#offset = offset;
    this.set("running");
    try {
      while (this.#offset < this.size) {
        const part = new Uint8Array(await this.file.slice(this.#offset, this.#offset + READ).arrayBuffer());
        if (run !== this.#run) return;
        if (!(await this.#sendPart(part, run))) return;
      }
      this.tell({ do: "end", sha256: this.#digest() });
    } catch (error) {
      if (run !== this.#run) return;
      if (this.io.link(this.participant)?.channel) this.cancel(`the file cannot be read: ${error.message}`);
      else this.stall();
    }
  }

  async #sendPart(part, run) {
    const start = this.#offset;
    for (let at = 0; at < part.length; at += CHUNK) {
      const link = this.io.link(this.participant);
      if (!link) throw new Error("the participant is gone");
      await link.writable();
      if (run !== this.#run) return false;
      const bytes = part.subarray(at, at + CHUNK);
      if (!link.send(chunkOf(this.id, start + at, bytes))) throw new Error("the connection is gone");
      this.#note(start + at, bytes);
    }
    return true;
  }

  #note(at, bytes) {
    if (at === this.#hashed) {
      this.#hash.update(bytes);
      this.#hashed += bytes.length;
    }
    this.#offset = at + bytes.length;
    this.progress(this.#offset);
  }

  #digest() {
    this.sha256 ??= this.#hash.digest();
    return this.sha256;
  }

  /** By way of the server: the other one gets it from there. */
  async #store() {
    this.via = "server";
    this.set("running");
    try {
      for (let at = 0; at < this.size; at += READ) this.#hash.update(new Uint8Array(await this.file.slice(at, at + READ).arrayBuffer()));
      if (this.isOver) return;
      this.#upload = this.io.upload(this.file, `${randomName()}/${this.name.replaceAll("/", "_")}`);
      this.#upload.addEventListener("progress", ({ loaded }) => this.progress(loaded));
      const { url } = await this.#upload.done;
      this.tell({ do: "stored", name: this.name, size: this.size, type: this.type, url, sha256: this.#digest() });
      this.end("done", undefined);
    } catch (error) {
      this.end("failed", new Error(`no connection to the participant, and the server does not take the file: ${error.message}`));
    }
  }
}

/** A file that we are offered. */
export class Incoming extends Transfer {
  direction = "in";
  side = "sender";
  #blob = new Blob([]);
  #parts = [];
  #gathered = 0;
  #hash = new SHA256();
  #stored = null;

  constructor(description, participant, io) {
    super(description, participant, io);
    if (description.url) {
      this.via = "server";
      this.#stored = description;
    }
  }

  /** Lets it come. `done` is kept with the file as a Blob, once its SHA-256 is right. */
  accept() {
    if (this.state !== "waiting") return this.done;
    if (this.#stored) this.#fetch();
    else this.go();
    return this.done;
  }

  go() {
    this.set("running");
    this.tell({ do: "go", at: this.loaded });
  }

  pause() {
    if (this.state !== "running" || this.via !== "peer") return;
    this.set("paused");
    this.tell({ do: "hold" });
  }

  resume() { if (this.state === "paused") this.go(); }

  take(message) {
    if (message.do === "end") this.#finish(message.sha256);
    if (message.do === "paused") this.set("paused");
    if (message.do === "cancel") this.end("cancelled", new Error(`${message.reason}`));
  }

  /** @param {number} at where the chunk begins: what was sent twice, or before something was lost, is not taken. */
  append(at, bytes) {
    if (this.isOver || this.state === "waiting" || at !== this.loaded) return;
    if (at + bytes.length > this.size) return this.cancel("more came than the file has");
    if (this.state === "paused" && !bytes.length) return;
    this.#hash.update(bytes);
    this.#parts.push(bytes);
    this.#gathered += bytes.length;
    if (this.#gathered >= GATHER) this.#gather();
    this.progress(at + bytes.length);
  }

  #gather() {
    this.#blob = new Blob([this.#blob, ...this.#parts]);
    [this.#parts, this.#gathered] = [[], 0];
  }

  #finish(sha256) {
    if (this.isOver || this.state === "waiting") return;
    if (this.loaded !== this.size) return this.go();
    if (this.#hash.digest() !== sha256) {
      this.tell({ do: "cancel", reason: "what arrived is not what was sent" });
      return this.end("failed", new Error("what arrived is not what was sent (SHA-256)"));
    }
    this.#gather();
    this.tell({ do: "done" });
    this.end("done", new Blob([this.#blob], { type: this.type }));
  }

  async #fetch() {
    this.set("running");
    try {
      const response = await this.io.download(this.#stored.url);
      for (const reader = response.body.getReader(); ;) {
        const { value, done } = await reader.read();
        if (done || this.isOver) break;
        this.append(this.loaded, value);
      }
      if (this.isOver) return;
      if (this.loaded !== this.size) throw new Error("it ended early");
      this.#finish(this.#stored.sha256);
    } catch (error) {
      this.end("failed", new Error(`the file cannot be had from the server: ${error.message}`));
    }
  }
}

/** All transfers of a room, and the JSON that goes the same ways. */
export class Transfers {
  #io;
  #ids = 0;
  /** By "SIDE PARTICIPANT NUMBER": numbers are the sender's. */
  #all = new Map();
  #opening = new Map();

  /** @param {object} io link(id), connect(id), signal(to, data), upload(file, path), download(url); data, asked, handover, file: what has come */
  constructor(io) { this.#io = { ...io, say: (to, message) => this.say(to, message), reach: (id) => this.#reach(id) }; }

  say(to, message) {
    if (!this.#io.link(to)?.send(JSON.stringify(message))) this.#io.signal(to, message);
  }

  send(to, file) {
    const transfer = new Outgoing(++this.#ids, file, to, this.#io);
    this.#keep(`out ${to} ${transfer.id}`, transfer);
    transfer.offer();
    return transfer;
  }

  #keep(key, transfer) {
    this.#all.set(key, transfer);
    const forget = () => this.#all.delete(key);
    transfer.done.then(forget, forget);
  }

  isBusy(id) { return this.#of(id).some(({ isOver, via }) => !isOver && via === "peer"); }

  /** A frame of the data channel. */
  receive(from, frame) {
    if (typeof frame === "string") return this.take(from, parsed(frame));
    if (frame.byteLength < HEADER) return;
    const view = new DataView(frame);
    this.#all.get(`in ${from} ${view.getUint32(0)}`)?.append(view.getFloat64(4), new Uint8Array(frame, HEADER));
  }

  /** Something that a participant says, whichever way it came. */
  take(from, message) {
    if (message === null || typeof message !== "object") return;
    if ("data" in message) this.#io.data(from, message.data);
    else if (Number.isSafeInteger(message.handover)) this.#io.handover(from, message.handover);
    else if (message.renegotiate !== null && typeof message.renegotiate === "object") this.#io.asked(from, message.renegotiate);
    else if (message.file !== null && typeof message.file === "object") this.#takeFile(from, message.file);
  }

  #takeFile(from, message) {
    if (message.do === "offer" || message.do === "stored") return this.#offered(from, message);
    this.#all.get(`${message.to === "receiver" ? "in" : "out"} ${from} ${message.id}`)?.take(message);
  }

  #offered(from, { id, name, size, type, url, sha256 }) {
    const key = `in ${from} ${id}`;
    const isSound = Number.isSafeInteger(id) && Number.isSafeInteger(size) && size >= 0 && typeof name === "string"
      && (url === undefined || typeof url === "string") && !this.#all.has(key);
    if (!isSound || this.#of(from).filter(({ isOver, direction }) => direction === "in" && !isOver).length >= OFFERS) return;
    const transfer = new Incoming({ id, size, name: name.slice(0, 255), type: `${type ?? ""}`, url, sha256 }, from, this.#io);
    this.#keep(key, transfer);
    this.#io.file(from, transfer);
  }

  /** A data channel is there, perhaps in place of one that was lost. */
  opened(id) {
    this.#opening.get(id)?.();
    for (const transfer of this.#of(id)) if (transfer.direction === "in" && transfer.state === "running" && transfer.via === "peer") transfer.go();
  }

  gone(id) {
    this.#opening.get(id)?.();
    for (const transfer of this.#of(id)) transfer.end("failed", new Error("the participant has left"));
  }

  close() { for (const id of new Set([...this.#all.values()].map(({ participant }) => participant))) this.gone(id); }

  #of(id) { return [...this.#all.values()].filter(({ participant }) => participant === id); }

  /** Whether there is a data channel to a participant, perhaps after making one. */
  async #reach(id) {
    if (this.#io.link(id)?.channel) return true;
    this.#io.connect(id);
    await new Promise((resolve) => {
      const done = () => (clearTimeout(timer), this.#opening.delete(id), resolve());
      const timer = setTimeout(done, REACH);
      const before = this.#opening.get(id);
      this.#opening.set(id, () => (before?.(), done()));
    });
    return Boolean(this.#io.link(id)?.channel);
  }
}

function chunkOf(id, at, bytes) {
  const frame = new Uint8Array(HEADER + bytes.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, id);
  view.setFloat64(4, at);
  frame.set(bytes, HEADER);
  return frame;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
