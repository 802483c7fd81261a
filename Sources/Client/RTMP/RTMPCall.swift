package import MartletCrypto
package import MartletIO
package import MartletPrimitives
package import MartletRTMP

/// What the owner of a call hears.
package protocol RTMPCallOwner: AnyObject {
  /// Connected, and the server lets us publish, or plays. A player hears it again when a publisher comes back.
  func callDidStart(_ call: RTMPCall, on client: RTMPClientConnection)
  func call(_ call: RTMPCall, didReceive message: RTMPMessage)
  /// The client's `send` answered false, and may go on.
  func callIsWritable(_ call: RTMPCall, on client: RTMPClientConnection)
  /// The last call, also when there never was a connection.
  func callDidEnd(_ call: RTMPCall, _ error: RTMPClientError)
}

extension RTMPCallOwner {
  package func callIsWritable(_ call: RTMPCall, on client: RTMPClientConnection) {}
}

/// One attempt to publish to a server or to play from it: connects, follows redirects, and lasts as long as the connection.
package final class RTMPCall: RTMPClientOwner {
  package struct Configuration {
    package var purpose: ClientSessionConfiguration.Purpose
    /// Name, TCP and TLS.
    package var connectTimeout = TimeSpan.seconds(10)
    package var stepTimeout = TimeSpan.seconds(10)
    package var redirects = 3
    package var chunkSize = 65_536
    /// Asked for when a target is `rtmps`.
    package var tls: () throws(TLSError) -> TLSContext

    package init(_ purpose: ClientSessionConfiguration.Purpose, tls: @escaping () throws(TLSError) -> TLSContext) {
      self.purpose = purpose
      self.tls = tls
    }
  }

  /// Where the call goes at present: redirects change it.
  package private(set) var target: RTMPTarget
  private let configuration: Configuration
  private let context: LoopContext
  private weak var owner: (any RTMPCallOwner)?
  private var connector: Connector?
  private var client: RTMPClientConnection?
  private var redirectsLeft: Int
  private var redirect: String?

  /// Begins at once; the owner hears nothing before this returns.
  package init(_ target: RTMPTarget, _ configuration: Configuration, in context: LoopContext, owner: any RTMPCallOwner) {
    self.target = target
    self.configuration = configuration
    self.context = context
    self.owner = owner
    redirectsLeft = configuration.redirects
    connect()
  }

  /// Goes in an orderly way, after what has been sent. The owner hears nothing more.
  package func stop() {
    owner = nil
    hangUp()
  }

  /// The same, but the owner hears the end, when everything has gone out.
  internal func finish() {
    if client == nil { end(.closed("closed on this side")) }
    hangUp()
  }

  private func hangUp() {
    exchange(&connector, with: nil)?.cancel()
    client?.finish()
  }

  /// Closes at once; the owner hears of it.
  package func fail(_ error: RTMPClientError) { client?.fail(error) }

  internal func pause(_ paused: Bool) {
    guard let connection = client?.connection, connection.isOpen else { return }
    if paused { connection.pauseReading() } else { connection.resumeReading() }
  }

  private func end(_ error: RTMPClientError) {
    client = nil
    exchange(&owner, with: nil)?.callDidEnd(self, error)
  }

  private func connect() {
    var options = Connector.Options()
    options.timeout = configuration.connectTimeout
    if target.isSecure {
      do throws(TLSError) { options.tls = try configuration.tls() } catch {
        return context.atEndOfTurn { self.end(.unreachable("\(error)")) }
      }
    }
    connector = Connector(to: target.host, port: target.port, options, in: context) { [weak self] result in
      guard let self else { return }
      self.connector = nil
      switch result {
      case .success(let connection): self.begin(connection)
      case .failure(let error): self.end(RTMPClientError(error))
      }
    }
  }

  private func begin(_ connection: TCPConnection) {
    var session = ClientSessionConfiguration(
      app: target.app, tcURL: target.connectURL, streamName: target.streamName, purpose: configuration.purpose)
    session.outgoingChunkSize = configuration.chunkSize
    session.stepTimeout = configuration.stepTimeout
    client = RTMPClientConnection(connection, session, owner: self)
  }

  // MARK: RTMPClientOwner

  package func clientDidStart(_ client: RTMPClientConnection) { owner?.callDidStart(self, on: client) }
  package func client(_ client: RTMPClientConnection, didReceive message: RTMPMessage) { owner?.call(self, didReceive: message) }
  package func clientIsWritable(_ client: RTMPClientConnection) { owner?.callIsWritable(self, on: client) }
  package func client(_ client: RTMPClientConnection, wasRedirectedTo address: String) { redirect = address }

  package func clientDidEnd(_ client: RTMPClientConnection, _ error: RTMPClientError) {
    self.client = nil
    guard let address = exchange(&redirect, with: nil), owner != nil else { return end(error) }
    guard redirectsLeft > 0 else { return end(.redirected("more than \(configuration.redirects) redirects")) }
    guard let other = target.redirected(to: address) else {
      return end(.redirected("the server sends to \"\(address.prefix(200))\", where it cannot be followed"))
    }
    redirectsLeft -= 1
    target = other
    connect()
  }
}
