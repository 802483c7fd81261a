// Beside the pictures: what is said, and files on their way.
import { el, setText } from "/dom.js";
import { bytes } from "/format.js";

const $ = (id) => document.getElementById(id);
/** Lines that are kept. */
const LINES = 500;

export class Chat {
  #room;
  #isShown;

  /** @param {() => boolean} isShown whether somebody looks at it now */
  constructor(room, isShown) {
    [this.#room, this.#isShown] = [room, isShown];
    $("messages").replaceChildren();
    room.addEventListener("message", (message) => this.#add(message));
    room.addEventListener("file", ({ participant, transfer }) => this.#addFile(transfer, participant.name || "Somebody"));
  }

  async say(text) {
    try {
      await this.#room.say(text);
    } catch (error) {
      this.notice(`Not sent: ${error.message}`, true);
      $("text").value ||= text;
    }
  }

  /** To everybody who is here. */
  sendFile(file) {
    if (!this.#room.participants.size) return this.notice(`Nobody is here to whom “${file.name}” could be sent.`);
    for (const participant of this.#room.participants.values()) this.#addFile(this.#room.sendFile(participant, file), participant.name || "somebody");
  }

  notice(text, isDanger = false) { this.#append(el("li", { class: `notice${isDanger ? " danger" : ""}` }, text)); }

  #add({ from, name, data, time }) {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    const isOwn = from === this.#room.me.id;
    const who = isOwn ? "You" : from ? name || "Somebody" : `${name || "A program"}, from outside`;
    this.#append(el("li", { class: isOwn ? "own" : from ? "" : "outside" },
      el("p", { class: "from" }, el("b", {}, who), " ", el("time", {}, clock(time))), el("p", {}, text)));
    if (!isOwn) this.onmessage?.(who, text);
  }

  #addFile(transfer, who) {
    const isOut = transfer.direction === "out";
    const state = el("p", { class: "note" });
    const bar = el("progress", { max: Math.max(1, transfer.size), "aria-label": `${transfer.name}: how much has arrived` });
    const buttons = el("div", { class: "row" });
    this.#append(el("li", { class: `file${isOut ? " own-file" : ""}`, "data-file": transfer.name },
      el("p", {}, el("b", {}, transfer.name), ` · ${bytes(transfer.size)} · ${isOut ? "to" : "from"} ${who}`), bar, state, buttons));
    const show = () => {
      bar.value = transfer.loaded;
      bar.hidden = transfer.state === "waiting" || transfer.state === "cancelled" || transfer.state === "failed";
      setText(state, stateOf(transfer));
    };
    const change = () => (buttons.replaceChildren(...buttonsOf(transfer)), show());
    transfer.addEventListener("progress", show);
    transfer.addEventListener("state", change);
    change();
    if (!isOut) {
      transfer.done.then((file) => buttons.replaceChildren(saveLink(file, transfer.name)), () => {});
      this.onmessage?.(who, `offers the file ${transfer.name}`);
    }
  }

  #append(line) {
    const list = $("messages");
    const isAtEnd = !this.#isShown() || list.scrollTop + list.clientHeight >= list.scrollHeight - 60;
    list.append(line);
    while (list.children.length > LINES) list.firstChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}

function stateOf({ state, direction, loaded, size, error, via }) {
  const share = size ? `${Math.floor((loaded / size) * 100)} %` : "100 %";
  const way = via === "server" ? " by way of the server" : "";
  switch (state) {
    case "waiting": return direction === "out" ? "Waiting for it to be taken…" : "Not fetched yet.";
    case "running": return `${share}${way}`;
    case "paused": return `${share}, paused`;
    case "done": return direction === "in" ? "Arrived, and its SHA-256 is right." : via === "server" ? "On the server, from where it can be fetched." : "Arrived.";
    default: return `${state === "failed" ? "Failed" : "Ended"}: ${error?.message ?? ""}`;
  }
}

function buttonsOf(transfer) {
  const button = (text, act) => el("button", { type: "button", class: "small", "aria-label": `${text} ${transfer.name}`, onclick: act }, text);
  const cancel = button(transfer.state === "waiting" && transfer.direction === "in" ? "Decline" : "Cancel", () => transfer.cancel());
  switch (transfer.state) {
    case "waiting": return transfer.direction === "in" ? [button("Get", () => transfer.accept()), cancel] : [cancel];
    case "running": return transfer.via === "server" ? [cancel] : [button("Pause", () => transfer.pause()), cancel];
    case "paused": return [button("Go on", () => transfer.resume()), cancel];
    default: return [];
  }
}

/** As bytes, whatever it says it is: it is for the disk, not for this page. */
function saveLink(content, name) {
  const file = new Blob([content], { type: "application/octet-stream" });
  return el("a", { class: "button small", href: URL.createObjectURL(file), download: name }, "Save");
}

function clock(time) { return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }); }
