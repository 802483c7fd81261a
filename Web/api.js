// The REST API, as the dashboard uses it. An administrator's token stays in this tab's sessionStorage.

const KEY = "martlet.token";

export class APIError extends Error {
  /** @param {number} status HTTP status; 0 when no answer came. */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** A token, or another one, would help. */
  get isAboutAccess() {
    return this.status === 401 || this.status === 403;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** For every request that the token may be good for. */
export function authorization() {
  return token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
}

async function request(method, path, content) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { method, headers: authorization(), body: content && JSON.stringify(content), cache: "no-store", signal: AbortSignal.timeout(10_000) });
  } catch {
    throw new APIError(0, "The server does not answer");
  }
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let message = `The server answered ${response.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // A proxy's page, for example.
  }
  throw new APIError(response.status, message);
}

export const api = {
  server: () => request("GET", "/server"),
  streams: async () => (await request("GET", "/streams")).streams,
  clients: async () => (await request("GET", "/clients")).clients,
  webrtc: () => request("GET", "/webrtc"),
  channels: () => request("GET", "/channels"),
  rooms: () => request("GET", "/rooms"),
  roomMedia: async (room) => (await request("GET", `/rooms/${encodeURIComponent(room)}/media`)).media,
  moderate: (room, command) => request("POST", `/rooms/${encodeURIComponent(room)}`, command),
  closeRoom: (room) => request("DELETE", `/rooms/${encodeURIComponent(room)}`),
  relays: () => request("GET", "/turn/allocations"),
  stop: (path) => request("DELETE", `/streams/${encodePath(path)}`),
  closeRelay: (id) => request("DELETE", `/turn/allocations/${encodeURIComponent(id)}`),
  kick: (id) => request("DELETE", `/clients/${encodeURIComponent(id)}`),
};

/** A stream's path in an address. */
export function encodePath(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}
