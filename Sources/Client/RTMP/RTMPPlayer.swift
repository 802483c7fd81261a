internal import MartletCodecs
internal import MartletContainers
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP

/// Plays one stream of an RTMP server: its packets, in the order of the wire.
///
///     let player = try await RTMPPlayer("rtmp://example.org/live/cam")
///     for try await packet in player { … }
///
/// It ends when the stream does, and throws `RTMPClientError` when the connection is lost. At most
/// `RTMPOptions.bufferedBytes` wait: a slow reader makes the server hold back, and live servers then skip. One task reads.
/// The connection is closed with `close`, or when the player and its iterators are released.
public final class RTMPPlayer: AsyncSequence, Sendable {
  public typealias Element = MediaPacket
  public typealias Failure = RTMPClientError

  private let session: LoopBound<Session>
  private let inbox: Inbox<MediaPacket, RTMPClientError>

  /// Connects, and returns when the server plays.
  ///
  /// Of a stream that nobody publishes yet, some servers say at once that they play it, and its packets come later, or never;
  /// others answer when it begins, or refuse after a while.
  /// - Parameter url: `rtmp://HOST[:PORT]/APP/NAME[?QUERY]` or `rtmps://…`; the ports are 1935 and 443 unless given.
  /// - Throws: what the server answered, or why it could not be asked.
  public convenience init(_ url: String, _ options: RTMPOptions = RTMPOptions()) async throws(RTMPClientError) {
    try await self.init(url, options, on: .shared)
  }

  package init(_ url: String, _ options: RTMPOptions, on loop: ClientLoop) async throws(RTMPClientError) {
    guard let target = RTMPTarget(url) else { throw .invalidURL(url) }
    let session = LoopBound(on: loop) { Session(in: $0) }
    let inbox = Inbox<MediaPacket, RTMPClientError>(limit: options.bufferedBytes) { [weak session] in session?.post { $0.resume() } }
    let started = Inbox<Bool, RTMPClientError>(limit: 1)
    (self.session, self.inbox) = (session, inbox)
    session.post { $0.begin(target, options, inbox, started) }
    guard try await started.next() == true else { throw .closed("the connection was closed before it was established") }
  }

  /// Everything that has arrived since the last time, at least one packet: cheaper than one by one.
  public var batches: Batches { Batches(player: self) }

  /// Closes the connection; the sequence ends after what has arrived.
  public func close() {
    inbox.finish()
    session.post { $0.handleIsGone() }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(player: self) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let player: RTMPPlayer

    public mutating func next() async throws(RTMPClientError) -> MediaPacket? { try await player.inbox.next() }
    public mutating func next(isolation actor: isolated (any Actor)?) async throws(RTMPClientError) -> MediaPacket? {
      try await player.inbox.next()
    }
  }

  public struct Batches: AsyncSequence, Sendable {
    public typealias Element = [MediaPacket]
    public typealias Failure = RTMPClientError
    fileprivate let player: RTMPPlayer

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(player: player) }

    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let player: RTMPPlayer

      public mutating func next() async throws(RTMPClientError) -> [MediaPacket]? { try await player.inbox.nextBatch() }
      public mutating func next(isolation actor: isolated (any Actor)?) async throws(RTMPClientError) -> [MediaPacket]? {
        try await player.inbox.nextBatch()
      }
    }
  }
}

/// The player's side on the loop.
private final class Session: RTMPCallOwner, LoopObject {
  private let context: LoopContext
  private var call: RTMPCall?
  private var inbox: Inbox<MediaPacket, RTMPClientError>?
  private var started: Inbox<Bool, RTMPClientError>?
  private var decoding = FLVDecoding()
  private var packets: [MediaPacket] = []

  init(in context: LoopContext) { self.context = context }

  func begin(
    _ target: RTMPTarget, _ options: RTMPOptions, _ inbox: Inbox<MediaPacket, RTMPClientError>, _ started: Inbox<Bool, RTMPClientError>
  ) {
    self.inbox = inbox
    self.started = started
    call = RTMPCall(target, RTMPCall.Configuration(.play(), options), in: context, owner: self)
  }

  func resume() { call?.pause(false) }

  func callDidStart(_ call: RTMPCall, on client: RTMPClientConnection) {
    started?.put(true, cost: 1)
    started?.finish()
  }

  func call(_ call: RTMPCall, didReceive message: RTMPMessage) {
    guard let inbox, let kind = FLVTag.Kind(rawValue: message.type.rawValue) else { return }
    do throws(ParseError) {
      try decoding.receive(kind, timestamp: message.timestamp, body: message.payload, into: &packets)
    } catch {
      return call.fail(.malformed("\(message.type) message: \(error)"))
    }
    var hasRoom = true
    for packet in packets { hasRoom = inbox.put(packet, cost: packet.cost) }
    packets.removeAll(keepingCapacity: true)
    if !hasRoom { call.pause(true) }
  }

  func callDidEnd(_ call: RTMPCall, _ error: RTMPClientError) {
    self.call = nil
    started?.finish(error)
    inbox?.finish(error == .streamEnded ? nil : error)
  }

  func handleIsGone() {
    exchange(&call, with: nil)?.stop()
    started?.finish(.closed("closed on this side"))
    inbox?.finish()
  }
}

extension MediaPacket {
  /// Bytes that it takes while it waits, about.
  internal var cost: Int {
    switch self {
    case .format(let format): format.track.configuration.count + 128
    case .frame(let frame): frame.slice.count + 128
    }
  }
}
