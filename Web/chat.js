// The page /chat.html: a chat in a hundred lines, as an example of martlet.js. `?channel=` names the channel, `?token=` is for
// servers that ask for one.
import { Martlet } from "./martlet.js";
import { el, reconcile, setText } from "./dom.js";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const martlet = new Martlet({ token: query.get("token") ?? undefined, transports: query.get("transports")?.split(",") });
const channel = martlet.channel(query.get("channel") ?? "chat/lobby");
const members = new Map();
const views = new Map();
let name = "";

document.title = `${channel.name} · Martlet`;
setText($("title"), channel.name);
// For tests, and for whoever looks with the browser's tools.
globalThis.martlet = martlet;

martlet.addEventListener("state", ({ state, transport, error, retryIn }) => {
  const texts = {
    connecting: "Connecting…", connected: { websocket: "Connected", sse: "Connected (event stream)", poll: "Connected (polling)" }[transport],
    waiting: `Connection lost, trying again${retryIn > 2000 ? ` in ${Math.round(retryIn / 1000)} s` : ""}…`, closed: error?.message ?? "Closed",
  };
  $("connection").dataset.state = state;
  setText($("connection"), texts[state]);
  // Who came and went meanwhile was not told.
  if (state === "connected" && channel.state === "subscribed") askWhoIsHere();
});

channel.addEventListener("message", (message) => {
  const { from, text } = Object(message.data);
  if (typeof text !== "string") return;
  const isOwn = from === name;
  add(el("li", { class: isOwn ? "own" : "" }, el("p", { class: "from" }, el("b", {}, `${from}`), " ", el("time", {}, clock(message.time))), el("p", {}, text)));
});

channel.addEventListener("lost", () => add(el("li", { class: "notice" }, "Some messages are no longer kept.")));

channel.addEventListener("presence", ({ action, member }) => {
  if (action === "join") members.set(member.client, member);
  else members.delete(member.client);
  showMembers();
});

channel.addEventListener("state", ({ state, error }) => {
  if (state === "subscribed") askWhoIsHere();
  if (state === "failed") add(el("li", { class: "notice danger" }, error.message));
});

async function askWhoIsHere() {
  try {
    const answer = await channel.presence();
    members.clear();
    for (const member of answer.members) members.set(member.client, member);
    $("no-presence").hidden = true;
  } catch (error) {
    if (error.retry) return;
    $("no-presence").hidden = false;
    setText($("no-presence"), error.code === 108 ? "Nobody knows: the setting channels.namespaces.chat.presence is off." : error.message);
  }
  showMembers();
}

function showMembers() {
  const sorted = [...members.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
  reconcile($("members"), views, sorted, ({ client }) => client, (member) => {
    const element = el("li");
    return { element, update: () => setText(element, nameOf(member)) };
  });
}

function nameOf({ info, user, client }) {
  return `${info?.name ?? user ?? client}`;
}

function add(line) {
  const list = $("messages");
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
  list.append(line);
  while (list.children.length > 500) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  name = new FormData(event.target).get("name").trim();
  if (!name) return;
  $("enter").hidden = true;
  $("room").hidden = false;
  channel.subscribe({ last: 50, presence: true, info: { name } });
  $("text").focus();
});

$("say").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  try {
    await channel.publish({ from: name, text });
  } catch (error) {
    add(el("li", { class: "notice danger" }, `Not sent: ${error.message}`));
    $("text").value ||= text;
  }
});
