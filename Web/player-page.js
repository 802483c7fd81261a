// The page /play/APP/NAME: the player with its buttons and figures.
import { play, transports } from "/player.js";

const $ = (id) => document.getElementById(id);
const video = $("video");
const path = pathOf(location.pathname);
let player = null;

document.title = `${path} · Martlet`;
$("title").textContent = path;
video.muted = true;

function pathOf(address) {
  const text = address.replace(/^\/play\//, "");
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function start() {
  player?.close();
  player = play(video, path, { transport: $("transport").value, onstate: show });
  // For tests, and for whoever looks with the browser's tools.
  globalThis.player = player;
}

function show(state, text) {
  document.body.dataset.state = state;
  $("status").textContent = text;
  $("overlay").textContent = text;
  $("overlay").hidden = state === "playing";
  $("access").hidden = !(state === "failed" && /token|key|permission/i.test(text));
  buttons();
}

function buttons() {
  $("play").textContent = video.paused ? "Play" : "Pause";
  $("mute").textContent = video.muted ? "Sound on" : "Mute";
  $("unmute").hidden = !video.muted || document.body.dataset.state !== "playing";
  $("volume").value = video.muted ? 0 : video.volume;
  $("fullscreen").textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
}

/** What the figure "Behind live" does and does not hold. */
const NOTES = {
  fmp4: "Behind live: what has arrived and is not shown yet. The way here, and what the publisher takes, come on top.",
  hls: "Behind live: how far behind the end of the playlist it plays. The segment that is being made comes on top.",
  webrtc: "Behind live: half a round trip to this server and the wait in the jitter buffer. What the publisher, and the screen, take comes on top.",
};

function figures() {
  const { latency, stalls, width, height, dropped, decoded, transport, mime, codecs, audioOnly, reconnects, rate } = player.stats;
  const set = (name, text) => {
    const field = document.querySelector(`[data-stat=${name}]`);
    if (field.textContent !== text) field.textContent = text;
  };
  set("latency", latency === null ? "–" : `${latency.toFixed(latency < 1 ? 2 : 1)} s${rate > 1 ? " (catching up)" : ""}`);
  set("stalls", reconnects ? `${stalls}, ${reconnects} reconnects` : `${stalls}`);
  set("resolution", width ? `${width} × ${height}` : audioOnly ? "sound only" : "–");
  set("dropped", decoded ? `${dropped} of ${decoded}` : "–");
  set("transport", { fmp4: "fMP4 over WebSocket", hls: "HLS", webrtc: "WebRTC" }[transport] ?? "–");
  set("codecs", codecs ?? mime?.match(/codecs="(.*)"/)?.[1].replaceAll(",", ", ") ?? "–");
  const note = $("latency-note");
  const text = latency === null ? "" : NOTES[transport];
  if (note.textContent !== text) note.textContent = text;
  $("audio-only").hidden = !audioOnly;
}

function toggleSound() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 1;
}

function togglePlay() {
  if (video.paused) video.play().catch(() => {});
  else video.pause();
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  // iPhones show only the video itself.
  else if ($("stage").requestFullscreen) $("stage").requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.();
}

$("play").onclick = togglePlay;
$("mute").onclick = toggleSound;
$("unmute").onclick = toggleSound;
$("fullscreen").onclick = toggleFullscreen;
video.onclick = togglePlay;
$("volume").oninput = ({ target }) => {
  video.volume = Number(target.value);
  video.muted = video.volume === 0;
};
for (const name of ["play", "pause", "volumechange"]) video.addEventListener(name, buttons);
document.addEventListener("fullscreenchange", buttons);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select")) return;
  ({ k: togglePlay, m: toggleSound, f: toggleFullscreen })[event.key]?.();
});

const possible = transports();
for (const option of $("transport").options) option.disabled = option.value !== "auto" && !possible.includes(option.value);
const asked = new URLSearchParams(location.search).get("transport");
if (possible.includes(asked)) $("transport").value = asked;
$("transport").onchange = start;

$("access").onsubmit = (event) => {
  event.preventDefault();
  const query = new URLSearchParams(location.search);
  query.delete("key");
  query.set("token", new FormData(event.target).get("token"));
  // In the address, as a link that was passed on would have it; but not in the history twice.
  history.replaceState(null, "", `?${query}`);
  start();
};

start();
setInterval(figures, 500);
