// The page /channels.html: asks the API every two seconds what channels there are, and has a console to take part in one.
import { api, token } from "/api.js";
import { showConsole } from "/console.js";
import { el, reconcile, setText } from "/dom.js";
import { bytes, count, transport } from "/format.js";
import { Graph } from "/graph.js";

const PERIOD = 2000;
/** More rows than this help nobody; the page says how many it leaves out. */
const LIMIT = 100;
const $ = (id) => document.getElementById(id);
const rows = new Map();
let timer = null;
let isAsking = false;

const perSecond = (value) => `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)}/s`;

/** Those whose name is a word. */
const plurals = { ws: true, sse: true, poll: true };

/** A figure that only grows, as what it grows by in a second. */
class Rate {
  #last = null;

  next(value, time = performance.now()) {
    const last = this.#last;
    this.#last = { value, time };
    // Less than before: the server, or the channel, began anew.
    if (!last || value < last.value || time <= last.time) return 0;
    return ((value - last.value) / (time - last.time)) * 1000;
  }
}

/** One of the figures above the table. */
class Total {
  #rate = new Rate();
  #value = el("dd");

  constructor(label) {
    this.graph = new Graph(label, perSecond);
    this.element = el("div", {}, el("dt", {}, label), this.#value, this.graph.element);
  }

  update(value) {
    const rate = this.#rate.next(value);
    setText(this.#value, perSecond(rate));
    this.graph.add(rate);
  }
}

class Row {
  #rate = new Rate();
  #graph;
  #subscribers = el("td");
  #history = el("td");
  #value = el("span", { class: "per-second" });

  constructor({ name }, listen) {
    this.#graph = new Graph(`Messages of ${name}`, perSecond);
    this.element = el("tr", {},
      el("th", { scope: "row" }, name), this.#subscribers, this.#history,
      el("td", {}, el("div", { class: "trend" }, this.#value, this.#graph.element)),
      el("td", {}, el("button", { type: "button", class: "small", "aria-label": `Listen to ${name}`, onclick: () => listen(name) }, "Listen")));
  }

  update({ subscribers, messages, bytes: size, published, members }) {
    const parts = Object.entries(subscribers.by_transport).map(([name, number]) => `${number} ${transport(name)}${number > 1 && name in plurals ? "s" : ""}`);
    if (members) parts.push(`${members} present`);
    setText(this.#subscribers, subscribers.total ? parts.join(", ") : "none");
    setText(this.#history, `${count(messages, "message", "messages")}, ${bytes(size)}`);
    const rate = this.#rate.next(published);
    setText(this.#value, perSecond(rate));
    this.#graph.add(rate);
  }
}

const totals = { published: new Total("Published"), delivered: new Total("Delivered") };
$("totals").append(...Object.values(totals).map(({ element }) => element));

async function poll() {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  try {
    const { channels, total, published, delivered } = await api.channels();
    $("access").hidden = true;
    setText($("problem"), "");
    show(channels, total);
    totals.published.update(published);
    totals.delivered.update(delivered);
  } catch (error) {
    fail(error);
  } finally {
    isAsking = false;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(poll, PERIOD);
  }
}

function show(channels, total) {
  const busiest = channels.sort((a, b) => b.subscribers.total - a.subscribers.total || a.name.localeCompare(b.name)).slice(0, LIMIT);
  reconcile($("channels").tBodies[0], rows, busiest, ({ name }) => name, (item) => new Row(item, listen));
  const subscribers = channels.reduce((sum, channel) => sum + channel.subscribers.total, 0);
  setText($("summary"), total ? `${count(total, "channel", "channels")}, ${count(subscribers, "subscriber", "subscribers")}` : "");
  $("channels").hidden = !total;
  $("empty").hidden = total > 0;
  $("more").hidden = total <= busiest.length;
  setText($("more"), `and ${total - busiest.length} more`);
}

function fail(error) {
  if (!error.isAboutAccess) {
    console.error(error);
    return setText($("problem"), `${error.message}. Trying again…`);
  }
  const isFirst = $("access").hidden;
  $("access").hidden = false;
  setText($("problem"), token.get() ? `This token does not do: ${error.message}` : "");
  if (isFirst) $("access").elements.token.focus();
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(new FormData(event.target).get("token").trim());
  poll();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
const { listen } = showConsole($("console"));
poll();
