internal import MartletIO
internal import MartletPrimitives
internal import MartletRTMP

/// What the owner of a client connection hears.
internal protocol RTMPClientOwner: AnyObject {
  /// The server lets us publish, or plays.
  func clientDidStart(_ client: RTMPClientConnection)
  func client(_ client: RTMPClientConnection, didReceive message: RTMPMessage)
  /// The last call.
  func clientDidEnd(_ client: RTMPClientConnection, _ reason: String)
}

/// Our end of a connection to another RTMP server: drives its `ClientSession`, as `RTMPConnection` drives the server's.
internal final class RTMPClientConnection: TCPConnectionHandler {
  internal let connection: TCPConnection
  private var session: ClientSession
  private weak var owner: (any RTMPClientOwner)?
  private var timer: SlabID?
  private var reason: String?

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
  internal var streamID: UInt32 { session.streamID }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var failure: RTMPError?
    do throws(RTMPError) { try session.receive(bytes, now: context.now) } catch { failure = error }
    drain()
    if let failure { fail("\(failure)") }
  }

  internal func connectionDidReachEnd(_ connection: TCPConnection) { fail("the server closed the connection") }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    if let timer { context.cancel(timer) }
    exchange(&owner, with: nil)?.clientDidEnd(self, self.reason ?? "\(reason)")
  }

  /// Tells the server that we go, and closes; the owner hears nothing more.
  internal func finish() {
    owner = nil
    // A message cut short leaves no place for a farewell.
    guard connection.source?.isMidMessage != true else { return connection.close() }
    connection.source = nil
    session.finish()
    let output = session.takeOutput()
    if !output.isEmpty { connection.write(output) }
    connection.closeAfterFlush()
  }

  /// Closes at once; the owner hears of it.
  internal func fail(_ reason: String) {
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
    case .ended: fail("the stream ended")
    case .failed(let code, let description): fail(description.isEmpty ? code : "\(code): \(description)")
    case .connected, .status: break
    }
  }

  private func watchDeadline() {
    guard let deadline = session.deadline else { return }
    timer = context.schedule(at: deadline) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      var failure: RTMPError?
      do throws(RTMPError) { try self.session.timeout(now: self.context.now) } catch { failure = error }
      if let failure { self.fail("\(failure)") } else { self.watchDeadline() }
    }
  }
}
