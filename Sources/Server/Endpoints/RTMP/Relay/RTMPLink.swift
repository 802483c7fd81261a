internal import MartletClient
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
internal final class RTMPLink: RTMPCallOwner {
  internal let target: RTMPTarget
  private let relay: RTMPRelay
  private let context: LoopContext
  private var call: RTMPCall?
  private let configuration: RTMPCall.Configuration
  private weak var owner: (any RTMPLinkOwner)?
  private var backoff: Backoff
  private var timer: SlabID?
  private var started: Instant?
  /// A connection that held for this long makes the next pause short again.
  private static let stable = TimeSpan.seconds(10)

  internal init(
    _ target: RTMPTarget, _ purpose: ClientSessionConfiguration.Purpose, _ relay: RTMPRelay, owner: any RTMPLinkOwner
  ) {
    self.target = target
    self.relay = relay
    self.owner = owner
    context = relay.admission.context
    backoff = relay.configuration.backoff
    var configuration = RTMPCall.Configuration(purpose) { [unowned relay] () throws(TLSError) in try relay.tlsContext() }
    configuration.connectTimeout = relay.configuration.connectTimeout
    // The chunk size of the shared wire images.
    configuration.chunkSize = RTMPFormat.chunkSize
    self.configuration = configuration
  }

  /// Connects unless it is connected, connecting or waiting to connect.
  internal func start() {
    guard call == nil, timer == nil else { return }
    connect()
  }

  /// Goes in an orderly way. The owner hears nothing more.
  internal func stop() {
    owner = nil
    if let timer { context.cancel(timer) }
    timer = nil
    exchange(&call, with: nil)?.stop()
  }

  /// Gives the connection up and tries again.
  internal func fail(_ reason: String) { call?.fail(.closed(reason)) }

  private func connect() { call = RTMPCall(target, configuration, in: context, owner: self) }

  // MARK: RTMPCallOwner

  internal func callDidStart(_ call: RTMPCall, on client: RTMPClientConnection) {
    // A player hears this again when a publisher comes back.
    if started == nil { started = context.now }
    owner?.linkDidStart(self, on: client)
  }

  internal func call(_ call: RTMPCall, didReceive message: RTMPMessage) { owner?.link(self, didReceive: message) }

  internal func callDidEnd(_ call: RTMPCall, _ error: RTMPClientError) {
    self.call = nil
    if let started, context.now - started >= Self.stable { backoff.reset() }
    started = nil
    guard let owner, owner.linkDidEnd(self, "\(error)") else { return }
    var random = SystemRandomNumberGenerator()
    let pause = backoff.next(using: &random)
    timer = context.schedule(after: pause) { [weak self] in
      guard let self, self.owner != nil else { return }
      self.timer = nil
      self.connect()
    }
  }
}
