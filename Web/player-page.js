// The page /play/APP/NAME.
import { play } from "/player.js";

const path = decodeURIComponent(location.pathname.replace(/^\/play\//, ""));
document.title = `${path} · Martlet`;
const status = document.getElementById("status");
play(document.getElementById("video"), path, { status: (text) => (status.textContent = text) });
