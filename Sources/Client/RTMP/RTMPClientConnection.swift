internal import MartletContainers
package import MartletIO
internal import MartletPrimitives
package import MartletRTMP

/// What the owner of a client connection hears.
package protocol RTMPClientOwner: AnyObject {
  /// The server lets us publish, or plays.
  func clientDidStart(_ client: RTMPClientConnection)
  func client(_ client: RTMPClientConnection, didReceive message: RTMPMessage)
  /// `send` answered false, and may go on.
  func clientIsWritable(_ client: RTMPClientConnection)
  /// The server names another one; `clientDidEnd` follows.
  func client(_ client: RTMPClientConnection, wasRedirectedTo address: String)
  /// The last call.
  func clientDidEnd(_ client: RTMPClientConnection, _ error: RTMPClientError)
}

/// Our end of a connection to an RTMP server: drives its `ClientSession`.
package final class RTMPClientConnection: TCPConnectionHandler {
  package let connection: TCPConnection
  private var session: ClientSession
  private weak var owner: (any RTMPClientOwner)?
  private var timer: SlabID?
  private var reason: RTMPClientError?

  internal init(_ connection: TCPConnection, _ configuration: ClientSessionConfiguration, owner: any RTMPClientOwner) {
    self.connection = connection
    self.owner = owner
    var random = SystemRandomNumberGenerator()
    session = ClientSession(configuration, now: connection.context.now, random: &random)
    connection.handler = self
    drain()
    watchDeadline()
  }

  private var context: LoopContext { connection.context }

  /// The message stream that the server gave us.
  package var streamID: UInt32 { session.streamID }

  /// Sends a message of what is published.
  /// - Returns: false when the server does not keep up: stop until `clientIsWritable`.
  internal func send(_ tag: FLVTag) -> Bool {
    let type: MessageType =
      switch tag.kind {
      case .video: .video
      case .audio: .audio
      case .script: .data
      }
    session.sendMedia(type, timestamp: tag.timestamp, tag.body)
    return connection.write(session.takeOutput())
  }

  package func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var failure: RTMPError?
    do throws(RTMPError) { try session.receive(bytes, now: context.now) } catch { failure = error }
    drain()
    if let failure { fail(RTMPClientError(failure)) }
  }

  package func connectionIsWritable(_ connection: TCPConnection) { owner?.clientIsWritable(self) }

  package func connectionDidReachEnd(_ connection: TCPConnection) { fail(.closed("the server closed the connection")) }

  package func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    if let timer { context.cancel(timer) }
    exchange(&owner, with: nil)?.clientDidEnd(self, self.reason ?? .closed("\(reason)"))
  }

  /// Tells the server that we go, sends what is queued, and closes.
  internal func finish() {
    if reason == nil { reason = .closed("closed on this side") }
    // A message cut short leaves no place for a farewell.
    guard connection.source?.isMidMessage != true else { return connection.close() }
    connection.source = nil
    session.finish()
    let output = session.takeOutput()
    if !output.isEmpty { connection.write(output) }
    connection.closeAfterFlush()
  }

  /// Closes at once; the owner hears of it.
  internal func fail(_ reason: RTMPClientError) {
    if self.reason == nil { self.reason = reason }
    connection.close()
  }

  private func drain() {
    while connection.isOpen, let event = session.pollEvent() { handle(event) }
    let output = session.takeOutput()
    if !output.isEmpty { connection.write(output) }
  }

  private func handle(_ event: ClientEvent) {
    switch event {
    case .publishing, .playing: owner?.clientDidStart(self)
    case .media(let message): owner?.client(self, didReceive: message)
    case .ended: fail(.streamEnded)
    case .failed(let code, let description): fail(.refused(code: code, description: description))
    case .redirected(let address):
      owner?.client(self, wasRedirectedTo: address)
      fail(.redirected("the server sends to another one"))
    case .connected, .status: break
    }
  }

  private func watchDeadline() {
    guard let deadline = session.deadline else { return }
    timer = context.schedule(at: deadline) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      var failure: RTMPError?
      do throws(RTMPError) { try self.session.timeout(now: self.context.now) } catch { failure = error }
      if let failure { self.fail(RTMPClientError(failure)) } else { self.watchDeadline() }
    }
  }
}
