internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// A WebSocket that is a participant, whatever it speaks: how it is listed, written to, held back and closed.
internal protocol RoomConnection: ChannelSession, RoomListener, WebSocketHandler {
  /// As clients are listed by: `room`, `skyrtc`.
  static var transport: String { get }
  var session: WebSocketSession { get }
  var asker: RoomAsker { get }
  var endpoint: RoomsEndpoint { get }
  var listening: RoomListening { get }
  /// Names it among the clients of its worker.
  var number: Int { get }
  var since: WallTime { get }
  /// Commands whose answer is under way.
  var pending: Int { get }
}

/// What one of them may have under way, and waiting for it to read.
private enum RoomConnectionLimits {
  static let pending = 64
  static let buffered = 512 << 10
}

extension RoomConnection {
  internal var client: ChannelClient {
    ChannelClient(
      id: endpoint.messages.clientID(of: number), transport: Self.transport, remote: asker.remote, since: since,
      userAgent: asker.userAgent)
  }

  // MARK: Out

  /// A client that asks faster than it reads is made to wait.
  internal func say(_ json: JSON) { if !session.send(.text, Slice(json.serialized)) { session.pauseReading() } }

  private var isRead: Bool { session.bufferedAmount < RoomConnectionLimits.buffered }

  /// Whether one more command may be under way.
  internal var takesCommands: Bool { pending < RoomConnectionLimits.pending && isRead }
  internal var takesMore: Bool { session.isOpen && isRead }

  internal func webSocketIsWritable(_ session: WebSocketSession) {
    session.resumeReading()
    listening.resume()
  }

  // MARK: Its end

  internal func fellBehind() { kick(.slow) }
  internal func kick(_ reason: ChannelKick) { session.close(ChannelCloseCode.of(reason), reason: EventStreamFields.sentence(reason)) }
  internal func sweep(now: Instant, stuck: TimeSpan) { if listening.isBehind { kick(.slow) } }
}
