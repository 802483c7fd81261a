// How to publish and where to play, as texts to copy. The tests run these very texts.
import { encodePath } from "/api.js";
import { copyable, el } from "/dom.js";

/**
 * @typedef {object} Place
 * @property {string} host as the reader reaches it: brackets around IPv6.
 * @property {number|null} rtmp port; `null` when RTMP is off.
 * @property {boolean} webrtc whether WHIP and WHEP are on.
 * @property {string} origin of the web server: `http://host:8080`.
 */

/** @returns {Place} from the page's address and `/api/v1/server`. */
export function placeOf(server, address = location) {
  const listener = (name) => server.listeners?.find(({ protocol }) => protocol === name);
  return { host: address.hostname, rtmp: listener("rtmp")?.port ?? null, webrtc: Boolean(listener("webrtc")), origin: address.origin };
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
 * @returns {{title: string, note?: string, isWide?: boolean, lines: [label: string, text: string][]}[]}
 */
export function publishHints(place, path, token) {
  return [...(place.rtmp ? rtmpHints(place, path, token) : []), ...(place.webrtc ? whipHints(place, path, token) : [])];
}

function rtmpHints(place, path, token) {
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
      title: "GStreamer", note: "A test picture with a ticking sound", isWide: true,
      lines: [["Command",
        "gst-launch-1.0 videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=30/1"
        + " ! openh264enc bitrate=2000000 gop-size=60 ! h264parse ! flvmux name=mux streamable=true"
        + ` ! rtmp2sink location=${address}`
        + " audiotestsrc is-live=true wave=ticks ! audioconvert ! voaacenc ! mux."]],
    },
  ];
}

/** By WebRTC, whose way is shorter than that of RTMP. */
function whipHints(place, path, token) {
  const url = `${place.origin}/${encodePath(path)}/whip`;
  const authorization = token ? ` -authorization ${quoted(token)}` : "";
  return [
    {
      title: "OBS Studio, WHIP", note: "Settings → Stream → Service: WHIP; a keyframe interval of 2 s, no B-frames",
      lines: [["Server", url], ...(token ? [["Bearer Token", token]] : [])],
    },
    {
      title: "ffmpeg 8, WHIP", note: "FILE holds H.264 without B-frames",
      lines: [["Command", `ffmpeg -re -i FILE -c:v copy -c:a libopus -ar 48000 -ac 2 -f whip${authorization} ${quoted(url)}`]],
    },
  ];
}

/** @returns {[label: string, address: string][]} where a stream can be played. */
export function playAddresses(place, path) {
  const url = `${place.origin}/${encodePath(path)}`;
  const web = [["HLS", `${url}.m3u8`], ["HTTP-FLV", `${url}.flv`], ["HTTP-TS", `${url}.ts`], ["HTTP fMP4", `${url}.mp4`],
    ["WS-FLV", `${url.replace("http", "ws")}.flv`], ["WS fMP4", `${url.replace("http", "ws")}.mp4`], ["Picture", `${url}.jpg`],
    ...(place.webrtc ? [["WHEP", `${url}/whep`]] : [])];
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
  const browser = el("a", { class: "button" }, "From this browser");
  const update = () => {
    const stream = path.value.trim().replace(/^\/+|\/+$/g, "") || "live/cam";
    browser.href = `/publish.html?${new URLSearchParams({ stream })}`;
    list.replaceChildren(...publishHints(place, stream, token.value.trim()).map(({ title, note, isWide, lines }) =>
      el("article", { class: isWide ? "wide" : "" }, el("h3", {}, title), note ? el("p", { class: "note" }, note) : "", rows(lines, title))));
  };
  path.addEventListener("input", update);
  token.addEventListener("input", update);
  update();
  section.replaceChildren(
    el("h2", {}, "How to publish"),
    el("div", { class: "row" }, el("label", {}, "Stream ", path), el("label", {}, "Token or key ", token), place.webrtc ? browser : ""), list);
}
