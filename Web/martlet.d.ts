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
