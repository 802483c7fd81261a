// The console of the channels page: subscribes and publishes with martlet.js, as any page would.
import { el, setText } from "/dom.js";
import { transport as nameOf } from "/format.js";
import { Martlet } from "/martlet.js";

/** Lines that are kept on the page. */
const LINES = 200;

const transportNames = { websocket: nameOf("ws"), sse: nameOf("sse"), poll: nameOf("poll") };

/** @returns {{listen(name: string): void}} */
export function showConsole(section) {
  const field = (label, input) => el("label", {}, label, " ", input);
  const plain = { spellcheck: "false", autocomplete: "off", autocapitalize: "off" };
  const name = el("input", { value: "chat", size: 16, required: true, ...plain });
  const token = el("input", { size: 20, type: "password", autocomplete: "off", placeholder: "if the server asks for one" });
  const last = el("input", { type: "number", min: 0, max: 1000, value: 10, size: 5 });
  const kind = el("select", {}, el("option", { value: "text" }, "Text"), el("option", { value: "json" }, "JSON"));
  const text = el("input", { class: "grow", placeholder: "Message", ...plain });
  const status = el("span", { class: "note", role: "status", "aria-live": "polite" }, "Not connected");
  const toggle = el("button", { type: "submit", class: "primary" }, "Subscribe");
  const log = el("ol", { class: "log", tabindex: 0, role: "log", "aria-label": "Messages" });
  let martlet = null;
  let channel = null;

  const connection = () => {
    if (martlet && martlet.state !== "closed") return martlet;
    martlet = new Martlet(new URL("/", location.href), { token: () => token.value.trim() || null });
    martlet.addEventListener("state", show);
    return martlet;
  };

  const show = ({ error, retryIn } = {}) => {
    const texts = {
      connecting: "Connecting…", connected: `Connected by ${transportNames[martlet?.transport]}`, closed: "Not connected",
      waiting: `Connection lost, again in ${Math.ceil((retryIn ?? 0) / 1000)} s…`,
    };
    setText(status, (error && martlet?.state === "closed" && error.code ? error.message : texts[martlet?.state]) ?? "Not connected");
    setText(toggle, channel ? "Unsubscribe" : "Subscribe");
    name.disabled = channel !== null;
  };

  const add = (kindOfLine, ...parts) => {
    const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.append(el("li", { class: kindOfLine }, ...parts));
    while (log.children.length > LINES) log.firstChild.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  };

  const unsubscribe = () => {
    channel?.unsubscribe();
    channel = null;
    show();
  };

  const subscribe = () => {
    const own = connection().channel(name.value.trim());
    channel = own;
    const listening = new AbortController();
    const on = (type, act) => own.addEventListener(type, act, { signal: listening.signal });
    on("message", (message) => add("message", el("time", {}, clock(message.time)), " ",
      message.event ? el("span", { class: "badge" }, message.event) : "", " ", textOf(message), " ",
      el("span", { class: "note" }, [message.user, message.cursor.replace(/^.*:/, "#")].filter(Boolean).join(" · "))));
    on("lost", () => add("notice", "Messages were lost: the channel does not keep them any more."));
    on("presence", ({ action, member }) => add("notice", `${member.user ?? member.client} ${action === "join" ? "came" : "left"}`));
    on("state", ({ state, error }) => {
      if (state !== "idle" && state !== "failed") return;
      listening.abort();
      if (error) add("notice danger", error.message);
      if (channel === own) channel = null;
      show();
    });
    own.subscribe({ last: Number(last.value) || 0, presence: true }).then(() => add("notice", `Subscribed to ${own.name}`), () => {});
    show();
  };

  const publish = async () => {
    try {
      const data = kind.value === "json" ? JSON.parse(text.value) : text.value;
      text.value = "";
      await connection().channel(name.value.trim()).publish(data);
    } catch (error) {
      add("notice danger", error instanceof SyntaxError ? `Not JSON: ${error.message}` : error.message);
    }
  };

  const subscribeForm = el("form", { class: "row" }, field("Channel", name), field("Newest", last), field("Token", token), toggle, status);
  subscribeForm.addEventListener("submit", (event) => {
    event.preventDefault();
    if (channel) unsubscribe();
    else subscribe();
  });
  const publishForm = el("form", { class: "row publish" }, el("label", { class: "hidden", for: "message" }, "Message"), text, field("as", kind),
    el("button", { type: "submit" }, "Publish"));
  text.id = "message";
  publishForm.addEventListener("submit", (event) => {
    event.preventDefault();
    publish();
  });
  section.replaceChildren(el("h2", { id: "console-title" }, "Console"), el("div", { class: "panel" }, subscribeForm, log, publishForm));
  show();

  return {
    listen(wanted) {
      if (channel?.name === wanted) return;
      unsubscribe();
      name.value = wanted;
      subscribe();
      section.scrollIntoView({ block: "nearest" });
    },
  };
}

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function textOf({ data, contentType }) {
  if (data instanceof ArrayBuffer) return el("em", {}, `${data.byteLength} bytes ${contentType}`);
  return typeof data === "string" ? data : el("code", {}, JSON.stringify(data));
}
