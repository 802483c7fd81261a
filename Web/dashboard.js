// The page at /: asks the API every two seconds and shows what it says.
import { api, token } from "/api.js";
import { el, reconcile, setText } from "/dom.js";
import { count, duration } from "/format.js";
import { placeOf, showPublishHints } from "/hints.js";
import { RelaySection } from "/relays.js";
import { RoomSection } from "/room-cards.js";
import { FailedSessions } from "/sessions.js";
import { StreamCard } from "/streams.js";

const PERIOD = 2000;
const $ = (id) => document.getElementById(id);
const cards = new Map();
const failed = new FailedSessions($("failed"));
const rooms = new RoomSection($("rooms"), (error) => say(error.message));
const relays = new RelaySection($("relays"), (error) => say(error.message));
let place = null;
let timer = null;
let isAsking = false;

async function poll() {
  clearTimeout(timer);
  if (isAsking) return;
  isAsking = true;
  try {
    const [server, streams, clients, webrtc, allocations, meetings] =
      await Promise.all([api.server(), api.streams(), api.clients(), api.webrtc(), api.relays(), api.rooms()]);
    $("access").hidden = true;
    say("");
    showServer(server);
    showStreams(streams, clients, webrtc.sessions);
    rooms.update(meetings);
    failed.update(webrtc.failed);
    relays.update(allocations);
  } catch (error) {
    fail(error);
  } finally {
    isAsking = false;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(poll, PERIOD);
  }
}

function showServer({ version, uptime, connections, warnings, ...server }) {
  setText($("version"), version);
  setText($("uptime"), duration(uptime));
  setText($("connections"), `${connections}`);
  $("facts").hidden = false;
  const texts = warnings.map((text) => el("p", {}, text.charAt(0).toUpperCase() + text.slice(1)));
  if ($("warnings").textContent !== texts.map((text) => text.textContent).join("")) $("warnings").replaceChildren(...texts);
  $("warnings").hidden = !texts.length;
  const now = placeOf(server);
  if (JSON.stringify(now) === JSON.stringify(place)) return;
  place = now;
  $("publish").hidden = false;
  showPublishHints($("publish"), place);
}

function showStreams(streams, clients, sessions) {
  const [clientsOf, sessionsOf] = [clients, sessions].map((list) => Map.groupBy(list, ({ path }) => path));
  const items = streams.map((stream) =>
    ({ ...stream, clients: clientsOf.get(stream.path) ?? [], sessions: sessionsOf.get(stream.path) ?? [] }));
  reconcile($("streams"), cards, items, ({ path }) => path, (item) => new StreamCard(item, place, (error) => say(error.message)));
  const viewers = streams.reduce((sum, stream) => sum + stream.viewers.total, 0);
  setText($("summary"), streams.length ? `${count(streams.length, "stream", "streams")}, ${count(viewers, "viewer", "viewers")}` : "");
  $("empty").hidden = streams.length > 0;
}

function fail(error) {
  if (!error.isAboutAccess) {
    console.error(error);
    return say(`${error.message}. Trying again…`);
  }
  const isFirst = $("access").hidden;
  $("access").hidden = false;
  $("facts").hidden = true;
  say(token.get() ? `This token does not do: ${error.message}` : "");
  if (isFirst) $("access").elements.token.focus();
}

/** For readers of the screen as for all others: an error, or nothing. */
function say(text) {
  setText($("problem"), text);
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(new FormData(event.target).get("token").trim());
  poll();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
poll();
