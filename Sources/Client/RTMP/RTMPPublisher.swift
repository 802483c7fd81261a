internal import MartletContainers
internal import MartletCrypto
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP
internal import Synchronization

/// Publishes one stream on an RTMP server.
///
///     let publisher = try await RTMPPublisher("rtmp://example.org/live/cam")
///     for try await packet in packets { try await publisher.send(packet) }
///     await publisher.close()
///
/// Codecs without a number of their own in FLV go as Enhanced RTMP (v1 for HEVC, AV1 and VP9, v2 for Opus). Packets are sent
/// as they come: whoever reads a file keeps its pace.
public final class RTMPPublisher: Sendable {
  private let session: LoopBound<Session>
  private let outbox: Outbox<FLVTag, RTMPClientError>
  private let encoding = Mutex(FLVEncoding())

  /// Connects, and returns when the server lets us publish.
  ///
  /// - Parameter url: `rtmp://HOST[:PORT]/APP/NAME[?QUERY]` or `rtmps://…`; the ports are 1935 and 443 unless given.
  /// - Throws: what the server answered, or why it could not be asked.
  public convenience init(_ url: String, _ options: RTMPOptions = RTMPOptions()) async throws(RTMPClientError) {
    try await self.init(url, options, on: .shared)
  }

  package init(_ url: String, _ options: RTMPOptions, on loop: ClientLoop) async throws(RTMPClientError) {
    guard let target = RTMPTarget(url) else { throw .invalidURL(url) }
    let session = LoopBound(on: loop) { Session(in: $0) }
    let outbox = Outbox<FLVTag, RTMPClientError>(limit: options.bufferedBytes) { [weak session] in session?.post { $0.pump() } }
    let started = Inbox<Bool, RTMPClientError>(limit: 1)
    (self.session, self.outbox) = (session, outbox)
    session.post { $0.begin(target, options, outbox, started) }
    guard try await started.next() == true else { throw .closed("the connection was closed before it was established") }
  }

  deinit { outbox.finish() }

  /// Sends a packet. Suspends while the server does not keep up and `RTMPOptions.bufferedBytes` wait.
  ///
  /// One task should send; packets of several tasks go out in the order of their calls.
  /// - Throws: `unsupported` for a frame before its format, after which one may go on; anything else is the end of the
  ///   connection.
  public func send(_ packet: MediaPacket) async throws(RTMPClientError) {
    let result = encoding.withLock { encoding in
      Result { () throws(MediaError) in
        var tags: [FLVTag] = []
        try encoding.append(packet, to: &tags)
        return tags
      }
    }
    let tags: [FLVTag]
    do throws(MediaError) { tags = try result.get() } catch { throw .unsupported(error.description) }
    for tag in tags { try await outbox.put(tag, cost: tag.body.count + 64) }
  }

  /// Sends packets in their order.
  public func send(_ packets: some Sequence<MediaPacket>) async throws(RTMPClientError) {
    for packet in packets { try await send(packet) }
  }

  /// Sends what waits, tells the server that the stream has ended, and closes the connection; returns when that is done. A
  /// publisher that is released without it closes as well, and loses what the server has not taken yet. Safe to call again.
  public func close() async {
    outbox.finish()
    await outbox.ended()
  }
}

/// The publisher's side on the loop.
private final class Session: RTMPCallOwner, LoopObject {
  private let context: LoopContext
  private var call: RTMPCall?
  private var outbox: Outbox<FLVTag, RTMPClientError>?
  private var started: Inbox<Bool, RTMPClientError>?
  /// `nil` while the server does not keep up, or has not begun.
  private var writable: RTMPClientConnection?

  init(in context: LoopContext) { self.context = context }

  func begin(
    _ target: RTMPTarget, _ options: RTMPOptions, _ outbox: Outbox<FLVTag, RTMPClientError>, _ started: Inbox<Bool, RTMPClientError>
  ) {
    self.outbox = outbox
    self.started = started
    call = RTMPCall(target, RTMPCall.Configuration(.publish(), options), in: context, owner: self)
  }

  func pump() {
    while let client = writable, let outbox {
      switch outbox.next() {
      case .element(let tag): if !client.send(tag) { writable = nil }
      case .nothingYet: return
      case .finished:
        writable = nil
        call?.finish()
      }
    }
  }

  func callDidStart(_ call: RTMPCall, on client: RTMPClientConnection) {
    started?.put(true, cost: 1)
    started?.finish()
    writable = client
    pump()
  }

  func callIsWritable(_ call: RTMPCall, on client: RTMPClientConnection) {
    writable = client
    pump()
  }

  func call(_ call: RTMPCall, didReceive message: RTMPMessage) {}

  func callDidEnd(_ call: RTMPCall, _ error: RTMPClientError) {
    (self.call, writable) = (nil, nil)
    started?.finish(error)
    outbox?.end(error)
  }

  /// What waits still goes out; the call keeps its connection until then.
  func handleIsGone() {
    pump()
    guard let call = exchange(&call, with: nil) else { return }
    call.stop()
    outbox?.end(.closed("closed on this side"))
  }
}

extension RTMPCall.Configuration {
  internal init(_ purpose: ClientSessionConfiguration.Purpose, _ options: RTMPOptions) {
    let trust = options.trust.trust
    self.init(purpose) { () throws(TLSError) in try TLSContext.client(trust) }
    connectTimeout = TimeSpan(options.connectTimeout)
    stepTimeout = TimeSpan(options.stepTimeout)
    redirects = options.redirects
  }
}
