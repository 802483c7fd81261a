// The page /call/NAME: a room for people. All it knows of rooms is `joinRoom`. `?token=` is for servers that ask for one,
// `?transports=` for trying out.
import { joinRoom } from "/martlet.js";
import { canShareScreen, explain, isPossible } from "/capture.js";
import { Chat } from "/call-chat.js";
import { Lobby } from "/call-join.js";
import { Tiles } from "/call-tiles.js";
import { confirmed, copyable, el, reconcile, setText, svg } from "/dom.js";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const name = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const ICONS = {
  microphone: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zm-6-3a6 6 0 0 0 12 0M12 18v3",
  camera: "M3 7h11v10H3zM14 11l6-4v10l-6-4",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4",
  view: "M3 4h8v7H3zM13 4h8v7h-8zM3 13h8v7H3zM13 13h8v7h-8z",
  chat: "M4 5h16v11H10l-4 4v-4H4z",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3 20a6 6 0 0 1 12 0M16 11a3 3 0 1 0-1-5.8M17 14a6 6 0 0 1 4 6",
  leave: "M14 4H5v16h9M10 12h11M17 8l4 4-4 4",
};

const lobby = new Lobby();
const people = new Map();
let room = null;
let tiles = null;
let chat = null;
let unread = 0;

document.title = `${name} · Martlet call`;
setText($("title"), name);

// MARK: Coming in

lobby.onjoin = async () => {
  lobby.isBusy = true;
  lobby.say("");
  lobby.tell("Joining…");
  const own = lobby.take();
  try {
    room = await joinRoom(name, {
      name: lobby.name, token: query.get("token") ?? undefined, transports: query.get("transports")?.split(","),
      audio: own.find(({ kind }) => kind === "audio") ?? false, video: own.find(({ kind }) => kind === "video") ?? false,
      onwaiting: () => lobby.tell("A moderator has to let you in. Waiting…"),
    });
  } catch (error) {
    for (const track of own) track.stop();
    lobby.say(refusal(error));
    lobby.open();
    return;
  } finally {
    lobby.isBusy = false;
    lobby.tell("");
  }
  // For tests, and for whoever looks with the browser's tools.
  globalThis.room = room;
  begin();
};

function refusal(error) {
  switch (error.code) {
    case "no_credentials": return `${sentence(error.message)} This server asks for a token: open the address that you were sent, which has it behind “?token=”.`;
    case "forbidden": return `${sentence(error.message)} Your token does not let you into this room.`;
    case "full": return "The room is full.";
    case "locked": return "A moderator has locked the room: nobody new comes in for now.";
    default: return sentence(error.message);
  }
}

function sentence(text) { return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`; }

function begin() {
  $("lobby").hidden = $("over").hidden = true;
  $("call").hidden = $("connection").hidden = false;
  tiles?.close();
  $("tiles").replaceChildren();
  tiles = new Tiles($("stage"), $("tiles"), room);
  tiles.onview = showTools;
  chat = new Chat(room, () => isShown("chat"));
  chat.onmessage = (who, text) => {
    if (isShown("chat")) return;
    unread++;
    tell(`${who}: ${text}`);
    showTools();
  };
  listen();
  showConnection("connected", "Connected");
  show();
}

function listen() {
  const on = (type, act) => room.addEventListener(type, act);
  on("joined", ({ participant }) => (tell(`${nameOf(participant)} has joined`), show()));
  on("left", ({ participant }) => (tell(`${nameOf(participant)} has left`), show()));
  on("track", ({ participant, source }) => {
    if (source === "screen" && participant !== room.me) tell(`${nameOf(participant)} shares the screen`);
    show();
  });
  for (const type of ["trackended", "changed", "quality", "locked", "unlocked"]) on(type, show);
  on("options", ({ options }) => (tell(options.record ? "This call is recorded" : "How this room is has changed"), show()));
  on("may", ({ may }) => (tell(may.includes("publish") ? "You may show and say something" : "Only others show and say something now"), show()));
  on("topology", ({ topology, supernode }) => tell(wayOf(topology, supernode)));
  on("connection", ({ state, text }) => showConnection(state, text));
  on("mute", () => tell("A moderator has muted you"));
  on("moved", ({ room: other }) => setTimeout(() => location.assign(`/call/${encodeURIComponent(other)}${location.search}`), 2000));
  on("waiting", ({ participant }) => ask(participant));
}

function wayOf(topology, supernode) {
  switch (topology) {
    case "sfu": return "Pictures and sound go by way of the server now";
    case "supernode": return `Pictures and sound go by way of ${supernode === room.me.id ? "you" : nameOf(room.participants.get(supernode) ?? {})} now`;
    default: return "Pictures and sound go directly now";
  }
}

/** A moderator decides who comes in. */
function ask(participant) {
  const line = el("li", { class: "file" }, el("p", {}, `${nameOf(participant)} asks to come in.`), el("div", { class: "row" },
    ...[["Let in", "admit"], ["Refuse", "refuse"]].map(([text, action]) => el("button", { type: "button", class: "small", onclick: async () => {
      line.remove();
      await room.moderate(action, { participant: participant.id }).catch((error) => chat.notice(error.message, true));
    } }, text))));
  $("messages").append(line);
  openSide("chat");
}

// MARK: What is seen

function show() {
  tiles.show();
  showPeople();
  showTools();
  showRoom();
  const isAlone = room.participants.size === 0;
  if (isAlone === $("alone").hidden) $("alone").hidden = !isAlone;
}

function showPeople() {
  reconcile($("list"), people, [room.me, ...room.participants.values()], ({ id }) => id, (participant) => {
    const [who, what, why] = [el("b"), el("span", { class: "note" }), el("p", { class: "note" })];
    const moderation = participant === room.me ? null : new Moderation(participant);
    const element = el("li", { "data-participant": participant.id }, el("p", {}, who, " ", what), why);
    if (moderation) element.append(moderation.element);
    return { element, update: (now) => {
      moderation?.update(now);
      setText(who, now === room.me ? `${now.name || "You"} (you)` : nameOf(now));
      setText(what, activity(now));
      setText(why, now === room.me ? "" : connectionOf(now.quality));
    } };
  });
}

/** What a moderator may do with somebody. */
class Moderation {
  #buttons = Object.fromEntries([["microphone", "Mute"], ["camera", "Camera off"], ["kick", "Send out"]].map(([what, text]) =>
    [what, el("button", { type: "button", class: what === "kick" ? "small danger" : "small", onclick: () => this.#act(what) }, text)]));
  element = el("div", { class: "row" }, ...Object.values(this.#buttons));
  #participant;

  constructor(participant) { this.update(participant); }

  update(participant) {
    this.#participant = participant;
    this.element.hidden = !room.may.includes("moderate");
    for (const [what, button] of Object.entries(this.#buttons)) {
      button.disabled = what !== "kick" && participant.muted.includes(what);
      button.setAttribute("aria-label", `${button.textContent}: ${nameOf(participant)}`);
    }
  }

  async #act(what) {
    const { id, muted } = this.#participant;
    if (what !== "kick") return moderate("mute", { participant: id, muted: [...new Set([...muted, what])] });
    if (await confirmed(`Send ${nameOf(this.#participant)} out of this call?`, "Send out")) await moderate("kick", { participant: id });
  }
}

async function moderate(action, details) { await room.moderate(action, details).catch((error) => chatProblem(sentence(error.message))); }

/** What the room is, for all, and its lock, for moderators. */
function showRoom() {
  $("recorded").hidden = !room.options?.record;
  $("lock").hidden = !room.may.includes("moderate");
  setText($("lock"), room.isLocked ? "Let others in again" : "Let nobody new in");
}

function activity({ muted, tracks }) {
  const parts = ["microphone", "camera"].map((source) => [source, tracks.has(source) && !muted.includes(source)])
    .map(([source, isOn]) => (source === "microphone" ? (isOn ? "" : "muted") : isOn ? "" : "no picture"));
  return [...parts, tracks.has("screen") ? "shares the screen" : ""].filter(Boolean).join(", ");
}

function connectionOf({ level, reasons }) {
  const because = reasons.length ? `: ${reasons.join(", ")}` : "";
  return { unknown: "", none: `No connection${because}`, good: `Good connection${because}`, fair: `Fair connection${because}`, poor: `Poor connection${because}` }[level];
}

function nameOf({ name: own }) { return own || "Somebody"; }

function showConnection(state, text) {
  if (state === "closed") return end(text);
  $("connection").dataset.state = state === "connected" ? "connected" : "waiting";
  setText($("connection"), state === "connected" ? "Connected" : "Reconnecting…");
  const isGood = state === "connected" && /^Connected/.test(text);
  $("banner").hidden = isGood;
  setText($("banner"), isGood ? "" : text);
}

/** For who cannot see it; short-lived, so that the same twice is heard twice. */
function tell(text) {
  $("news").append(el("p", {}, `${text}.`));
  while ($("news").children.length > 3) $("news").firstChild.remove();
}

function end(text) {
  $("call").hidden = $("connection").hidden = true;
  $("over").hidden = false;
  for (const track of room.me.tracks.values()) track.stop();
  tiles.close();
  setText($("over-text"), text);
  $("over-title").focus();
}

// MARK: Buttons

const tools = Object.fromEntries([
  ["microphone", "Mute", () => toggle("microphone")], ["camera", "Camera off", () => toggle("camera")],
  ["screen", "Share screen", () => toggleScreen()], ["view", "Speaker view", () => toggleView()],
  ["chat", "Chat", () => toggleSide("chat")], ["people", "People", () => toggleSide("people")], ["leave", "Leave", () => room.leave()],
].map(([id, label, act]) => {
  const text = el("span", {}, label);
  const icon = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[id] }));
  const button = el("button", { type: "button", id: `tool-${id}`, class: id === "leave" ? "danger" : "", onclick: act }, icon, text);
  $("toolbar").append(button);
  return [id, { button, text, label }];
}));
tools.screen.button.hidden = !canShareScreen();

function showTools() {
  const { me } = room;
  const isPublisher = room.may.includes("publish");
  for (const id of ["microphone", "camera", "screen"]) {
    tools[id].button.disabled = !isPublisher || (id !== "screen" && !isPossible());
    tools[id].button.title = isPublisher ? "" : "Only others show and say something in this room";
  }
  const isOff = (source) => !me.tracks.has(source) || me.muted.includes(source);
  set("microphone", isOff("microphone") ? "Unmute" : "Mute", isOff("microphone"));
  set("camera", isOff("camera") ? "Camera on" : "Camera off", isOff("camera"));
  set("screen", me.tracks.has("screen") ? "Stop sharing" : "Share screen", me.tracks.has("screen"));
  set("view", tiles.view === "grid" ? "Speaker view" : "Grid view", tiles.view !== "grid");
  if (isShown("chat")) unread = 0;
  set("chat", unread ? `Chat (${unread})` : "Chat", isShown("chat"));
  set("people", `People (${room.participants.size + 1})`, isShown("people"));
}

function set(id, label, isPressed) {
  const { button, text } = tools[id];
  setText(text, label);
  // What the label says is what a press does; for those that stay the same the state is said apart.
  if (id === "chat" || id === "people") button.setAttribute("aria-expanded", String(isPressed));
  button.classList.toggle("pressed", isPressed);
}

/** Mutes and unmutes; a device that was not opened yet is. */
async function toggle(source) {
  const { me } = room;
  try {
    if (me.tracks.has(source)) return await room.setMuted(source, !me.muted.includes(source));
    const media = await navigator.mediaDevices.getUserMedia(source === "camera" ? { video: { width: { ideal: 1280 }, height: { ideal: 720 } } } : { audio: true });
    if (me.muted.includes(source)) await room.setMuted(source, false);
    await room.publish(media.getTracks()[0], { source });
  } catch (error) {
    chatProblem(error instanceof DOMException ? explain(error, { source: source === "camera" ? "camera" : "sound", camera: "", microphone: source === "camera" ? null : "", facing: "" }) : sentence(error.message));
  }
}

async function toggleScreen() {
  const now = ["screen", "screen-audio"].map((source) => room.me.tracks.get(source)).filter(Boolean);
  if (now.length) {
    for (const track of now) {
      track.stop();
      await room.unpublish(track);
    }
    return;
  }
  try {
    const media = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
    for (const track of media.getTracks()) {
      if (track.kind === "video") track.contentHint = "detail";
      await room.publish(track, { source: track.kind === "video" ? "screen" : "screen-audio" });
    }
  } catch (error) {
    chatProblem(explain(error, { source: "screen" }));
  }
}

function chatProblem(text) {
  openSide("chat");
  chat.notice(text, true);
}

function toggleView() {
  tiles.view = tiles.view === "grid" ? "speaker" : "grid";
  showTools();
}

// MARK: Beside the pictures

function isShown(id) { return !$("side").hidden && !$(id).hidden; }

function openSide(id) {
  $("side").hidden = false;
  for (const each of ["chat", "people"]) {
    $(each).hidden = each !== id;
    $(`tab-${each}`).setAttribute("aria-pressed", String(each === id));
  }
  if (id === "chat") {
    $("messages").scrollTop = $("messages").scrollHeight;
    $("text").focus();
  } else {
    $(`tab-${id}`).focus();
  }
  showTools();
}

function closeSide() {
  const id = isShown("chat") ? "chat" : "people";
  $("side").hidden = true;
  tools[id].button.focus();
  showTools();
}

function toggleSide(id) {
  if (isShown(id)) closeSide();
  else openSide(id);
}

for (const id of ["chat", "people"]) $(`tab-${id}`).addEventListener("click", () => openSide(id));
$("lock").addEventListener("click", () => moderate(room.isLocked ? "unlock" : "lock"));
$("close-side").addEventListener("click", closeSide);
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  if (text) chat.say(text);
});
$("attach").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", ({ target }) => {
  for (const file of target.files) chat.sendFile(file);
  target.value = "";
});

// Files from elsewhere.
const hasFiles = ({ dataTransfer }) => room && !$("call").hidden && dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  $("drop").hidden = false;
});
document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? ($("drop").hidden = true));
document.addEventListener("drop", (event) => {
  $("drop").hidden = true;
  if (!hasFiles(event)) return;
  event.preventDefault();
  openSide("chat");
  for (const file of event.dataTransfer.files) chat.sendFile(file);
});

document.addEventListener("keydown", (event) => {
  if (!room || $("call").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !$("side").hidden) return closeSide();
  if (event.key === "Escape" && tiles.view === "speaker") return toggleView();
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "m") toggle("microphone");
  if (event.key === "v") toggle("camera");
});
// Browsers play sound only once something was pressed.
$("tiles").addEventListener("silent", () => {
  document.addEventListener("click", () => { for (const video of document.querySelectorAll("#tiles video")) video.play().catch(() => {}); }, { once: true });
  $("banner").hidden = false;
  setText($("banner"), "This browser waits with the sound: press anywhere.");
});
$("rejoin").addEventListener("click", async () => {
  $("over").hidden = true;
  $("lobby").hidden = false;
  await lobby.open();
});

$("alone").append(copyable(location.origin + location.pathname, "the address of this call").element);
lobby.begin();
