/** Follow an event log from a browser or a worker, and lose nothing. */

/** An entry, as every transport sends it. */
export interface Entry<Payload = Record<string, unknown>> {
  readonly position: number;
  readonly kind: string;
  /** "" for an entry in no stream, whose `seq` is null. */
  readonly stream: string;
  readonly seq: number | null;
  /** UTC, with six digits: `2026-11-20T10:00:00.123456Z`. */
  readonly timestamp: string;
  readonly payload: Payload;
}

/** What was missed: `lost` positions up to `first_available`, whatever the filter. */
export interface Gap {
  readonly reason: "pruned" | "ahead" | "epoch" | "unreadable";
  readonly requested: number;
  readonly first_available: number;
  readonly lost: number;
}

export interface End {
  /** Why: `completed`, `failed`, `stopped`, `deleted`, `max_age` and others; `ended` where nobody said. */
  readonly reason: string;
  /** Will the log go on by itself? */
  readonly reconnect: boolean;
}

export type State = "connecting" | "catching-up" | "live" | "offline" | "closed";
export type Transport = "ws" | "sse" | "poll";

export interface StateChange {
  readonly state: State;
  readonly transport: Transport | null;
  readonly position: number | null;
  /** When offline: milliseconds until the next attempt, and what happened to the last one. */
  readonly delay?: number;
  readonly reason?: string;
}

export type ErrorCode = "bad_request" | "unauthorized" | "forbidden" | "not_found";

export interface Failure {
  readonly code: ErrorCode | (string & {});
  readonly detail: string;
}

export interface EntryEvent<Payload = Record<string, unknown>> extends CustomEvent<Entry<Payload>> {
  /** The same as `detail`. */
  readonly entry: Entry<Payload>;
}

export interface EventLogEvents<Payload = Record<string, unknown>> {
  /** One entry, in order and once. */
  entry: EntryEvent<Payload>;
  /** The state or the transport is another one. */
  state: CustomEvent<StateChange>;
  /** Something was missed; between the entries before it and those after it. */
  gap: CustomEvent<Gap>;
  /** The server is done: with the stream, or only with this connection. */
  end: CustomEvent<End>;
  /** The log cannot be followed, and is closed. */
  error: CustomEvent<Failure>;
}

type HeaderFields = Record<string, string>;

export interface Options {
  /**
   * Only this stream: `run-42`. Several: `red:*` for all that begin so, or a list of names and such
   * prefixes. One that does not exist yet is waited for; several have no end.
   */
  stream?: string | readonly string[];
  /** Only these kinds: `turn.started`, `turn.*`, or a list of such. */
  kind?: string | readonly string[];
  /** How many positions were consumed. "earliest" when left out. */
  since?: number | "earliest" | "latest" | null;
  /** In place of `since`: begin with the newest so many entries, up to the server's MAX_PAGE_SIZE. */
  last?: number | null;
  /** The epoch that a number in `since` belongs to. */
  epoch?: string | null;
  /** Another log than `default`. */
  log?: string;
  /** Which transports to use, the best one first. ["ws", "sse", "poll"] when left out. */
  transports?: readonly Transport[];
  /** Where the WebSocket is: "/ws/events/" on the host of the API. */
  wsUrl?: string;
  /** How many entries may be held until they are taken: 10000. When there are so many, no more is read. */
  buffer?: number;
  /** The server's HEARTBEAT_INTERVAL in seconds: 15. After 2.5 of them without a word it is taken for dead. */
  heartbeat?: number;
  /** Closes the log. */
  signal?: AbortSignal;
  /**
   * Headers, or what gives them anew for each request. A browser lets nobody add one to a WebSocket, so
   * with these it is opened by a ticket, which is asked for each time.
   */
  headers?: HeaderFields | (() => HeaderFields | Promise<HeaderFields>);
  credentials?: RequestCredentials;
  /** @internal What tests put in place of the platform. */
  env?: Record<string, unknown>;
}

/**
 * Follow a log: over a WebSocket, or by Server-Sent Events, or by polling, whichever works.
 *
 *     const log = connect("/api/events/", { stream: "run-42", since: 0 });
 *     for await (const entry of log) console.log(entry.kind);
 *
 * Positions rise strictly, except after a gap whose reason is `epoch` or `ahead`.
 */
export function connect<Payload = Record<string, unknown>>(
  url?: string,
  options?: Options,
): EventLog<Payload>;

export class EventLog<Payload = Record<string, unknown>>
  extends EventTarget
  implements AsyncIterable<Entry<Payload>>
{
  constructor(url: string, options: Options);

  readonly state: State;
  /** The transport in use or being tried. */
  readonly transport: Transport | null;
  /** How far this log was read; with `epoch`, what to pass as `since` another day. Null until known. */
  readonly position: number | null;
  readonly epoch: string | null;
  /** The newest position that is known of. */
  readonly head: number | null;

  /** Drop the connection, if there is one, and resume at once. */
  reconnect(): void;
  /** Free everything, and end the iteration. */
  close(): void;

  /**
   * Iterate over the entries; leaving the loop closes the log. Slow loops slow the server down and lose
   * nothing. Throws an `EventLogError` where the `error` event is sent. Only one iteration is possible.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Entry<Payload>, void, undefined>;

  addEventListener<Type extends keyof EventLogEvents>(
    type: Type,
    listener: ((this: EventLog<Payload>, event: EventLogEvents<Payload>[Type]) => unknown) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Type extends keyof EventLogEvents>(
    type: Type,
    listener: ((this: EventLog<Payload>, event: EventLogEvents<Payload>[Type]) => unknown) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** The log cannot be followed, and trying again will not help. */
export class EventLogError extends Error {
  constructor(code: string, detail?: string);
  readonly code: ErrorCode | (string & {});
}
