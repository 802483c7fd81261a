internal import MartletHTTP
internal import MartletPrimitives
internal import Synchronization

/// Server-Sent Events (HTML Living Standard §9.2): a sequence of a server's events that outlives its connections.
///
///     for try await event in EventSource("https://example.org/channels/chat/events") { print(event.data) }
///
/// It connects at once. A lost connection is made again after a while, with the id of the last event, so that the server can go
/// on where it was; a status other than 200, and content that is no event stream, end it with an error, and 204 without. While
/// nobody reads and `Options.bufferedBytes` wait, the server is held back. One task reads; releasing the source and its
/// iterators closes it.
public final class EventSource: AsyncSequence, Sendable {
  public typealias Element = Event

  public struct Event: Sendable, Equatable {
    /// The last id that the server gave, to this event or an earlier one; empty if none.
    public let id: String
    /// `message` unless the server named it.
    public let event: String
    /// Lines are separated by LF.
    public let data: String
  }

  public struct Options: Sendable {
    /// More fields of the request, such as `Authorization`.
    public var headers = HTTPHeaders()
    /// Where to begin, as `Last-Event-ID` says it; empty says nothing.
    public var lastEventID = ""
    /// Before the first attempt to connect again, until the server says something else (`retry:`). Each wait is longer by a
    /// random part of itself, and each next one twice as long while attempts fail.
    public var retry: Duration = .seconds(3)
    /// No wait is longer, unless `retry` is.
    public var maximumRetry: Duration = .seconds(60)
    /// Attempts in a row that may fail to connect before the source fails with the last error; `nil` is no limit.
    public var attempts: Int?
    /// Statuses besides lost connections after which it tries again: the standard has none. 502, 503 and 504 are what a proxy
    /// answers while its server is restarted.
    public var retriedStatuses: Set<Int> = []
    /// A connection on which nothing came for this long is lost. Martlet sends a comment every 15 s.
    public var silence: Duration = .seconds(60)
    /// Asks for gzip (RFC 9110 §8.4.1).
    public var gzip = true
    /// Bytes of one line, and a quarter of the bytes of one event; longer ones fail.
    public var maximumLine = 1 << 20
    /// Bytes of events that wait before the server is held back. One event may exceed it.
    public var bufferedBytes = 1 << 20
    /// Proxy, trust and so on. It gets a client of its own, for each source holds a connection.
    public var http = HTTPClient.Configuration()

    public init() {}
  }

  /// The numbers are those of browsers.
  public enum ReadyState: Int, Sendable { case connecting, open, closed }

  /// Why there are no more events.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
      /// The URL cannot be used.
      case invalid
      /// `Options.attempts` failed in a row.
      case unreachable
      /// The server answered another status than 200; `status` has it.
      case refused
      /// The content is no `text/event-stream`, or is damaged.
      case notAnEventStream
      /// A line or an event beyond the limits.
      case tooLarge
      case cancelled
    }

    public let code: Code
    public let status: Int?
    /// A sentence for a person.
    public let description: String

    internal init(_ code: Code, _ description: String, status: Int? = nil) {
      (self.code, self.description, self.status) = (code, description, status)
    }

    /// Equal when the codes are.
    public static func == (a: Failure, b: Failure) -> Bool { a.code == b.code }
  }

  /// As it was given.
  public let url: String
  private let feed: EventFeed
  private let task: Task<Void, Never>

  public init(_ url: String, _ options: Options = Options()) {
    self.url = url
    let feed = EventFeed(limit: options.bufferedBytes)
    self.feed = feed
    task = Task {
      var reader = EventSourceReader(url, options, feed)
      await reader.run()
    }
  }

  deinit { task.cancel() }

  public var readyState: ReadyState { feed.state.withLock(\.readyState) }
  /// Where a source that begins later can go on: the id of the last event that arrived.
  public var lastEventID: String { feed.state.withLock(\.lastEventID) }

  /// Ends the sequence behind what has arrived, and closes the connection.
  public func close() {
    feed.finish(nil)
    task.cancel()
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: self) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let source: EventSource

    public mutating func next() async throws(Failure) -> Event? { try await source.feed.inbox.next() }
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(Failure) -> Event? {
      try await source.feed.inbox.next()
    }
  }
}

extension EventSource.Failure: CancellableFailure {
  package static var cancelled: EventSource.Failure { EventSource.Failure(.cancelled, "cancelled") }
}

/// Between the task that connects and the one that reads events.
internal final class EventFeed: Sendable {
  internal struct State {
    var readyState = EventSource.ReadyState.connecting
    var lastEventID = ""
  }

  internal let state = Mutex(State())
  internal let inbox: Inbox<EventSource.Event, EventSource.Failure>
  private let room: Inbox<Void, EventSource.Failure>

  internal init(limit: Int) {
    let room = Inbox<Void, EventSource.Failure>(limit: .max)
    self.room = room
    inbox = Inbox(limit: limit) { room.put((), cost: 0) }
  }

  /// Waits until there is room again when the inbox is full.
  internal func put(_ events: [ServerSentEvent], lastEventID: String) async throws {
    state.withLock { $0.lastEventID = lastEventID }
    for event in events {
      let cost = event.id.utf8.count + event.event.utf8.count + event.data.utf8.count + 128
      let hasRoom = inbox.put(EventSource.Event(id: event.id, event: event.event, data: event.data), cost: cost)
      if !hasRoom { _ = try await room.next() }
    }
  }

  internal func finish(_ failure: EventSource.Failure?) {
    state.withLock { $0.readyState = .closed }
    inbox.finish(failure)
    room.finish()
  }
}
