// The page /publish.html: camera, microphone or screen, sent by WHIP.
import { canShareScreen, capture, devices, explain, isPossible, secureTwin, stop } from "/capture.js";
import { encodePath } from "/api.js";
import { el, setText } from "/dom.js";
import { Figures } from "/figures.js";
import { bitrate, milliseconds, percent } from "/format.js";
import { PeerStats } from "/peer-stats.js";
import { publish } from "/whip.js";

const PERIOD = 1000;
const $ = (id) => document.getElementById(id);
const form = $("settings");
const preview = $("preview");

let media = null;
let session = null;
/** The statistics of the connection in use. */
let stats = null;
let figures = null;
/** Captures run one after another: the last wish counts. */
let capturing = Promise.resolve();
/** The name is free again once the server knows of the end. */
let leaving = Promise.resolve();

// What is asked for

function wish() {
  const { source, camera, facing, microphone, height, frameRate } = form.elements;
  return {
    source: source.value, camera: camera.value, facing: facing.value, microphone: microphone.value === "none" ? null : microphone.value,
    height: Number(height.value), frameRate: Number(frameRate.value),
  };
}

function streamPath() {
  return form.elements.stream.value.trim().replace(/^\/+|\/+$/g, "");
}

/** Only what the source has is asked about. */
function showFields() {
  const { source } = wish();
  for (const field of form.querySelectorAll("[data-for]")) field.hidden = !field.dataset.for.split(" ").includes(source);
  form.elements.facing.disabled = form.elements.camera.value !== "";
}

async function showDevices() {
  const { cameras, microphones } = await devices();
  fillDevices(form.elements.camera, cameras);
  fillDevices(form.elements.microphone, microphones);
  showFields();
}

function fillDevices(select, list) {
  const chosen = select.value;
  const fixed = [...select.options].filter(({ value }) => value === "" || value === "none");
  const [any, ...rest] = fixed;
  select.replaceChildren(any, ...list.map(({ id, label }) => el("option", { value: id }, label)), ...rest);
  select.value = [...select.options].some(({ value }) => value === chosen) ? chosen : "";
}

function showCodecs() {
  const names = { "video/H264": "H.264", "video/VP8": "VP8", "video/VP9": "VP9", "video/AV1": "AV1" };
  const known = new Set((RTCRtpSender.getCapabilities?.("video")?.codecs ?? []).map(({ mimeType }) => mimeType));
  for (const [type, label] of Object.entries(names)) {
    if (known.has(type)) form.elements.codec.append(el("option", { value: type.split("/")[1].toLowerCase() }, label));
  }
}

// Devices

/** @returns whether there is something to send */
function open() {
  capturing = capturing.then(async () => {
    const wanted = wish();
    // Many cameras have one user at a time, ourselves included.
    if (wanted.source !== "screen" && !session) stop(media);
    try {
      show(await capture(wanted), wanted);
      say("");
      await showDevices();
      return true;
    } catch (error) {
      say(explain(error, wanted));
      if (!session) show(null, wanted);
      return false;
    }
  });
  return capturing;
}

function show(next, { source, facing }) {
  const old = media;
  media = next;
  if (session && next) replace(next).then(() => stop(old));
  else stop(old);
  const picture = next?.getVideoTracks()[0];
  preview.srcObject = next;
  preview.classList.toggle("on", Boolean(picture));
  // As in a mirror, which is what people expect of themselves.
  preview.classList.toggle("mirrored", source === "camera" && (picture?.getSettings().facingMode ?? facing) !== "environment");
  setText($("glyph"), next && !picture ? "♪" : "▶");
  for (const track of next?.getTracks() ?? []) track.addEventListener("ended", () => track.readyState === "ended" && next === media && lose(source));
  switches();
  if (picture && !session) tell(`Preview: ${size(picture.getSettings())}. Nobody sees it yet.`);
  else if (!session) tell(next ? "The microphone is open. Nobody hears it yet." : "");
}

function size({ width, height, frameRate }) {
  return [width && `${width} × ${height}`, frameRate && `${Math.round(frameRate)} fps`].filter(Boolean).join(", ");
}

async function replace(next) {
  if (await session.replace(next)) return;
  // Another kind of source has other tracks, which takes another session.
  leave();
  await leaving;
  goLive();
}

/** A device was unplugged, or the browser's own button ended the sharing. */
function lose(source) {
  say(source === "screen" ? "The screen is no longer shared." : "The camera or microphone is gone. Plug it in again, or choose another one.");
  leave();
  show(null, wish());
}

// Going live

async function begin() {
  if (!media && !(await open())) return;
  await leaving;
  goLive();
}

function goLive() {
  const { token, codec, bitrate: limit, simulcast } = form.elements;
  const path = streamPath();
  const next = publish(`/${encodePath(path)}/whip`, media, {
    token: token.value.trim() || null, codec: codec.value || undefined, bitrate: Number(limit.value),
    // One size is enough of a screen, whose letters would not survive.
    simulcast: simulcast.checked && wish().source === "camera",
    onstate: (state, text) => next === session && follow(state, text),
  });
  session = next;
  // For tests, and for whoever looks with the browser's tools.
  globalThis.session = next;
  figures = new Figures(path, FIGURES);
  $("live").replaceChildren(figures.element);
  $("watch").replaceChildren("Watch it: ", ...["", "?transport=webrtc"].flatMap((mode, index) => [
    index ? " · " : "", el("a", { href: `/play/${encodePath(path)}${mode}`, target: "_blank", rel: "noopener" }, index ? "by WebRTC" : "in a new tab")]));
  say("");
}

const FIGURES = [
  { key: "bitrate", label: "Bitrate", format: bitrate, graph: true },
  { key: "roundTrip", label: "Round trip", format: milliseconds, graph: true },
  { key: "loss", label: "Loss", format: percent, graph: true },
  { key: "available", label: "Estimated bandwidth", format: bitrate, isOptional: true },
  { key: "picture", label: "Picture" },
  { key: "limitation", label: "Held back by" },
  { key: "codecs", label: "Codecs" },
  { key: "retransmissions", label: "Sent again" },
  { key: "keyFrameRequests", label: "Key frames asked for" },
  { key: "pair", label: "ICE pair" },
  { key: "security", label: "DTLS, SRTP", isWide: true },
];

function leave() {
  if (session) leaving = session.close();
}

function follow(state, text) {
  document.body.dataset.state = state;
  const isLive = state === "connected";
  const isOver = state === "failed" || state === "closed";
  $("badge").hidden = isOver || state === "connecting";
  $("badge").classList.toggle("live", isLive);
  setText($("badge"), isLive ? "Live" : "Interrupted");
  $("live").hidden = isOver;
  $("watch").hidden = !isLive;
  if (state === "failed") say(advice(text));
  if (isLive) tell(`Live as ${streamPath()}.`);
  else if (state !== "failed") tell(state === "closed" ? "Not live any more." : text);
  else tell("");
  if (isOver) session = stats = null;
  switches();
}

/** The server's reason, and what helps where that is not in it. */
function advice(text) {
  return /token|key|permission/i.test(text) ? `${text}. Enter a token that may publish this stream, and press “Go live” again.` : `${text.replace(/\.$/, "")}.`;
}

function switches() {
  const isLive = Boolean(session);
  setText($("start"), isLive ? "Stop" : "Go live");
  $("start").classList.toggle("danger", isLive);
  $("start").classList.toggle("primary", !isLive);
  setText($("try"), media ? "Close preview" : "Preview");
  $("try").hidden = isLive;
  $("where").disabled = isLive;
  for (const name of ["codec", "simulcast"]) form.elements[name].disabled = isLive;
  toggle($("mute"), media?.getAudioTracks() ?? []);
  toggle($("hide"), media?.getVideoTracks() ?? []);
}

/** A switch for tracks: pressed while they are off. */
function toggle(button, tracks) {
  button.disabled = !tracks.length;
  button.setAttribute("aria-pressed", String(tracks.some(({ enabled }) => !enabled)));
}

async function read() {
  const { peer } = session ?? {};
  if (!peer || session.state !== "connected") return;
  if (stats?.peer !== peer) stats = { peer, reader: new PeerStats(peer) };
  const reading = await stats.reader.read();
  const { width, height, frameRate } = reading;
  figures.show({ ...reading, picture: width ? size({ width, height, frameRate }) : null, limitation: reading.limitation ?? "nothing" });
}

// The page

function say(text) {
  setText($("problem"), text);
}

function tell(text) {
  setText($("status"), text);
}

async function showInsecure() {
  const box = $("insecure");
  box.hidden = false;
  $("settings").inert = true;
  for (const id of ["start", "try"]) $(id).disabled = true;
  box.replaceChildren(el("p", {}, globalThis.isSecureContext
    ? "This browser gives pages neither camera nor microphone."
    : "Browsers give camera, microphone and screen only to pages over HTTPS, or from the machine itself. This page came over plain HTTP."));
  if (globalThis.isSecureContext) return;
  const twin = await secureTwin();
  if (!twin) return box.append(el("p", {}, "HTTPS is off on this server: set listeners.https and tls.certificate."));
  box.append(el("p", {}, el("a", { href: twin.href }, `Open this page over HTTPS: ${twin.host}`)),
    el("p", {}, "With the certificate that the server made for itself the browser warns first; a certificate of your own (tls.certificate) ends that."));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (session) leave();
  else begin();
});
form.addEventListener("change", async ({ target }) => {
  showFields();
  if (target.name === "bitrate") return session?.setBitrate(Number(target.value));
  // A browser's own dialog only comes after a press of a button.
  if (media && target.closest("#what")) await open();
});
$("try").addEventListener("click", () => (media ? show(null, wish()) : open()));
$("mute").addEventListener("click", () => flip(media.getAudioTracks()));
$("hide").addEventListener("click", () => flip(media.getVideoTracks()));

function flip(tracks) {
  for (const track of tracks) track.enabled = !track.enabled;
  switches();
}

const query = new URLSearchParams(location.search);
if (query.get("stream")) form.elements.stream.value = query.get("stream");
form.elements.token.value = query.get("token") ?? "";
form.elements.source.forEach((radio) => (radio.disabled = radio.value === "screen" && !canShareScreen()));
showCodecs();
showFields();
if (isPossible()) {
  navigator.mediaDevices.addEventListener("devicechange", showDevices);
  showDevices();
  setInterval(read, PERIOD);
} else {
  showInsecure();
}
