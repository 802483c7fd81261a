internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// What comes from one channel, across however many connections. One task reads. It ends when the client is closed, and throws
/// when the server takes the channel away. Releasing it and its iterators unsubscribes.
public final class ChannelSubscription: AsyncSequence, Sendable {
  public typealias Element = ChannelEvent
  public typealias Failure = ChannelError

  public let channel: String
  private let events: ChannelConnection.Events
  private let connection: LoopBound<ChannelConnection>
  private let place: Mutex<String>

  internal static func ticket(on connection: LoopBound<ChannelConnection>, limit: Int) -> ChannelConnection.Events {
    let own = Mutex(WeakEvents(nil))
    let events = ChannelConnection.Events(limit: limit) { [weak connection] in
      guard let events = own.withLock({ $0.events }) else { return }
      connection?.post { $0.release(events) }
    }
    own.withLock { $0 = WeakEvents(events) }
    return events
  }

  internal init(_ channel: String, _ cursor: String, _ events: ChannelConnection.Events, _ connection: LoopBound<ChannelConnection>) {
    (self.channel, self.events, self.connection) = (channel, events, connection)
    place = Mutex(cursor)
  }

  deinit { connection.post { [events] in $0.unsubscribe(events) } }

  /// Behind the last message that was read here: where a later subscription goes on (`since`).
  public var cursor: String { place.withLock { $0 } }

  /// Leaves the channel; the sequence ends behind what has arrived.
  public func cancel() {
    events.finish()
    connection.post { [events] in $0.unsubscribe(events) }
  }

  private func next() async throws(ChannelError) -> ChannelEvent? {
    let event = try await events.next()
    switch event {
    case .message(let message): place.withLock { $0 = message.cursor }
    case .lost(let cursor): place.withLock { $0 = cursor }
    case .presence, .interrupted, .resumed, nil: break
    }
    return event
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let subscription: ChannelSubscription

    public mutating func next() async throws(ChannelError) -> ChannelEvent? { try await subscription.next() }
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(ChannelError) -> ChannelEvent? {
      try await subscription.next()
    }
  }
}

private struct WeakEvents: Sendable {
  weak let events: ChannelConnection.Events?
  init(_ events: ChannelConnection.Events?) { self.events = events }
}
