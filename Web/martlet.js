// martlet.js: channels that resume on any transport, uploads that go on where they stopped, and rooms, whose modules come when they
// are asked for. How to use it: docs/javascript.md. What it speaks: docs/channels.md, docs/rooms.md.

/** What a server or the network had against a request. */
export class MartletError extends Error {
  /**
   * @param {number} code of docs/channels.md; 0 when no answer came. @param {boolean} retry the same may succeed later.
   */
  constructor(code, message, retry = false) {
    super(message);
    this.name = "MartletError";
    this.code = code;
    this.retry = retry;
  }
}

/** An event with its details as properties. */
class DetailedEvent extends Event {
  constructor(type, details) {
    super(type);
    for (const [name, value] of Object.entries(details)) Object.defineProperty(this, name, { value, enumerable: true });
  }
}

const defaults = {
  transports: ["websocket", "sse", "poll"], token: undefined, backoff: { min: 500, max: 30_000 }, timeout: 30_000, connectTimeout: 10_000,
  promoteAfter: 30_000,
};
/** Quiet for so long, a WebSocket is asked whether it lives; so long it has for the answer. */
const [QUIET, ANSWER] = [25_000, 10_000];
/** A link that lived so long was a good one: the pauses begin anew. */
const STABLE = 5000;
/** How long a page keeps to the transport that worked before it tries the best one again. */
const REMEMBERED = 600_000;
/** Commands of one WebSocket that wait for their answers; the server refuses more than 256. */
const WINDOW = 128;
/** Channels of one event stream or poll. */
const GROUP = 64;
/** Messages that `for await` holds for a consumer that is busy. */
const BUFFER = 10_000;

// MARK: What applications see

export class Martlet extends EventTarget {
  #connection;
  #channels = new Map();

  /** @param {string | URL} [url] of the server; where this module came from by default. */
  constructor(url, options = {}) {
    super();
    if (url && typeof url === "object" && !(url instanceof URL)) [url, options] = [undefined, url];
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#connection = new Connection(baseURL(url), { ...defaults, ...given, backoff: { ...defaults.backoff, ...given.backoff } }, this);
  }

  get url() { return this.#connection.base.href; }
  /** `idle`, `connecting`, `connected`, `waiting` (for the next attempt) or `closed`. */
  get state() { return this.#connection.state; }
  /** `websocket`, `sse` or `poll`; null when there is no connection. */
  get transport() { return this.#connection.transport; }
  get client() { return this.#connection.client; }
  get user() { return this.#connection.user; }

  /** The same object for the same name. */
  channel(name) {
    if (typeof name !== "string" || !name) throw new TypeError("a channel has a name");
    if (!this.#channels.has(name)) this.#channels.set(name, new Channel(this.#connection, name));
    return this.#channels.get(name);
  }

  /** Connects before anything needs it. */
  connect() { this.#connection.start(); }

  /** Sends a file in parts; see `Upload`. */
  upload(file, options = {}) { return new Upload(this.#connection, file, options); }

  /** Ends everything: subscriptions, iterations, and what was not answered yet. */
  close() { this.#connection.stop(new MartletError(0, "closed by the page")); }
}

export class Channel extends EventTarget {
  #connection;
  #subscription = null;
  #iterators = new Set();
  #state = "idle";

  /** Made by `martlet.channel(name)`. */
  constructor(connection, name) {
    super();
    this.#connection = connection;
    Object.defineProperty(this, "name", { value: name, enumerable: true });
  }

  /** `idle`, `subscribing`, `subscribed` or `failed`. */
  get state() { return this.#state; }
  /** Up to where messages came. Keep it to go on there with `since`. */
  get cursor() { return this.#subscription?.cursor ?? null; }

  /**
   * Messages come as events from now on, over however many connections it takes.
   * @returns a promise that is kept once the server agreed; it is not needed to be awaited.
   */
  subscribe(options = {}) {
    if (this.#subscription) return this.#subscription.ready;
    this.#subscription = new Subscription(this.name, options, {
      state: (state, error) => this.#change(state, error),
      message: (message) => this.#emit("message", message),
      lost: (cursor) => this.#emit("lost", { cursor }),
      presence: (action, member) => this.#emit("presence", { action, member }),
    });
    const { ready } = this.#subscription;
    this.#connection.add(this.#subscription);
    return ready;
  }

  unsubscribe() {
    if (!this.#subscription) return;
    this.#connection.remove(this.#subscription);
    this.#subscription.end();
  }

  /**
   * Publishes text, bytes (ArrayBuffer, a view, Blob) or any JSON value.
   * It is published once, also when the connection is lost before the answer and it is sent again.
   */
  async publish(data, { event, key = randomKey(), contentType, signal, timeout } = {}) {
    const command = { do: "publish", channel: this.name, event, key, ...await payloadOf(data, contentType) };
    const { cursor } = await this.#connection.ask(command, { signal, timeout });
    return { cursor };
  }

  /** Messages that the channel keeps: the newest (`last`), or those after a cursor (`since`). */
  async history({ since, last, limit, signal, timeout } = {}) {
    const command = { do: "history", channel: this.name, since, last, limit: limit ?? last };
    const { messages, cursor, lost } = await this.#connection.ask(command, { signal, timeout });
    return { messages: messages.map((message) => messageOf(message)), cursor, lost };
  }

  /** Who is subscribed: `{count, members}`. */
  async presence({ signal, timeout } = {}) {
    const { count, members } = await this.#connection.ask({ do: "presence", channel: this.name }, { signal, timeout });
    return { count, members };
  }

  /** `for await (const message of channel)`: subscribes if that has not been done. Ends with the subscription. */
  [Symbol.asyncIterator]() {
    const iterator = new MessageIterator((it) => this.#iterators.delete(it));
    this.#iterators.add(iterator);
    this.subscribe();
    return iterator;
  }

  #change(state, error) {
    this.#state = state;
    if (state === "idle" || state === "failed") {
      this.#subscription = null;
      for (const iterator of [...this.#iterators]) iterator.finish(error);
    }
    this.dispatchEvent(new DetailedEvent("state", { state, error }));
  }

  #emit(type, details) {
    if (type === "message") for (const iterator of [...this.#iterators]) iterator.push(details);
    this.dispatchEvent(new DetailedEvent(type, details));
  }
}

/**
 * Meets others: camera and microphone are opened, and the room is joined.
 * @returns {Promise<Room>} of rooms.js; its types are in martlet.d.ts.
 */
export async function joinRoom(name, options = {}) {
  if (typeof name !== "string" || !name) throw new TypeError("a room has a name");
  const { join } = await import("./rooms.js");
  return join({ Martlet, expiry, randomKey }, name, options);
}

/** Messages between a channel and one loop over it. */
class MessageIterator {
  #messages = [];
  #waiting = [];
  #end = null;
  #left;

  constructor(left) { this.#left = left; }

  push(message) {
    const next = this.#waiting.shift();
    if (next) return next.resolve({ value: message, done: false });
    if (this.#messages.push(message) > BUFFER) {
      this.finish(new MartletError(0, `the loop over the channel is ${BUFFER} messages behind`));
    }
  }

  finish(error) {
    this.#end ??= { error };
    this.#left(this);
    for (const next of this.#waiting.splice(0)) error ? next.reject(error) : next.resolve({ value: undefined, done: true });
  }

  next() {
    if (this.#messages.length) return Promise.resolve({ value: this.#messages.shift(), done: false });
    if (this.#end) {
      const { error } = this.#end;
      this.#end = {};
      return error ? Promise.reject(error) : Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return() {
    this.finish();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() { return this; }
}

// MARK: The connection

/** One channel that shall be heard, and up to where it was. */
class Subscription {
  cursor = null;
  state = "subscribing";
  /** Asked of the present link. */
  isAsked = false;
  #hooks;
  #settle;

  constructor(name, { since = null, last = undefined, presence = false, info = undefined }, hooks) {
    Object.assign(this, { name, since, last, presence, info });
    this.#hooks = hooks;
    this.ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    // Who does not wait for it hears of a failure by the event.
    this.ready.catch(() => {});
    queueMicrotask(() => this.state === "subscribing" && hooks.state("subscribing"));
  }

  /** Where the next link goes on. */
  get start() { return this.cursor ?? this.since; }

  agree(cursor, lost) {
    this.cursor = cursor;
    if (lost) this.#hooks.lost(cursor);
    if (this.state !== "subscribing") return;
    this.state = "subscribed";
    this.#settle.resolve({ cursor, lost });
    this.#hooks.state("subscribed");
  }

  /** What comes twice, or before the server agreed, is not for the application. */
  deliver(message) {
    if (this.state === "ended" || this.cursor === null || !isAfter(message.cursor, this.cursor)) return;
    this.cursor = message.cursor;
    this.#hooks.message(message);
  }

  lose(cursor) {
    this.cursor = cursor;
    this.#hooks.lost(cursor);
  }

  see(action, member) { if (this.presence && this.state !== "ended") this.#hooks.presence(action, member); }

  end(error) {
    if (this.state === "ended") return;
    this.state = "ended";
    this.#settle.reject(error ?? new MartletError(0, "unsubscribed"));
    this.#hooks.state(error ? "failed" : "idle", error);
  }
}

/** Everything of one `Martlet`: keeps a link, and asks each new one for what the last one left open. */
class Connection {
  state = "idle";
  transport = null;
  client = null;
  user = null;
  token = null;
  subscriptions = new Map();
  /** Questions without answer, in their order. */
  pending = new Map();
  #owner;
  #link = null;
  #choice = null;
  #isOpen = false;
  #ids = 0;
  #wake = null;
  #tokenTimer = null;
  #listening = new AbortController();

  constructor(base, options, owner) {
    Object.assign(this, { base, options });
    this.#owner = owner;
  }

  path(text) { return new URL(text, this.base); }

  start() {
    if (this.state !== "idle") return;
    this.#change("connecting");
    this.#watchPage();
    this.#run().catch((error) => this.stop(error));
  }

  stop(error) {
    if (this.state === "closed") return;
    const link = this.#link;
    this.#link = null;
    this.transport = null;
    this.#listening.abort();
    clearTimeout(this.#tokenTimer);
    this.#change("closed", { error });
    for (const subscription of [...this.subscriptions.values()]) this.remove(subscription), subscription.end(error);
    for (const request of [...this.pending.values()]) request.fail(error);
    link?.close();
    this.#wake?.();
  }

  // Subscriptions

  add(subscription) {
    if (this.state === "closed") return subscription.end(new MartletError(0, "this connection is closed"));
    this.subscriptions.set(subscription.name, subscription);
    this.start();
    if (this.#isOpen) this.#link.subscribe(subscription);
  }

  remove(subscription) {
    if (this.subscriptions.get(subscription.name) !== subscription) return;
    this.subscriptions.delete(subscription.name);
    if (this.#isOpen) this.#link?.unsubscribe(subscription);
  }

  /** The server refused a subscription, or ended it. */
  refuse(subscription, error) {
    if (this.subscriptions.get(subscription.name) !== subscription) return;
    if (!error.retry) {
      this.subscriptions.delete(subscription.name);
      return subscription.end(error);
    }
    const link = this.#link;
    setTimeout(() => {
      if (this.#link === link && this.#isOpen && this.subscriptions.get(subscription.name) === subscription) link.subscribe(subscription);
    }, pause(this.options.backoff, 1));
  }

  // Questions

  /** The answer to a command, whichever link brings it. */
  ask(command, { signal, timeout = this.options.timeout } = {}) {
    return new Promise((resolve, reject) => {
      if (this.state === "closed") return reject(new MartletError(0, "this connection is closed"));
      if (signal?.aborted) return reject(signal.reason);
      const id = this.nextID();
      const request = { id, command, attempts: 0, succeed: (value) => done(resolve, value), fail: (error) => done(reject, error) };
      const onAbort = () => request.fail(signal.reason);
      const timer = timeout > 0
        ? setTimeout(() => request.fail(new MartletError(0, `no answer to ${command.do} within ${timeout / 1000} s`, true)), timeout) : 0;
      const done = (settle, value) => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.pending.delete(id);
        settle(value);
      };
      signal?.addEventListener("abort", onAbort);
      this.pending.set(id, request);
      this.start();
      if (this.#isOpen) this.#link.perform(request);
    });
  }

  nextID() { return ++this.#ids; }

  /** The server is busy or its disk failed: the same again, a little later. */
  answerWithError(request, error) {
    if (!error.retry || ++request.attempts > 8) return request.fail(error);
    setTimeout(() => {
      if (this.pending.has(request.id) && this.#isOpen) this.#link.perform(request);
    }, pause(this.options.backoff, request.attempts));
  }

  // Links

  async #run() {
    const choice = new Choice(this.options.transports, this.base.origin);
    this.#choice = choice;
    let attempt = 0;
    while (this.state !== "closed") {
      const name = choice.name;
      this.transport = name;
      this.#change("connecting");
      const started = Date.now();
      const end = await this.#connectOnce(name, choice);
      this.#isOpen = false;
      this.transport = null;
      if (this.state === "closed") return;
      // A permission that expired while the machine slept is not the end where another token can be had.
      const mayRenew = end.code === 4501 && typeof this.options.token === "function" && Date.now() - started > STABLE;
      if (end.isFinal && !mayRenew) return this.stop(new MartletError(end.code, end.reason || "the server closed the connection"));
      if (end.code === 1009) this.#refuseLargest();
      attempt = end.worked && Date.now() - started > STABLE ? 0 : attempt + 1;
      if (end.isSuspended) {
        this.#change("waiting");
        await this.#sleep(2 ** 31 - 1);
        continue;
      }
      const isAnother = choice.report(name, end.worked);
      if (isAnother || end.isPromotion) continue;
      const delay = pause(this.options.backoff, attempt);
      this.#change("waiting", { retryIn: delay, error: new MartletError(end.code ?? 0, end.reason || "the connection was lost", true) });
      await this.#sleep(delay);
    }
  }

  /** The server closed the connection over the size of a frame: the same must not be sent again. */
  #refuseLargest() {
    const size = ({ command }) => command.bytes?.length ?? JSON.stringify(command).length;
    const all = [...this.pending.values()].filter(({ command }) => command.do === "publish").sort((a, b) => size(b) - size(a));
    all[0]?.fail(new MartletError(107, "the message is larger than the server takes (channels.message)"));
  }

  async #connectOnce(name, choice) {
    try {
      await this.#renewToken();
    } catch (error) {
      return { worked: false, isFinal: error?.retry === false, code: error?.code ?? 0, reason: `no token: ${error?.message ?? error}` };
    }
    if (this.state === "closed") return {};
    const link = new links[name](this);
    this.#link = link;
    for (const subscription of this.subscriptions.values()) subscription.isAsked = false;
    const promotion = choice.hasBetter(name) ? setTimeout(() => link.close({ worked: true, isPromotion: true }), this.options.promoteAfter) : 0;
    const end = await link.run();
    clearTimeout(promotion);
    return end;
  }

  /** The link takes commands: it gets all there is. */
  linkIsOpen(link) {
    if (link !== this.#link) return;
    this.#isOpen = true;
    for (const subscription of this.subscriptions.values()) link.subscribe(subscription);
    for (const request of [...this.pending.values()]) link.perform(request);
  }

  linkWorks(link, { client = null, user = null } = {}) {
    if (link !== this.#link || this.state === "closed") return;
    Object.assign(this, { client, user });
    if (this.state === "connected") return;
    this.#choice.works(this.transport);
    this.#change("connected");
  }

  #change(state, details = {}) {
    this.state = state;
    this.#owner.dispatchEvent(new DetailedEvent("state", { state, transport: this.transport, error: undefined, retryIn: undefined, ...details }));
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }

  /** A network that is back, or a page that is looked at again, is worth an attempt, or a look whether the link lives. */
  #watchPage() {
    const { signal } = this.#listening;
    const look = () => (this.state === "waiting" ? this.#wake?.() : this.state === "connected" && this.#link?.check());
    globalThis.addEventListener?.("online", look, { signal });
    globalThis.document?.addEventListener("visibilitychange", () => document.hidden || look(), { signal });
    // A page that is left but kept for the way back would be present, and connected, without anybody looking.
    globalThis.addEventListener?.("pagehide", () => this.#link?.close({ isSuspended: true }), { signal });
    globalThis.addEventListener?.("pageshow", look, { signal });
  }

  // Tokens

  async #renewToken() {
    const { token } = this.options;
    this.token = (typeof token === "function" ? await token() : token) ?? null;
    clearTimeout(this.#tokenTimer);
    const expires = typeof token === "function" ? expiry(this.token) : null;
    if (expires === null) return;
    const left = expires - Date.now();
    // Early enough for a slow network, and never in a loop.
    const delay = Math.max(1000, left - Math.min(30_000, left / 4));
    this.#tokenTimer = setTimeout(() => this.#refresh(), Math.min(delay, 2 ** 31 - 1));
  }

  async #refresh() {
    if (this.state !== "connected") return;
    const before = this.token;
    try {
      await this.#renewToken();
    } catch {
      // Asked for again soon: until it expires the old one serves.
      this.#tokenTimer = setTimeout(() => this.#refresh(), 5000);
      return;
    }
    if (this.token !== before && this.#isOpen) this.#link?.refresh();
  }
}

/** Which transport is next: the one that worked here before, else the first; another one when it does not work. */
class Choice {
  #names;
  #key;
  #index = 0;
  #failures = 0;
  #worked = new Set();

  constructor(names, origin) {
    this.#names = names.filter((name) => {
      if (!links[name]) throw new TypeError(`no transport "${name}": there are ${Object.keys(links).join(", ")}`);
      return links[name].isAvailable();
    });
    if (!this.#names.length) throw new TypeError("none of the transports is available here");
    this.#key = `martlet.transport ${origin}`;
    this.#index = Math.max(0, this.#names.indexOf(this.#remembered()));
  }

  get name() { return this.#names[this.#index]; }

  hasBetter(name) { return this.#names.slice(0, this.#names.indexOf(name)).some((other) => this.#worked.has(other)); }

  works(name) {
    this.#failures = 0;
    this.#worked.add(name);
    this.#remember(name);
  }

  /** @returns whether another transport is to be tried at once. */
  report(name, worked) {
    if (worked) {
      if (this.hasBetter(name)) this.#index = this.#names.findIndex((other) => this.#worked.has(other));
      return false;
    }
    // One that did work here fails because the network does, for a while.
    if (this.#worked.has(name) && ++this.#failures < 3) return false;
    this.#failures = 0;
    this.#index = (this.#index + 1) % this.#names.length;
    return this.#index > 0;
  }

  #remembered() {
    try {
      const { name, until } = JSON.parse(sessionStorage.getItem(this.#key)) ?? {};
      return until > Date.now() ? name : undefined;
    } catch {
      return undefined; // No storage here.
    }
  }

  #remember(name) {
    try {
      if (name === this.#names[0]) sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, JSON.stringify({ name, until: Date.now() + REMEMBERED }));
    } catch {
      // No storage here.
    }
  }
}

// MARK: Links

/** What all links have: they run once, and end with `{worked, isFinal, code, reason}`. */
class Link {
  worked = false;
  isOver = false;
  #finish;

  constructor(connection) { this.connection = connection; }

  run() {
    return new Promise((resolve) => {
      this.#finish = resolve;
      this.timer = setTimeout(() => this.finish({ reason: "no answer" }), this.connection.options.connectTimeout);
      try {
        this.open();
      } catch (error) {
        // An address that this page may not connect to.
        this.finish({ reason: error.message });
      }
    });
  }

  works(details) {
    clearTimeout(this.timer);
    this.worked = true;
    this.connection.linkWorks(this, details);
  }

  finish(end) {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    this.shut();
    this.#finish({ worked: this.worked, ...end });
  }

  close(end = {}) { this.finish(end); }
}

/** `/ws`. */
class SocketLink extends Link {
  static isAvailable() { return typeof WebSocket === "function"; }
  #socket;
  #heard = Date.now();
  #asked = 0;
  #beat;
  /** What waits for an answer: by id, a function of the answer. */
  #waiting = new Map();
  #queue = [];

  open() {
    const url = this.connection.path("ws");
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url.href, "martlet.v1");
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#greet();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.finish({ code, reason, isFinal: code >= 4500 && code < 5000 });
  }

  #greet() {
    const { connection } = this;
    this.#send({ do: "connect", token: connection.token ?? undefined }, (answer) => this.works(answer));
    connection.linkIsOpen(this);
    this.#beat = setInterval(() => this.#watch(), 5000);
  }

  shut() {
    clearInterval(this.#beat);
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
  }

  subscribe(subscription) {
    if (subscription.isAsked) return;
    subscription.isAsked = true;
    const { name, start, last, presence, info } = subscription;
    const from = start ? { since: start } : { last };
    this.#send({ do: "subscribe", channel: name, ...from, presence: presence || undefined, info }, ({ cursor, lost, error }) => {
      if (!error) return subscription.agree(cursor, lost);
      subscription.isAsked = false;
      this.connection.refuse(subscription, errorOf(error));
    });
  }

  unsubscribe(subscription) { this.#send({ do: "unsubscribe", channel: subscription.name }, () => {}); }

  perform(request) {
    this.#send(request.command, (answer) => {
      if (!this.connection.pending.has(request.id)) return;
      if (answer.error) this.connection.answerWithError(request, errorOf(answer.error));
      else request.succeed(answer);
    });
  }

  refresh() { this.#send({ do: "refresh", token: this.connection.token }, () => {}); }

  #send(command, then) {
    if (this.#waiting.size >= WINDOW) return this.#queue.push([command, then]);
    const id = this.connection.nextID();
    this.#waiting.set(id, then);
    this.#socket.send(frameOf({ ...command, id }));
  }

  #receive(data) {
    this.#heard = Date.now();
    if (typeof data !== "string") return this.#deliver(...binaryFrame(data));
    const received = JSON.parse(data);
    for (const item of Array.isArray(received) ? received : [received]) this.#take(item);
  }

  #take(item) {
    const { connection } = this;
    if (item.error && item.channel) {
      const ended = connection.subscriptions.get(item.channel);
      if (ended) connection.refuse(ended, errorOf(item.error));
    }
    if (item.id === undefined) {
      if (item.presence) connection.subscriptions.get(item.channel)?.see(item.presence, item.member);
      else if (item.cursor) this.#deliver(item);
      return;
    }
    const then = this.#waiting.get(item.id);
    this.#waiting.delete(item.id);
    const next = this.#queue.shift();
    if (next) this.#send(...next);
    then?.(item);
  }

  #deliver(item, bytes) { this.connection.subscriptions.get(item.channel)?.deliver(messageOf(item, bytes)); }

  /** Browsers do not show pings. */
  #watch() {
    const now = Date.now();
    if (this.#asked > this.#heard) {
      if (now - this.#asked > ANSWER) this.finish({ reason: "the server went silent" });
    } else if (now - this.#heard > QUIET) {
      this.#ping();
    }
  }

  #ping() {
    // After what was heard in this very millisecond.
    this.#asked = Math.max(Date.now(), this.#heard + 1);
    this.#send({ do: "ping" }, () => {});
  }

  check() {
    this.#ping();
    setTimeout(() => this.#asked > this.#heard && this.finish({ reason: "the server went silent" }), ANSWER / 2);
  }
}

/** What event streams and polls share: commands are requests, and a new channel begins with a poll of its own. */
class RequestLink extends Link {
  static isAvailable() { return typeof fetch === "function"; }
  /** What proves that the transport works here is a stream, not a request. */
  static isProvenByStream = false;
  #abort = new AbortController();
  #stream = null;
  #restart = 0;
  #attached = new Set();
  #last = Promise.resolve();

  open() {
    this.connection.linkIsOpen(this);
    // Without anything to ask for there is nothing that could fail.
    if (!this.connection.subscriptions.size && !this.connection.pending.size) this.works();
  }

  #hasAnswer() { if (!this.isOver && !(this.constructor.isProvenByStream && this.connection.subscriptions.size)) this.works(); }

  shut() {
    clearTimeout(this.#restart);
    this.#abort.abort();
    this.#stream?.abort();
  }

  refresh() { this.#again(); }
  check() { this.#again(); }

  async subscribe(subscription) {
    if (subscription.isAsked) return;
    subscription.isAsked = true;
    const { name, start, last } = subscription;
    const query = new URLSearchParams({ channel: name, wait: 0 });
    if (start) query.set("since", new URLSearchParams({ [name]: start }));
    else if (last !== undefined) query.set("last", last);
    try {
      const answer = await this.request("GET", `poll?${query}`);
      if (this.isOver || this.connection.subscriptions.get(name) !== subscription) return;
      const cursor = new URLSearchParams(answer.cursor).get(name);
      const isLost = answer.lost.includes(name);
      // Before the first of them; what comes is counted from there.
      subscription.agree(isLost || !start ? beforeFirst(answer.messages, cursor) : start, isLost);
      this.take(answer);
      this.#attached.add(subscription);
      this.#again();
    } catch (error) {
      subscription.isAsked = false;
      if (this.isOver) return;
      this.connection.refuse(subscription, error);
      if (!error.retry) this.#hasAnswer();
    }
  }

  unsubscribe(subscription) { if (this.#attached.delete(subscription)) this.#again(); }

  /** One after the other: so they stay in order. */
  perform(request) {
    this.#last = this.#last.then(async () => {
      if (this.isOver || !this.connection.pending.has(request.id)) return;
      try {
        request.succeed(await this.#question(request.command));
      } catch (error) {
        if (!this.isOver) this.connection.answerWithError(request, error);
      }
    });
  }

  #question({ do: action, channel, ...options }) {
    const path = `channels/${encodePath(channel)}`;
    if (action === "presence") return this.request("GET", `${path}/presence`);
    const query = new URLSearchParams();
    if (action === "history") {
      for (const name of ["since", "limit"]) if (options[name] !== undefined) query.set(name, options[name]);
      return this.request("GET", `${path}/history?${query}`);
    }
    if (options.event) query.set("event", options.event);
    const [body, type] = options.bytes ? [options.bytes, options.type]
      : typeof options.data === "string" && options.type !== "application/json" ? [options.data, options.type ?? "text/plain;charset=utf-8"]
      : [JSON.stringify(options.data), "application/json"];
    return this.request("POST", `${path}?${query}`, { "Content-Type": type, "Idempotency-Key": options.key }, body);
  }

  /** The JSON of an answer. What the network refuses ends the link; what the server refuses is thrown. */
  async request(method, path, headers = {}, body = undefined, signal = this.#abort.signal) {
    const { token } = this.connection;
    if (token) headers.Authorization = `Bearer ${token}`;
    let response, text;
    try {
      response = await fetch(this.connection.path(path), { method, headers, body, signal, cache: "no-store" });
      text = await response.text();
    } catch (error) {
      if (!signal.aborted) this.finish({ reason: "the network failed" });
      throw new MartletError(0, `${error.message ?? error}`, true);
    }
    if (!response.ok) throw refusalOf(response.status, text);
    this.#hasAnswer();
    return JSON.parse(text);
  }

  /** The messages of a poll. */
  take({ messages, lost = [], cursor }, isResumed = false) {
    const places = new URLSearchParams(cursor);
    const { subscriptions } = this.connection;
    if (isResumed) for (const name of lost) subscriptions.get(name)?.lose(beforeFirst(messages.filter((item) => item.channel === name), places.get(name)));
    for (const item of messages) subscriptions.get(item.channel)?.deliver(messageOf(item));
  }

  /** Streams for the channels there are now, from where each is. */
  #again() {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.#stream?.abort();
      this.#stream = new AbortController();
      const all = [...this.#attached];
      for (let at = 0; at < all.length; at += GROUP) this.listen(all.slice(at, at + GROUP), this.#stream.signal);
    });
  }

  /** The query that goes on behind all of `group`. */
  query(group) {
    const query = new URLSearchParams(group.map(({ name }) => ["channel", name]));
    query.set("since", new URLSearchParams(group.map(({ name, cursor }) => [name, cursor])));
    return query;
  }
}

/** `/events`, and requests for what a page says. */
class EventStreamLink extends RequestLink {
  static isAvailable() { return typeof EventSource === "function" && super.isAvailable(); }
  static isProvenByStream = true;

  listen(group, signal) {
    const { connection } = this;
    const query = this.query(group);
    if (connection.token) query.set("token", connection.token);
    if (group.some(({ presence }) => presence)) query.set("presence", "true");
    if (group.some(({ info }) => info !== undefined)) for (const { info } of group) query.append("info", info === undefined ? "" : JSON.stringify(info));
    const source = new EventSource(connection.path(`events?${query}`));
    // Some proxies open a stream and then keep what comes.
    const silence = setTimeout(() => this.finish({ worked: false, reason: "the event stream stays silent" }), connection.options.connectTimeout);
    signal.addEventListener("abort", () => (clearTimeout(silence), source.close()));
    const on = (type, act) => source.addEventListener(type, (event) => signal.aborted || act(event));
    on("ready", () => (clearTimeout(silence), this.works()));
    on("message", ({ data }) => {
      const item = JSON.parse(data);
      connection.subscriptions.get(item.channel)?.deliver(messageOf(item));
    });
    on("lost", ({ data, lastEventId }) => connection.subscriptions.get(data)?.lose(new URLSearchParams(lastEventId).get(data)));
    on("presence", ({ data }) => {
      const { channel, presence, member } = JSON.parse(data);
      connection.subscriptions.get(channel)?.see(presence, member);
    });
    on("end", ({ data }) => this.finish({ isFinal: true, code: data.includes("expired") ? 4501 : 4503, reason: data }));
    on("error", () => this.finish({ reason: "the event stream ended" }));
  }
}

/** `/poll`: one request after the other. */
class PollLink extends RequestLink {
  async listen(group, signal) {
    while (!signal.aborted && !this.isOver) {
      const query = this.query(group);
      query.set("wait", 25);
      try {
        this.take(await this.request("GET", `poll?${query}`, {}, undefined, signal), true);
      } catch (error) {
        // A refusal for one of them: each asks for itself again, and hears its own reason.
        if (!signal.aborted) this.finish({ reason: error.message });
        return;
      }
    }
  }
}

const links = { websocket: SocketLink, sse: EventStreamLink, poll: PollLink };

// MARK: Uploads

/**
 * A file on its way to `/files/NAME`. Events are those of XMLHttpRequest: loadstart, progress, load, error, abort, loadend.
 * `done` is kept with the file's address, or broken.
 */
export class Upload extends EventTarget {
  loaded = 0;
  #url;
  #abort = new AbortController();
  #connection;
  #options;

  constructor(connection, file, { name = file.name, chunk = 1 << 20, signal, timeout = 60_000, retries = 8, type = file.type } = {}) {
    super();
    if (!name) throw new TypeError("a file needs a name");
    this.#url = connection.path(`files/${encodePath(name)}`);
    this.#connection = connection;
    this.file = file instanceof Blob ? file : new Blob([file]);
    this.name = name;
    this.total = this.file.size;
    this.#options = { chunk, timeout, retries, type };
    if (signal?.aborted) this.#abort.abort(signal.reason);
    signal?.addEventListener("abort", () => this.#abort.abort(signal.reason), { signal: this.#abort.signal });
    this.done = Promise.resolve().then(() => this.#run());
    this.done.catch(() => {});
  }

  abort(reason) { this.#abort.abort(reason); }

  async #run() {
    this.#emit("loadstart");
    try {
      const { token } = this.#connection.options;
      this.token = typeof token === "function" ? await token() : token;
      const answer = await this.#send();
      this.#emit("load");
      return answer;
    } catch (error) {
      this.#emit(this.#abort.signal.aborted ? "abort" : "error", { error });
      throw error;
    } finally {
      this.#emit("loadend");
    }
  }

  /** Part after part; one that fails is sent again, from where the server says it stopped. */
  async #send() {
    const url = this.#url;
    let failures = 0;
    // Somebody may have begun it before.
    let isKnown = false;
    let wasLast = false;
    for (;;) {
      try {
        if (!isKnown) {
          const known = await this.#fetch(url, "HEAD", {}, undefined, [404]);
          // A file of that name that was there before is replaced; after the last part it is ours.
          if (isComplete(known) && wasLast) return this.#complete(known, url);
          this.#progress(known.status === 404 || isComplete(known) ? 0 : Math.min(arrivedOf(known), this.total - 1));
        }
        isKnown = true;
        const end = Math.min(this.loaded + this.#options.chunk, this.total);
        wasLast = end === this.total;
        const range = this.total ? { "Content-Range": `bytes ${this.loaded}-${end - 1}/${this.total}` } : {};
        const response = await this.#fetch(url, "PUT", range, this.file.slice(this.loaded, end));
        failures = 0;
        if (isComplete(response)) return this.#complete(response, url);
        this.#progress(arrivedOf(response));
      } catch (error) {
        if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
        if (!error.retry || ++failures > this.#options.retries) throw error;
        isKnown = false;
        await this.#pause(pause(this.#connection.options.backoff, failures));
      }
    }
  }

  #complete(response, url) {
    this.#progress(this.total);
    return { url: new URL(response.headers.get("Location") ?? url, url).href, etag: response.headers.get("ETag") };
  }

  async #fetch(url, method, headers, body, alsoFine = []) {
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (method === "PUT" && this.#options.type) headers["Content-Type"] = this.#options.type;
    const own = new AbortController();
    const timer = this.#options.timeout > 0 ? setTimeout(() => own.abort(), this.#options.timeout) : 0;
    const onAbort = () => own.abort();
    if (this.#abort.signal.aborted) onAbort();
    this.#abort.signal.addEventListener("abort", onAbort);
    try {
      const response = await fetch(url, { method, headers, body, signal: own.signal, cache: "no-store" });
      if (response.ok || alsoFine.includes(response.status)) return response;
      const error = refusalOf(response.status, await response.text());
      // The two do not agree on what has arrived: it is asked for.
      error.retry ||= response.status === 409 || response.status === 416;
      throw error;
    } catch (error) {
      if (error instanceof MartletError) throw error;
      const isLate = own.signal.aborted && !this.#abort.signal.aborted;
      throw new MartletError(0, isLate ? `a part took longer than ${this.#options.timeout / 1000} s` : `${error.message ?? error}`, true);
    } finally {
      clearTimeout(timer);
      this.#abort.signal.removeEventListener("abort", onAbort);
    }
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#abort.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }

  #progress(loaded) {
    const isNews = loaded !== this.loaded;
    this.loaded = Math.max(0, loaded);
    if (!isNews) return;
    this.#emit("progress");
  }

  #emit(type, details = {}) {
    this.dispatchEvent(new DetailedEvent(type, { loaded: this.loaded, total: this.total, lengthComputable: true, ...details }));
  }
}

const isComplete = (response) => response.headers.get("Upload-Complete") === "?1";

/** The first byte that the server does not have. */
const arrivedOf = (response) => Number(response.headers.get("Upload-Offset")) || 0;

// MARK: Forms

function baseURL(url) {
  const base = new URL(url ?? new URL(".", import.meta.url), globalThis.location?.href);
  base.protocol = base.protocol.replace(/^ws/, "http");
  base.search = base.hash = "";
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

/** A message as applications get it, from JSON and, where it came so, bytes. */
function messageOf({ channel, cursor, time, type, event, user, data, b64 }, bytes) {
  const message = { channel, cursor, time, contentType: type ?? "", data: bytes ?? (b64 === undefined ? data : fromBase64(b64)) };
  if (event !== undefined) message.event = event;
  if (user !== undefined) message.user = user;
  return message;
}

async function payloadOf(data, type) {
  if (data === undefined) throw new TypeError("nothing to publish");
  if (data instanceof Blob) return { bytes: new Uint8Array(await data.arrayBuffer()), type: type ?? (data.type || "application/octet-stream") };
  if (data instanceof ArrayBuffer) return { bytes: new Uint8Array(data.slice()), type: type ?? "application/octet-stream" };
  if (ArrayBuffer.isView(data)) {
    // As it is now, whatever the page does with it before it is sent.
    return { bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(), type: type ?? "application/octet-stream" };
  }
  return { data: typeof data === "string" ? data : JSON.parse(JSON.stringify(data)), type };
}

/** A command as a frame: text, or with bytes the length of the JSON in two bytes, the JSON, the bytes. */
function frameOf({ bytes, ...command }) {
  const json = JSON.stringify(command);
  if (!bytes) return json;
  const head = new TextEncoder().encode(json);
  const frame = new Uint8Array(2 + head.length + bytes.length);
  new DataView(frame.buffer).setUint16(0, head.length);
  frame.set(head, 2);
  frame.set(bytes, 2 + head.length);
  return frame;
}

function binaryFrame(buffer) {
  const length = new DataView(buffer).getUint16(0);
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 2, length))), buffer.slice(2 + length)];
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}

function errorOf({ code, message, retry }) { return new MartletError(code, message, retry); }

/** The codes of docs/channels.md for a status. */
function refusalOf(status, text) {
  let message = `the server answered ${status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // A proxy's page, for example.
  }
  const isTemporary = status === 429 || status === 408 || (status >= 500 && status !== 507 && status !== 501);
  const code = { 400: 100, 401: 101, 403: 103, 404: 108, 413: 107, 507: 201 }[status] ?? (isTemporary ? 200 : 100);
  return new MartletError(code, message, isTemporary);
}

const split = (cursor) => [cursor.slice(0, cursor.lastIndexOf(":")), Number(cursor.slice(cursor.lastIndexOf(":") + 1))];

/** Whether a message is new: of another epoch, or further on. */
function isAfter(cursor, other) {
  const [[epoch, offset], [otherEpoch, otherOffset]] = [split(cursor), split(other)];
  return epoch !== otherEpoch || offset > otherOffset;
}

/** The place before the messages of one answer. */
function beforeFirst(messages, cursor) {
  if (!messages.length) return cursor;
  const [epoch, offset] = split(messages[0].cursor);
  return `${epoch}:${offset - 1}`;
}

/** Twice as long each time, with half of it left to chance so that a thousand clients do not come at once. */
function pause({ min, max }, attempt) { return Math.min(max, min * 2 ** Math.min(Math.max(attempt - 1, 0), 20)) * (0.5 + Math.random() / 2); }

/** When a JWT expires, in milliseconds since 1970; null when it does not say. */
function expiry(token) {
  try {
    const { exp } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return typeof exp === "number" ? exp * 1000 : null;
  } catch {
    return null;
  }
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A name in an address. Dots that browsers would resolve would name something else. */
function encodePath(path) {
  const segments = path.split("/");
  if (segments.some((segment) => segment === "." || segment === "..")) throw new MartletError(100, `"${path}" is not a name: it has a segment of dots`);
  return segments.map(encodeURIComponent).join("/");
}
