// Camera, microphone and screen: what is there, getting it, and what to do when it cannot be had.

/** Browsers give devices only to pages that nobody on the way can have changed. */
export function isPossible() {
  return globalThis.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);
}

/** @returns {Promise<URL|null>} this page over HTTPS, where the server has that. */
export async function secureTwin() {
  const { port } = await (await fetch("/api/v1/https")).json();
  if (!port) return null;
  const twin = new URL(location.href);
  [twin.protocol, twin.port] = ["https:", port];
  return twin;
}

export function canShareScreen() {
  return Boolean(navigator.mediaDevices?.getDisplayMedia);
}

/** @returns {Promise<{cameras: Device[], microphones: Device[]}>} names are told once a device was allowed. */
export async function devices() {
  const all = await navigator.mediaDevices.enumerateDevices();
  const ofKind = (kind, name) => all.filter((each) => each.kind === kind && each.deviceId)
    .map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `${name} ${index + 1}` }));
  return { cameras: ofKind("videoinput", "Camera"), microphones: ofKind("audioinput", "Microphone") };
}

/**
 * @param {object} wish
 * @param {"camera"|"screen"|"sound"} wish.source
 * @param {string} [wish.camera] a device; any by default
 * @param {string|null} [wish.microphone] a device, "" for any, `null` for no sound
 * @param {number} wish.height of the picture; its width follows
 * @param {number} wish.frameRate
 * @param {"user"|"environment"|""} [wish.facing]
 * @returns {Promise<MediaStream>}
 */
export async function capture(wish) {
  const sound = wish.microphone === null ? false : wish.microphone ? { deviceId: { exact: wish.microphone } } : true;
  if (wish.source === "screen") return captureScreen(wish, sound);
  const video = wish.source === "camera" && {
    width: { ideal: Math.round((wish.height * 16) / 9) }, height: { ideal: wish.height }, frameRate: { ideal: wish.frameRate, max: wish.frameRate },
    ...(wish.camera ? { deviceId: { exact: wish.camera } } : wish.facing && { facingMode: { exact: wish.facing } }),
  };
  return navigator.mediaDevices.getUserMedia({ video, audio: sound || !video });
}

/** With the screen's own sound where the browser has it, else with the microphone's. */
async function captureScreen({ height, frameRate }, sound) {
  const screen = await navigator.mediaDevices.getDisplayMedia({
    video: { height: { max: height }, frameRate: { ideal: frameRate, max: frameRate } }, audio: sound !== false });
  for (const track of screen.getVideoTracks()) track.contentHint = "detail";
  if (sound === false || screen.getAudioTracks().length) return screen;
  try {
    for (const track of (await navigator.mediaDevices.getUserMedia({ audio: sound })).getTracks()) screen.addTrack(track);
  } catch {
    // A screen without sound is better than none.
  }
  return screen;
}

export function stop(media) {
  for (const track of media?.getTracks() ?? []) track.stop();
}

/** What happened and what to do, as sentences. */
export function explain(error, { source, camera, microphone, facing }) {
  const device = source === "sound" ? "microphone" : microphone === null ? "camera" : "camera or microphone";
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return source === "screen"
        ? "The screen was not shared. Press the button again and choose a screen, a window or a tab; a Mac also wants the browser allowed under System Settings → Privacy → Screen Recording."
        : `This page may not use the ${device}. Allow it with the icon beside the address (or in the browser's site settings), look whether the system's privacy settings let the browser have it, and press the button again.`;
    case "NotFoundError":
      return source === "sound"
        ? "No microphone was found. Plug one in, or choose a camera without sound or the screen as the source."
        : `No ${device} was found. Plug one in and press the button again; without a microphone choose “No sound”, without a camera the screen or “Sound only”.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${source === "screen" ? "screen" : device} could not be opened; another program may be using it. Close that, or choose another device, and press the button again.`;
    case "OverconstrainedError":
      return overconstrained(error.constraint, { camera, facing });
    default:
      return `The ${source === "screen" ? "screen" : device} could not be opened: ${error.message || error.name}.`;
  }
}

function overconstrained(constraint, { camera, facing }) {
  switch (constraint) {
    case "facingMode":
      return `No camera here faces ${facing === "user" ? "the front" : "the back"}. Choose “Either” under Facing, or a camera by its name.`;
    case "deviceId":
      return `The ${camera ? "chosen camera or microphone" : "chosen microphone"} is not there any more. Plug it in again, or choose another one.`;
    case "frameRate":
      return "No camera gives so few pictures a second. Choose a higher frame rate.";
    default:
      return `No camera can do this${constraint ? ` (${constraint})` : ""}. Choose a smaller resolution, another frame rate, or “Any camera”.`;
  }
}
