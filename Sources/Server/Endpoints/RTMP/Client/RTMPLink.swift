internal import MartletCrypto
internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP

/// What the owner of a link hears.
internal protocol RTMPLinkOwner: AnyObject {
  /// Connected, and the server publishes for us or plays to us.
  func linkDidStart(_ link: RTMPLink, on client: RTMPClientConnection)
  func link(_ link: RTMPLink, didReceive message: RTMPMessage)
  /// The connection is lost or never came about.
  /// - Returns: whether to try again after a while.
  func linkDidEnd(_ link: RTMPLink, _ reason: String) -> Bool
}

/// A lasting wish to publish to another server or to play from it: connects, and connects again with growing pauses until
/// its owner has enough.
internal final class RTMPLink: RTMPClientOwner {
  internal let target: RTMPTarget
  private let purpose: ClientSessionConfiguration.Purpose
  private let relay: RTMPRelay
  private let context: LoopContext
  private weak var owner: (any RTMPLinkOwner)?
  private var backoff: Backoff
  private var connector: Connector?
  private var client: RTMPClientConnection?
  private var timer: SlabID?
  private var started: Instant?
  /// A connection that held for this long makes the next pause short again.
  private static let stable = TimeSpan.seconds(10)

  internal init(
    _ target: RTMPTarget, _ purpose: ClientSessionConfiguration.Purpose, _ relay: RTMPRelay, owner: any RTMPLinkOwner
  ) {
    self.target = target
    self.purpose = purpose
    self.relay = relay
    self.owner = owner
    context = relay.admission.context
    backoff = relay.configuration.backoff
  }

  /// Connects unless it is connected, connecting or waiting to connect.
  internal func start() {
    guard connector == nil, client == nil, timer == nil else { return }
    connect()
  }

  /// Goes in an orderly way. The owner hears nothing more.
  internal func stop() {
    owner = nil
    if let timer { context.cancel(timer) }
    timer = nil
    exchange(&connector, with: nil)?.cancel()
    exchange(&client, with: nil)?.finish()
  }

  /// Gives the connection up and tries again.
  internal func fail(_ reason: String) { client?.fail(reason) }

  private func connect() {
    var options = Connector.Options()
    options.timeout = relay.configuration.connectTimeout
    if target.isSecure {
      do throws(TLSError) { options.tls = try relay.tlsContext() } catch { return context.atEndOfTurn { self.ended("\(error)") } }
    }
    connector = Connector(to: target.host, port: target.port, options, in: context) { [weak self] result in
      guard let self else { return }
      self.connector = nil
      switch result {
      case .success(let connection): self.begin(connection)
      case .failure(let error): self.ended("\(error)")
      }
    }
  }

  private func begin(_ connection: TCPConnection) {
    var configuration = ClientSessionConfiguration(
      app: target.app, tcURL: target.connectURL, streamName: target.streamName, purpose: purpose)
    // The chunk size of the shared wire images.
    configuration.outgoingChunkSize = RTMPFormat.chunkSize
    client = RTMPClientConnection(connection, configuration, owner: self)
  }

  private func ended(_ reason: String) {
    client = nil
    if let started, context.now - started >= Self.stable { backoff.reset() }
    started = nil
    guard let owner, owner.linkDidEnd(self, reason) else { return }
    var random = SystemRandomNumberGenerator()
    let pause = backoff.next(using: &random)
    timer = context.schedule(after: pause) { [weak self] in
      guard let self, self.owner != nil else { return }
      self.timer = nil
      self.connect()
    }
  }

  // MARK: RTMPClientOwner

  internal func clientDidStart(_ client: RTMPClientConnection) {
    // A player hears this again when a publisher comes back.
    if started == nil { started = context.now }
    owner?.linkDidStart(self, on: client)
  }

  internal func client(_ client: RTMPClientConnection, didReceive message: RTMPMessage) { owner?.link(self, didReceive: message) }

  internal func clientDidEnd(_ client: RTMPClientConnection, _ reason: String) { ended(reason) }
}
