// Figures as people read them.

export function bitrate(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 1 : 2)} Mbit/s`;
  return `${Math.round(value / 1000)} kbit/s`;
}

/** Of seconds. */
export function milliseconds(value) {
  return `${Math.round(value * 1000)} ms`;
}

/** Of a share, 0 to 1. */
export function percent(value) {
  return `${(value * 100).toFixed(value && value < 0.1 ? 1 : 0)} %`;
}

export function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, value > 0 ? Math.floor(Math.log10(value) / 3) : 0);
  return `${(value / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

/** The two greatest units: `2 d 4 h`, `3 min 12 s`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[whole / 86400, "d"], [(whole / 3600) % 24, "h"], [(whole / 60) % 60, "min"], [whole % 60, "s"]]
    .map(([value, unit]) => [Math.floor(value), unit]);
  const first = parts.findIndex(([value]) => value > 0);
  return (first < 0 ? parts.slice(3) : parts.slice(first, first + 2)).map(([value, unit]) => `${value} ${unit}`).join(" ");
}

export function since(date) {
  return duration((Date.now() - Date.parse(date)) / 1000);
}

export function count(value, one, many) {
  return `${value} ${value === 1 ? one : many}`;
}

/** `H264 1280 × 720 30 fps`, `AAC 48 kHz stereo`. */
export function track({ kind, codec, width, height, sample_rate: rate, channels }, frameRate) {
  const parts = [codec];
  if (width) parts.push(`${width} × ${height}`);
  if (kind === "video" && frameRate) parts.push(`${Math.round(frameRate * 10) / 10} fps`);
  if (rate) parts.push(`${rate / 1000} kHz`);
  if (channels) parts.push({ 1: "mono", 2: "stereo", 6: "5.1" }[channels] ?? `${channels} channels`);
  return parts.join(" ");
}

/** Names of `transport` in the API. */
const transports = {
  rtmp: "RTMP", rtmps: "RTMPS", "http-flv": "HTTP-FLV", "ws-flv": "WS-FLV", "http-ts": "HTTP-TS", "http-fmp4": "HTTP fMP4", "ws-fmp4": "WS fMP4",
  hls: "HLS", whip: "WHIP", whep: "WHEP", demo: "built-in demo", snapshot: "picture", ws: "WebSocket", sse: "event stream", poll: "poll", "socket.io": "Socket.IO",
};

export function transport(name) {
  return transports[name] ?? name;
}
