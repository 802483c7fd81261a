// Types of martlet.js. Documentation: docs/javascript.md.

export type TransportName = "websocket" | "sse" | "poll";
export type JSONValue = null | boolean | number | string | JSONValue[] | { [name: string]: JSONValue };
export type Payload = JSONValue | ArrayBuffer | ArrayBufferView | Blob;

export interface MartletOptions {
  /** A JWT, or a function that is asked for one before each connection and before the last one expires. */
  token?: string | (() => string | null | undefined | Promise<string | null | undefined>);
  /** In the order they are tried. Default: websocket, sse, poll. */
  transports?: TransportName[];
  /** Milliseconds between attempts to connect: doubled each time, with jitter. Default: 500 to 30 000. */
  backoff?: { min?: number; max?: number };
  /** Milliseconds for an answer, over however many connections; 0 waits for ever. Default: 30 000. */
  timeout?: number;
  /** Milliseconds for a transport to show that it works. Default: 10 000. */
  connectTimeout?: number;
  /** Milliseconds on a lesser transport until one that has worked before is tried again. Default: 30 000. */
  promoteAfter?: number;
}

export class MartletError extends Error {
  /** A code of docs/channels.md, a WebSocket close code, or 0 when no answer came. */
  readonly code: number;
  /** The same may succeed later. */
  readonly retry: boolean;
}

export type ConnectionState = "idle" | "connecting" | "connected" | "waiting" | "closed";

export interface ConnectionStateEvent extends Event {
  readonly state: ConnectionState;
  readonly transport: TransportName | null;
  /** Why it waits or was closed. */
  readonly error?: MartletError;
  /** Milliseconds until the next attempt, while it waits. */
  readonly retryIn?: number;
}

type Listener<E extends Event> = ((event: E) => void) | { handleEvent(event: E): void } | null;

export class Martlet extends EventTarget {
  constructor(url?: string | URL, options?: MartletOptions);
  constructor(options?: MartletOptions);
  readonly url: string;
  readonly state: ConnectionState;
  readonly transport: TransportName | null;
  /** The server's name for this connection; over WebSocket only. */
  readonly client: string | null;
  readonly user: string | null;
  channel<T = unknown>(name: string): Channel<T>;
  connect(): void;
  upload(file: Blob | ArrayBuffer | ArrayBufferView, options?: UploadOptions): Upload;
  close(): void;
  addEventListener(type: "state", listener: Listener<ConnectionStateEvent>, options?: boolean | AddEventListenerOptions): void;
  removeEventListener(type: "state", listener: Listener<ConnectionStateEvent>, options?: boolean | EventListenerOptions): void;
}

export interface Message<T = unknown> {
  readonly channel: string;
  /** `EPOCH:OFFSET` */
  readonly cursor: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** `application/json` when `data` is a JSON value, empty for plain text. */
  readonly contentType: string;
  readonly event?: string;
  /** `sub` of the publisher's token. */
  readonly user?: string;
  /** A string, a JSON value, or an ArrayBuffer. */
  readonly data: T;
}

export interface Member {
  readonly client: string;
  readonly transport: string;
  readonly since: number;
  readonly user?: string;
  readonly info?: JSONValue;
}

export interface SubscribeOptions {
  /** Goes on behind this cursor. */
  since?: string;
  /** Begins with so many of the newest messages. */
  last?: number;
  /** Asks for `presence` events. */
  presence?: boolean;
  /** What others see of this subscriber; at most 1 KiB of JSON. */
  info?: JSONValue;
}

export interface RequestOptions {
  signal?: AbortSignal;
  /** Milliseconds; in place of the connection's. */
  timeout?: number;
}

export interface PublishOptions extends RequestOptions {
  event?: string;
  /** Idempotency key, up to 128 bytes; random by default. */
  key?: string;
  contentType?: string;
}

export interface HistoryOptions extends RequestOptions {
  since?: string;
  last?: number;
  limit?: number;
}

export type ChannelState = "idle" | "subscribing" | "subscribed" | "failed";
export interface ChannelMessageEvent<T> extends Event, Message<T> {}
export interface LostEvent extends Event { readonly cursor: string }
export interface PresenceEvent extends Event { readonly action: "join" | "leave"; readonly member: Member }
export interface ChannelStateEvent extends Event { readonly state: ChannelState; readonly error?: MartletError }

export interface ChannelEvents<T> {
  message: ChannelMessageEvent<T>;
  lost: LostEvent;
  presence: PresenceEvent;
  state: ChannelStateEvent;
}

export class Channel<T = unknown> extends EventTarget implements AsyncIterable<Message<T>> {
  private constructor();
  readonly name: string;
  readonly state: ChannelState;
  readonly cursor: string | null;
  subscribe(options?: SubscribeOptions): Promise<{ cursor: string; lost: boolean }>;
  unsubscribe(): void;
  publish(data: Payload, options?: PublishOptions): Promise<{ cursor: string }>;
  history(options?: HistoryOptions): Promise<{ messages: Message<T>[]; cursor: string; lost: boolean }>;
  presence(options?: RequestOptions): Promise<{ count: number; members: Member[] }>;
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>>;
  addEventListener<K extends keyof ChannelEvents<T>>(
    type: K, listener: Listener<ChannelEvents<T>[K]>, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ChannelEvents<T>>(
    type: K, listener: Listener<ChannelEvents<T>[K]>, options?: boolean | EventListenerOptions): void;
}

export interface UploadOptions {
  /** Where it is stored below /files/; the file's own name by default. */
  name?: string;
  /** Bytes of one part. Default: 1 MiB. */
  chunk?: number;
  signal?: AbortSignal;
  /** Milliseconds for one part, after which it is sent again. Default: 60 000; 0 waits for ever. */
  timeout?: number;
  /** Failures in a row after which it gives up. Default: 8. */
  retries?: number;
  /** Content type; the file's own by default. */
  type?: string;
}

export interface UploadEvent extends Event {
  readonly loaded: number;
  readonly total: number;
  readonly lengthComputable: true;
  readonly error?: Error;
}

export class Upload extends EventTarget {
  private constructor();
  readonly file: Blob;
  readonly name: string;
  readonly loaded: number;
  readonly total: number;
  readonly done: Promise<{ url: string; etag: string | null }>;
  abort(reason?: unknown): void;
  addEventListener(
    type: "loadstart" | "progress" | "load" | "error" | "abort" | "loadend", listener: Listener<UploadEvent>,
    options?: boolean | AddEventListenerOptions): void;
  removeEventListener(
    type: "loadstart" | "progress" | "load" | "error" | "abort" | "loadend", listener: Listener<UploadEvent>,
    options?: boolean | EventListenerOptions): void;
}

// Rooms

/** `screen-audio` is the sound of what is shared. */
export type TrackSource = "microphone" | "camera" | "screen" | "screen-audio";

export interface RoomOptions {
  /** The server's; where this module came from by default. */
  url?: string | URL;
  /** What the others see: at most 128 bytes. */
  name?: string;
  /** Whatever else they shall know: at most 4 KiB of JSON. */
  info?: JSONValue;
  token?: MartletOptions["token"];
  transports?: TransportName[];
  /** The microphone (the default), one with constraints, a track or stream of your own, or none. */
  audio?: boolean | MediaTrackConstraints | MediaStreamTrack | MediaStream;
  /** The camera, likewise. */
  video?: boolean | MediaTrackConstraints | MediaStreamTrack | MediaStream;
  /** The camera in layers that are one stream (SVC) where the server passes media on, instead of simulcast: for browsers that can. */
  scalability?: { codec: "VP9" | "AV1"; mode: string };
  /** How many cameras come where the server passes media on: those of who spoke last. Screens and what is pinned come beside them. */
  lastN?: number;
  /** A moderator has to let us in. */
  onwaiting?: (text: string) => void;
}

/**
 * Meets others: opens camera and microphone, and joins the room.
 * Broken with a `DOMException` of `getUserMedia`, or a `RoomError`.
 */
export function joinRoom(name: string, options?: RoomOptions): Promise<Room>;

/** What the server had against a command. */
export interface RoomError extends Error {
  /** Of docs/rooms.md; `network` when no answer came, `server` when it was no answer of a room. */
  readonly code: string;
  readonly isTemporary: boolean;
}

export interface Quality {
  /** `none` while there is no path. */
  readonly level: "unknown" | "none" | "poor" | "fair" | "good";
  /** Why it is no better, for people; and whether it goes over a relay. */
  readonly reasons: string[];
  readonly isRelayed?: boolean;
  /** Share of the packets, 0 to 1, in the worse direction. */
  readonly loss?: number;
  /** Seconds. */
  readonly roundTrip?: number | null;
}

export interface Participant {
  readonly id: string;
  readonly name: string;
  readonly info?: JSONValue;
  readonly muted: TrackSource[];
  readonly tracks: ReadonlyMap<TrackSource, MediaStreamTrack>;
  /** Camera and microphone, always the same object: for `srcObject`. */
  readonly stream: MediaStream;
  readonly quality: Quality;
}

export interface Transfer extends EventTarget {
  readonly name: string;
  readonly size: number;
  readonly type: string;
  /** The other one's id. */
  readonly participant: string;
  readonly direction: "in" | "out";
  readonly via: "peer" | "server";
  readonly state: "waiting" | "running" | "paused" | "done" | "failed" | "cancelled";
  readonly loaded: number;
  readonly error: Error | null;
  /** Of one that comes in, with the file, once its SHA-256 is right. */
  readonly done: Promise<Blob | undefined>;
  /** Lets one that comes in come. */
  accept?(): Promise<Blob>;
  pause(): void;
  resume(): void;
  cancel(reason?: string): void;
  addEventListener(type: "progress" | "state", listener: Listener<Event>, options?: boolean | AddEventListenerOptions): void;
}

interface ParticipantEvent extends Event { readonly participant: Participant }

export interface RoomEvents {
  joined: ParticipantEvent;
  left: ParticipantEvent & { readonly reason: "left" | "timeout" | "kicked" | "moved" | "expired" };
  /** The name, `info` or what is muted. */
  changed: ParticipantEvent;
  track: ParticipantEvent & { readonly source: TrackSource; readonly track: MediaStreamTrack };
  trackended: ParticipantEvent & { readonly source: TrackSource; readonly track: MediaStreamTrack };
  /** The chat; `from` is null for who is no participant. */
  message: Event & { readonly from: string | null; readonly name: string; readonly data: JSONValue; readonly time: number; readonly cursor: string };
  /** What a participant sent us with `send`. */
  data: ParticipantEvent & { readonly data: JSONValue };
  /** A participant offers a file: `transfer.accept()` lets it come. */
  file: ParticipantEvent & { readonly transfer: Transfer };
  topology: Event & { readonly topology: "mesh" | "supernode" | "sfu"; readonly supernode: string | null; readonly mode: string };
  /** The loudest first, where the server passes media on. */
  speaking: Event & { readonly participants: Participant[] };
  /** `text` is for people. */
  connection: Event & { readonly state: Room["state"]; readonly text: string; readonly error?: Error };
  quality: ParticipantEvent & { readonly quality: Quality };
  /** A moderator has muted us, which is done already. */
  mute: Event & { readonly muted: TrackSource[] };
  /** A moderator asks us into another room; we are out of this one. */
  moved: Event & { readonly room: string };
  /** To moderators: somebody asks to come in. */
  waiting: Event & { readonly participant: { readonly id: string; readonly name: string } };
  /** What we may do has changed. */
  may: Event & { readonly may: RoomPermission[] };
  options: Event & { readonly options: RoomKind };
  locked: Event;
  unlocked: Event;
}

export type RoomPermission = "publish" | "moderate";

/** What kind of room it is: docs/rooms.md. */
export interface RoomKind {
  readonly capacity: number;
  readonly topology: "auto" | "mesh" | "supernode" | "sfu";
  readonly publish: "everyone" | "moderators" | "nobody";
  readonly lobby: boolean;
  readonly record: boolean;
}

export interface Room extends EventTarget {
  readonly name: string;
  readonly me: Participant;
  /** The others, by id, in the order in which they came. */
  readonly participants: ReadonlyMap<string, Participant>;
  readonly topology: "mesh" | "supernode" | "sfu";
  /** The id of who passes everything on, in the topology of that name. */
  readonly supernode: string | null;
  readonly isLocked: boolean;
  readonly may: RoomPermission[];
  readonly options: RoomKind | null;
  readonly state: "joining" | "connected" | "reconnecting" | "closed";
  readonly transport: TransportName | null;
  say(data: JSONValue): Promise<void>;
  set(change: { name?: string; info?: JSONValue }): Promise<void>;
  setMuted(source: TrackSource, isMuted: boolean): Promise<void>;
  /** In place of what the source had; microphone or camera by the track's kind by default. */
  publish(track: MediaStreamTrack, options?: { source?: TrackSource }): Promise<void>;
  unpublish(track: MediaStreamTrack): Promise<void>;
  /** JSON to one participant, over a data channel, else by way of the server. */
  send(participant: Participant | string, data: JSONValue): void;
  sendFile(participant: Participant | string, file: File): Transfer;
  /** What is shown in an element: the server sends what fits its size, and nothing while it is out of sight. */
  observe(element: Element, participant: Participant | string, options?: { source?: TrackSource; isPinned?: boolean }): void;
  unobserve(element: Element): void;
  /** The same by hand, in pixels of the screen; `null` to say nothing of it any more. */
  setView(participant: Participant | string, source: TrackSource, view: { width?: number; height?: number; paused?: boolean; pinned?: boolean } | null): void;
  /** `kick`, `mute`, `lock`, `unlock`, `admit`, `refuse`, `move`, `topology`, with what docs/rooms.md says. */
  moderate(action: string, details?: Record<string, JSONValue>): Promise<void>;
  leave(options?: { stopsTracks?: boolean }): Promise<void>;
  addEventListener<K extends keyof RoomEvents>(type: K, listener: Listener<RoomEvents[K]>, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof RoomEvents>(type: K, listener: Listener<RoomEvents[K]>, options?: boolean | EventListenerOptions): void;
}
