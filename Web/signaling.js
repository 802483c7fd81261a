// What a page and the server say about a room: commands by POST, events by channels, so over any transport of martlet.js.

/** Milliseconds between attempts of a command that did not get through. */
const PAUSE = { min: 400, max: 5000 };
/** Milliseconds before credentials of the TURN server, or a token, end that new ones are asked for. */
const EARLY = 60_000;
/** Messages of the chat that somebody who joins is shown. */
const HISTORY = 50;

/** What the server had against a command. `code` is of docs/rooms.md; `network` when no answer came. */
export class RoomError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "RoomError";
    this.code = code;
  }

  get isTemporary() { return ["network", "busy", "server"].includes(this.code); }
}

export class Signaling {
  #url;
  #token;
  #name;
  #info;
  #expiry;
  #key = null;
  #channels = [];
  #chat = null;
  /** Commands to one participant, in their order: by its id. */
  #queues = new Map();
  #events;
  #isOver = false;
  #isChecking = false;
  #wasLost = false;
  #timers = { servers: 0, token: 0 };
  #wait = new AbortController();

  /** @param {{Martlet, expiry}} library of martlet.js */
  constructor({ Martlet, expiry }, room, { url, token, name, info, transports, onwaiting = () => {} }, events) {
    this.martlet = new Martlet(url, { token, transports, backoff: { min: 300, max: 5000 } });
    this.#url = new URL(`rooms/${room.split("/").map(encodeURIComponent).join("/")}`, this.martlet.url).href;
    [this.#token, this.#name, this.#info, this.#expiry] = [token, name, info, expiry];
    this.#events = { ...events, onwaiting };
    this.martlet.addEventListener("state", (event) => this.#follow(event));
  }

  /** As whom we join again. */
  describe({ name = this.#name, info = this.#info }) { [this.#name, this.#info] = [name, info]; }

  // MARK: Coming and going

  async join() {
    const answer = await this.#post({ do: "join", name: this.#name, info: this.#info });
    await this.#arrive(answer);
  }

  async #arrive(answer) {
    this.#key = answer.key;
    this.#enter(answer.code === "waiting" ? await this.#waitAtTheDoor(answer) : answer);
  }

  #enter(answer) {
    this.#key = answer.key ?? this.#key;
    this.#queues.clear();
    this.#takeServers(answer);
    this.#events.entered(answer);
    for (const channel of this.#channels) channel.unsubscribe();
    this.#channels = [];
    const { events, inbox, chat } = answer.channels;
    this.#channels = [
      this.#listen(events, ({ data }) => this.#events.event(data)), this.#listen(inbox, ({ data }) => this.#events.inbox(data)),
    ];
    this.#listenToChat(chat.name);
    this.#watchToken();
    this.#events.state("connected", "Connected");
  }

  /** Whoever we are by then, it goes on where it was. */
  #listenToChat(name) {
    const channel = this.martlet.channel(name);
    if (channel.state !== "idle" && channel.state !== "failed") return;
    this.#chat?.abort();
    this.#chat = new AbortController();
    channel.addEventListener("message", (message) => this.#isOver || this.#events.message(messageOf(message)), { signal: this.#chat.signal });
    channel.subscribe({ last: HISTORY });
  }

  #listen({ name, cursor }, act) {
    const channel = this.martlet.channel(name);
    const listening = new AbortController();
    const on = (type, listener) => channel.addEventListener(type, (event) => this.#isOver || listener(event), { signal: listening.signal });
    on("message", act);
    // What is lost is in the answer to `resume`; a channel that is no more is one of a server that was restarted.
    on("lost", () => this.check());
    on("state", ({ state }) => state === "failed" && this.check());
    channel.subscribe({ since: cursor });
    return { unsubscribe: () => (listening.abort(), channel.unsubscribe()) };
  }

  /** In the lobby, until a moderator decides. */
  #waitAtTheDoor({ channels: { inbox }, error }) {
    this.#events.onwaiting(error);
    return new Promise((resolve, reject) => {
      const door = this.#listen(inbox, ({ data }) => {
        if (data.event === "admitted" || data.event === "refused") door.unsubscribe();
        if (data.event === "admitted") resolve(this.#post({ do: "resume" }));
        if (data.event === "refused") reject(new RoomError("refused", data.reason ? `you were not let in: ${data.reason}` : "you were not let in"));
      });
    });
  }

  /** Whether we are still who we were; else we come again. */
  async check() {
    if (this.#isOver || this.#isChecking || !this.#key) return;
    this.#isChecking = true;
    try {
      const answer = await this.#persist({ do: "resume" });
      this.#takeServers(answer);
      this.#events.caughtUp(answer);
      this.#events.state("connected", "Connected again");
    } catch (error) {
      if (error.code === "gone") await this.rejoin();
      else this.#end(error);
    }
    this.#isChecking = false;
  }

  async rejoin() {
    if (this.#isOver) return;
    this.#events.state("reconnecting", "You were away for too long; joining again…");
    try {
      await this.#arrive(await this.#persist({ do: "join", name: this.#name, info: this.#info }));
    } catch (error) {
      this.#end(error);
    }
  }

  #end(error) { if (!this.#isOver) this.#events.state("closed", `The room cannot be joined again: ${error.message}.`, error); }

  async leave() { if (this.#key) await this.#post({ do: "leave" }, { keepalive: true }).catch(() => {}); }

  /** While the page goes away. */
  leaveByBeacon() { if (this.#key) navigator.sendBeacon(this.#url, JSON.stringify({ do: "leave", key: this.#key })); }

  close() {
    this.#isOver = true;
    this.#wait.abort();
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    // The last of `leave` goes out by itself; what is subscribed ends here.
    this.martlet.close();
  }

  #follow({ state, retryIn, error }) {
    if (this.#isOver) return;
    if (state === "waiting") {
      this.#wasLost = true;
      const when = retryIn > 1500 ? ` Trying again in ${Math.round(retryIn / 1000)} s…` : " Trying again…";
      this.#events.state("reconnecting", `The connection to the server was lost.${when} Pictures and sound may go on.`, error);
    } else if (state === "connected" && this.#wasLost) {
      this.#wasLost = false;
      this.check();
    } else if (state === "closed") {
      this.#events.state("closed", `The server has ended the connection: ${error?.message ?? "no reason was given"}.`, error);
    }
  }

  // MARK: Commands

  /** The answer to a command; what does not get through is tried again. */
  async ask(command) {
    try {
      return await this.#persist(command);
    } catch (error) {
      if (error.code === "gone") this.check();
      throw error;
    }
  }

  /** Without an answer: those to one participant stay in order. */
  send(command) {
    const { to = "" } = command;
    const key = this.#key;
    const last = this.#queues.get(to) ?? Promise.resolve();
    // Of a participant that we no longer are nobody wants to hear.
    const next = last.then(() => (key === this.#key ? this.ask(command) : null)).catch((error) => {
      if (!this.#isOver && !["gone", "no_participant"].includes(error.code)) console.warn(`martlet: ${command.do}: ${error.message}`);
    });
    this.#queues.set(to, next);
  }

  async #persist(command) {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#post(command);
      } catch (error) {
        if (!error.isTemporary || this.#isOver) throw error;
        await this.#pause(Math.min(PAUSE.max, PAUSE.min * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2));
      }
    }
  }

  async #post(command, { keepalive = false } = {}) {
    const token = await this.#currentToken();
    const body = JSON.stringify(command.do === "join" ? command : { ...command, key: this.#key });
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
    let response, answer;
    try {
      response = await fetch(this.#url, { method: "POST", headers, body, keepalive, cache: "no-store" });
      answer = await response.json().catch(() => ({}));
    } catch (error) {
      throw new RoomError("network", `the server does not answer (${error.message})`);
    }
    if (response.ok) return answer;
    const fallback = response.status === 429 ? "busy" : response.status >= 500 ? "server" : "bad_command";
    const text = typeof answer.error === "string" ? answer.error : answer.error?.message;
    throw new RoomError(typeof answer.code === "string" ? answer.code : fallback, text ?? `the server answered ${response.status}`);
  }

  async #currentToken() { return (typeof this.#token === "function" ? await this.#token() : this.#token) ?? null; }

  /** Ends early with the room, and when the network is back. */
  #pause(milliseconds) {
    return new Promise((resolve) => {
      const done = () => (clearTimeout(timer), globalThis.removeEventListener("online", done), resolve());
      const timer = setTimeout(done, milliseconds);
      globalThis.addEventListener("online", done);
      this.#wait.signal.addEventListener("abort", done, { once: true });
    });
  }

  /** A file of this server, with our token: which is for nobody else. */
  async download(url) {
    const own = new URL("files/", this.martlet.url).href;
    if (!new URL(url, own).href.startsWith(own)) throw new Error("it is not on this server");
    const token = await this.#currentToken();
    const response = await fetch(url, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response;
  }

  // MARK: What ends in time

  /** The name of a credential begins with the second in which it ends. */
  #takeServers({ iceServers = [] }) {
    this.#events.servers(iceServers);
    const ends = iceServers.map(({ username }) => Number.parseInt(username, 10) * 1000).filter(Number.isFinite);
    clearTimeout(this.#timers.servers);
    if (!ends.length) return;
    this.#timers.servers = setTimeout(async () => {
      this.#takeServers(await this.ask({ do: "ice" }).catch(() => ({})));
    }, Math.min(Math.max(EARLY, Math.min(...ends) - Date.now() - EARLY), 2 ** 31 - 1));
  }

  async #watchToken() {
    clearTimeout(this.#timers.token);
    if (typeof this.#token !== "function") return;
    const ends = this.#expiry(await this.#currentToken());
    if (ends === null) return;
    this.#timers.token = setTimeout(async () => {
      const token = await this.#currentToken();
      await this.ask({ do: "refresh", token }).catch(() => {});
      this.#watchToken();
    }, Math.min(Math.max(1000, ends - Date.now() - EARLY / 2), 2 ** 31 - 1));
  }
}

/** A message of the chat, whether a participant said it or somebody else published it. */
function messageOf({ data, time, cursor, user }) {
  const isSaid = data !== null && typeof data === "object" && typeof data.from === "string" && "data" in data;
  return isSaid ? { from: data.from, name: data.name ?? "", data: data.data, time, cursor } : { from: null, name: user ?? "", data, time, cursor };
}
