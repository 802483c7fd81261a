// How to publish and where to play, as texts to copy. The tests run these very texts.
import { encodePath } from "/api.js";
import { copyable, el } from "/dom.js";

/**
 * @typedef {object} Place
 * @property {string} host as the reader reaches it: brackets around IPv6.
 * @property {number|null} rtmp port; `null` when RTMP is off.
 * @property {string} origin of the web server: `http://host:8080`.
 */

/** @returns {Place} from the page's address and `/api/v1/server`. */
export function placeOf(server, address = location) {
  const rtmp = server.listeners?.find(({ protocol }) => protocol === "rtmp");
  return { host: address.hostname, rtmp: rtmp?.port ?? null, origin: address.origin };
}

function rtmpBase({ host, rtmp }, isExplicit = false) {
  return `rtmp://${host}${rtmp === 1935 && !isExplicit ? "" : `:${rtmp}`}`;
}

/** Ready for a shell: quoted when it holds what a shell would take apart. */
function quoted(text) {
  return /^[\w:/.@%+=,[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * @param {string} path `live/cam`
 * @param {string} token of who publishes; empty where everybody may.
 * @returns {{title: string, note?: string, lines: [label: string, text: string][]}[]}
 */
export function publishHints(place, path, token) {
  const cut = path.lastIndexOf("/");
  const [app, name] = [cut < 0 ? "live" : path.slice(0, cut), path.slice(cut + 1)];
  const key = encodePath(name) + (token ? `?token=${encodeURIComponent(token)}` : "");
  const address = quoted(`${rtmpBase(place, true)}/${encodePath(app)}/${key}`);
  return [
    {
      title: "OBS Studio", note: "Settings → Stream → Service: Custom…; a keyframe interval of 2 s",
      lines: [["Server", `${rtmpBase(place)}/${encodePath(app)}`], ["Stream Key", key]],
    },
    { title: "ffmpeg", note: "FILE holds H.264 and AAC", lines: [["Command", `ffmpeg -re -i FILE -c copy -f flv ${address}`]] },
    {
      title: "GStreamer", note: "A test picture with a ticking sound",
      lines: [["Command",
        "gst-launch-1.0 videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1"
        + " ! openh264enc bitrate=2000000 gop-size=60 ! h264parse ! flvmux name=mux streamable=true"
        + ` ! rtmp2sink location=${address}`
        + " audiotestsrc is-live=true wave=ticks ! audioconvert ! voaacenc ! mux."]],
    },
  ];
}

/** @returns {[label: string, address: string][]} where a stream can be played. */
export function playAddresses(place, path) {
  const url = `${place.origin}/${encodePath(path)}`;
  const web = [["HLS", `${url}.m3u8`], ["HTTP-FLV", `${url}.flv`], ["HTTP-TS", `${url}.ts`], ["HTTP fMP4", `${url}.mp4`],
    ["WS-FLV", `${url.replace("http", "ws")}.flv`], ["WS fMP4", `${url.replace("http", "ws")}.mp4`], ["Picture", `${url}.jpg`]];
  return place.rtmp ? [["RTMP", `${rtmpBase(place, true)}/${encodePath(path)}`], ...web] : web;
}

/** Rows of label and text to copy. */
export function rows(lines, about) {
  return el("dl", { class: "rows" }, ...lines.map(([label, text]) =>
    el("div", {}, el("dt", {}, label), el("dd", {}, copyable(text, `${label} of ${about}`).element))));
}

/** The section "How to publish": its texts follow the name and token that the reader types. */
export function showPublishHints(section, place) {
  const list = el("div", { class: "hints" });
  const path = el("input", { value: "live/cam", size: 16, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  const token = el("input", { size: 24, placeholder: "if the server asks for one", spellcheck: "false", autocomplete: "off" });
  const update = () => {
    if (!place.rtmp) return list.replaceChildren(el("p", {}, "RTMP is off on this server."));
    const stream = path.value.trim().replace(/^\/+|\/+$/g, "") || "live/cam";
    list.replaceChildren(...publishHints(place, stream, token.value.trim()).map(({ title, note, lines }) =>
      el("article", {}, el("h3", {}, title), note ? el("p", { class: "note" }, note) : "", rows(lines, title))));
  };
  path.addEventListener("input", update);
  token.addEventListener("input", update);
  update();
  section.replaceChildren(
    el("h2", {}, "How to publish"),
    el("div", { class: "row" }, el("label", {}, "Stream ", path), el("label", {}, "Token or key ", token)), list);
}
