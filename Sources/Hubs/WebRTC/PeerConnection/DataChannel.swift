internal import MartletPrimitives
internal import MartletSCTP

/// RTCDataChannel: messages in both directions with the peer, in order or not, reliable or not (RFC 8831).
public final class DataChannel: Sendable {
  public struct Options: Sendable, Equatable {
    /// The subprotocol, a name that both ends know.
    public var protocolName = ""
    public var isOrdered = true
    /// How often a lost message is sent again; not together with `maximumPacketLifetime`. 0 to 65,535.
    public var maximumRetransmits: Int?
    /// How long a message is worth sending.
    public var maximumPacketLifetime: Duration?
    /// The number that both sides have agreed on elsewhere: then nothing is asked of the peer. 0 to 65,534.
    public var negotiatedID: Int?
    public init() {}
    public static let reliable = Options()
  }

  public enum Message: Sendable, Equatable {
    case text(String)
    case binary([UInt8])
  }

  public let label: String
  public let options: Options
  /// What the peer sends, ending with the channel. The peer is stopped while more than a hundred messages wait here.
  public let messages: PeerSequence<Message>
  private let opening = PeerLatch()
  let connection: UInt64
  /// Names it within the connection, also before it has a number.
  let key: UInt64

  init(_ options: DataChannelOptions, key: UInt64, connection: UInt64) {
    label = options.label
    var own = Options()
    own.protocolName = options.protocolName
    own.isOrdered = options.isOrdered
    own.maximumRetransmits = options.maximumRetransmissions.map { Int($0) }
    own.maximumPacketLifetime = options.lifetime.map { .nanoseconds($0.nanoseconds) }
    own.negotiatedID = options.negotiatedID.map { Int($0) }
    self.options = own
    self.key = key
    self.connection = connection
    messages = PeerSequence(.never) {
      PeerLoop.shared.post { $0.connections[connection]?.resumeData() }
    }
  }

  /// Waits until the peer has agreed; false when the channel ended instead.
  public func waitUntilOpen() async -> Bool { await opening.wait() }

  func didOpen() { opening.settle(true) }

  func didClose() {
    opening.settle(false)
    messages.box.finish()
  }

  /// Queues a message and waits while more than a megabyte is before it.
  public func send(_ message: Message) async throws(PeerError) {
    let (kind, payload): (DataChannelKind, Slice) =
      switch message {
      case .text(let text): (.text, Slice(Array(text.utf8)))
      case .binary(let bytes): (.binary, Slice(bytes))
      }
    try await PeerConnection.run(connection) { [key] core throws(PeerError) in try core.send(kind, payload, on: key) }
    for await _ in room { return }
  }

  public func send(_ text: String) async throws(PeerError) { try await send(.text(text)) }
  public func send(_ bytes: [UInt8]) async throws(PeerError) { try await send(.binary(bytes)) }

  /// One element as soon as there is room.
  private var room: PeerSequence<Void> {
    let sequence = PeerSequence<Void>(.never)
    let (connection, key) = (connection, key)
    PeerLoop.shared.post { residents in
      guard let core = residents.connections[connection] else { return sequence.box.finish() }
      core.tellRoom(of: key, sequence.box)
    }
    return sequence
  }

  /// Bytes that wait to be sent.
  public var bufferedAmount: Int {
    get async { (try? await PeerConnection.run(connection) { [key] core in core.bufferedAmount(of: key) }) ?? 0 }
  }

  /// Closes the channel once what waits has gone.
  public func close() {
    PeerLoop.shared.post { [connection, key] in $0.connections[connection]?.closeChannel(key) }
  }
}
