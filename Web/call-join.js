// Before the call: a name, camera and microphone with a preview, and what to do where they cannot be had.
import { devices, explain, isPossible, secureTwin, stop } from "/capture.js";
import { el, setText } from "/dom.js";
import { LevelMeter } from "/call-levels.js";

const KEY = "martlet.call";
const $ = (id) => document.getElementById(id);

export class Lobby {
  #form = $("enter");
  #media = new MediaStream();
  #meter = null;
  /** Openings run one after the other: the last wish counts. */
  #opening = Promise.resolve();

  constructor() {
    const { name, camera, microphone } = this.#form.elements;
    const known = remembered();
    name.value = known.name ?? "";
    // They are chosen once the devices' names are known.
    Object.assign(this.#form.dataset, { camera: known.camera ?? "", microphone: known.microphone ?? "" });
    for (const field of [camera, microphone]) field.addEventListener("change", () => this.open());
    $("again").addEventListener("click", () => this.open());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      remember({ name: this.name, camera: camera.value, microphone: microphone.value });
      this.onjoin?.();
    });
  }

  get name() { return this.#form.elements.name.value.trim(); }

  /** The tracks to join with, which are the call's from then on. */
  take() {
    const tracks = this.#media.getTracks();
    this.#media = new MediaStream();
    this.#show();
    return tracks;
  }

  async begin() {
    if (!isPossible()) return this.#showInsecure();
    navigator.mediaDevices.addEventListener("devicechange", () => this.#fill());
    await this.#fill();
    await this.open();
  }

  open() {
    this.#opening = this.#opening.then(() => this.#open());
    return this.#opening;
  }

  say(text) { setText($("problem"), text); }

  tell(text) { setText($("entering"), text); }

  set isBusy(value) { for (const element of this.#form.elements) element.disabled = value || "unavailable" in element.dataset; }

  async #open() {
    if (!isPossible()) return;
    const { camera, microphone } = this.#form.elements;
    // Many cameras have one user at a time, ourselves included.
    stop(this.#media);
    const problems = [];
    const tracks = await openBoth(camera.value, microphone.value, problems);
    this.#media = new MediaStream(tracks);
    this.say(problems.join(" "));
    $("again").hidden = !problems.length;
    await this.#fill();
    this.#show();
  }

  #show() {
    const [picture] = this.#media.getVideoTracks();
    const [sound] = this.#media.getAudioTracks();
    const preview = $("preview");
    preview.srcObject = this.#media;
    preview.classList.toggle("on", Boolean(picture));
    preview.classList.toggle("mirrored", picture?.getSettings().facingMode !== "environment");
    setText($("glyph"), sound && !picture ? "♪" : "▶");
    this.#meter?.close();
    this.#meter = sound ? new LevelMeter(sound, (level) => ($("level").value = level)) : null;
    if (!sound) $("level").value = 0;
  }

  async #fill() {
    const { cameras, microphones } = await devices();
    fill(this.#form.elements.camera, cameras, this.#form.dataset, "camera");
    fill(this.#form.elements.microphone, microphones, this.#form.dataset, "microphone");
  }

  async #showInsecure() {
    const box = $("insecure");
    box.hidden = false;
    for (const name of ["camera", "microphone"]) {
      const field = this.#form.elements[name];
      field.value = "none";
      field.disabled = true;
      field.dataset.unavailable = "";
    }
    const twin = globalThis.isSecureContext ? null : await secureTwin().catch(() => null);
    box.replaceChildren(el("p", {}, globalThis.isSecureContext
      ? "This browser gives pages neither camera nor microphone. You can watch, listen and write."
      : "Browsers give camera and microphone only to pages over HTTPS, or from the machine itself, and this page came over plain HTTP. You can watch, listen and write."));
    if (twin) box.append(el("p", {}, el("a", { href: twin.href }, `Open this page over HTTPS: ${twin.host}`)));
  }
}

/** Both in one question to the user; where one is missing, the other alone. */
async function openBoth(camera, microphone, problems) {
  const wish = { video: wishFor(camera, { width: { ideal: 1280 }, height: { ideal: 720 } }), audio: wishFor(microphone, {}) };
  if (!wish.video && !wish.audio) return [];
  try {
    return (await navigator.mediaDevices.getUserMedia(wish)).getTracks();
  } catch (error) {
    if (error.name === "NotAllowedError" || !wish.video || !wish.audio) {
      problems.push(reason(error, wish, camera, microphone));
      return [];
    }
  }
  return [...(await openBoth(camera, "none", problems)), ...(await openBoth("none", microphone, problems))];
}

function wishFor(device, rest) { return device === "none" ? false : { ...rest, ...(device && { deviceId: { exact: device } }) }; }

function reason(error, { video, audio }, camera, microphone) {
  const what = video && audio ? "camera and microphone" : video ? "camera" : "microphone";
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return `This page may not use the ${what}. Allow it with the icon beside the address (or in the browser's site settings), look whether the system's privacy settings let the browser have it, and try again; or join without.`;
    case "NotFoundError":
      return `No ${what.replace("and", "or")} was found. Plug one in and try again, or join without.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${what} could not be opened; another program may be using it. Close that and try again, choose another one, or join without.`;
    default:
      return explain(error, { source: video ? "camera" : "sound", camera, microphone: audio ? microphone : null, facing: "" });
  }
}

function fill(select, list, wanted, name) {
  const chosen = select.value || wanted[name];
  const [any, none] = [select.querySelector("[value='']"), select.querySelector("[value=none]")];
  select.replaceChildren(any, ...list.map(({ id, label }) => el("option", { value: id }, label)), none);
  if ([...select.options].some(({ value }) => value === chosen)) select.value = chosen;
  else select.value = "";
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // No storage here, or not ours.
  }
}

function remember(choice) {
  try {
    localStorage.setItem(KEY, JSON.stringify(choice));
  } catch {
    // No storage here.
  }
}
