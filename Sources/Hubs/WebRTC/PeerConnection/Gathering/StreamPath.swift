internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives

/// A TCP candidate of one address (RFC 6544): connections to peers that it makes or takes, each datagram behind its length (RFC 4571).
final class StreamPath: DatagramPath {
  let base: ICEBase
  fileprivate unowned let gatherer: CandidateGatherer
  private let listener: TCPListener?
  private var links: [SocketAddress: StreamLink] = [:]
  private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: UDPSocket.maximumSend, alignment: 16)

  /// Connections at a time, most of them of peers that have proven nothing yet.
  private static let maximumLinks = 16
  /// The port of a candidate that nobody can connect to (RFC 6544 §4.5).
  private static let discardPort: UInt16 = 9

  private init(_ base: ICEBase, _ listener: TCPListener?, of gatherer: CandidateGatherer) {
    self.base = base
    self.listener = listener
    self.gatherer = gatherer
  }

  deinit { scratch.deallocate() }

  /// Connects to passive candidates of the peer.
  static func active(_ ip: IPAddress, index: UInt32, of gatherer: CandidateGatherer) -> StreamPath {
    StreamPath(ICEBase(socket: index, transport: .tcp, address: SocketAddress(ip: ip, port: discardPort)), nil, of: gatherer)
  }

  /// Waits for active candidates of the peer.
  static func passive(_ ip: IPAddress, index: UInt32, of gatherer: CandidateGatherer) throws(SystemError) -> StreamPath {
    weak var path: StreamPath?
    let census = ConnectionCensus(limits: ConnectionCensus.Limits(total: maximumLinks))
    let listener = try TCPListener(SocketAddress(ip: ip, port: 0), in: gatherer.context, census: census, refusal: []) { connection in
      path?.take(connection)
    }
    let made = StreamPath(ICEBase(socket: index, transport: .tcp, address: listener.address), listener, of: gatherer)
    path = made
    return made
  }

  func close() {
    listener?.close()
    for link in links.values { link.close() }
    links = [:]
  }

  // MARK: Connections

  func connect(to remote: SocketAddress) {
    guard links[remote] == nil, links.count < Self.maximumLinks, base.address.ip.isLoopback == remote.ip.isLoopback,
      let link = try? StreamLink(connectingTo: remote, on: self)
    else { return lose(remote) }
    links[remote] = link
  }

  private func take(_ connection: TCPConnection) { links[connection.remote] = StreamLink(connection, on: self) }

  fileprivate func didConnect(to remote: SocketAddress) {
    gatherer.session.transport.connected(base, to: remote, now: gatherer.context.now)
    gatherer.session.settle()
  }

  fileprivate func didClose(_ link: StreamLink) {
    guard links[link.remote] === link else { return }
    links[link.remote] = nil
    lose(link.remote)
  }

  private func lose(_ remote: SocketAddress) {
    gatherer.session.transport.unreachable(base, to: remote, now: gatherer.context.now)
    gatherer.session.settleSoon()
  }

  // MARK: DatagramPath

  func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    (1...scratch.count).contains(size) ? UnsafeMutableRawBufferPointer(rebasing: scratch[..<size]) : nil
  }

  func commit(_ size: Int, to peer: SocketAddress) {
    guard size <= scratch.count else { return }
    links[peer]?.send(UnsafeRawBufferPointer(rebasing: scratch[..<size]))
  }
}

/// One connection of a TCP candidate.
final class StreamLink: TCPConnectionHandler {
  let remote: SocketAddress
  private unowned let path: StreamPath
  private var connection: TCPConnection?
  private var reader = ICEStreamReader()
  private let output = FramedOutput(limit: maximumBuffered)
  private var isProven = false
  /// A datagram at a time, which is decrypted where it lies.
  private let inbox = UnsafeMutableRawBufferPointer.allocate(byteCount: 2048, alignment: 16)

  /// What may wait here before datagrams are dropped: late media is worse than lost media.
  private static let maximumBuffered = 128 << 10
  /// How long a peer may take to pass a check.
  private static let patience = TimeSpan.seconds(10)

  init(_ accepted: TCPConnection, on path: StreamPath) {
    remote = accepted.remote
    self.path = path
    connection = accepted
    accepted.handler = self
    accepted.source = output
    accepted.boundKernelOutput()
    accepted.context.schedule(after: Self.patience) { [weak self] in self?.closeUnlessProven() }
  }

  init(connectingTo remote: SocketAddress, on path: StreamPath) throws(SystemError) {
    self.remote = remote
    self.path = path
    connection = try TCPConnection(connectingTo: remote, in: path.gatherer.context, handler: self)
  }

  deinit { inbox.deallocate() }

  func close() {
    connection?.handler = nil
    // The last of what was sent is a goodbye.
    connection?.closeAfterFlush()
    connection = nil
  }

  func send(_ datagram: UnsafeRawBufferPointer) {
    if let connection { _ = output.append(datagram, to: connection) }
  }

  private func closeUnlessProven() { if !isProven { connection?.close() } }

  // MARK: TCPConnectionHandler

  func connectionDidOpen(_ connection: TCPConnection) {
    connection.source = output
    connection.boundKernelOutput()
    path.didConnect(to: remote)
  }

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var offset = 0
    do throws(ICEError) {
      while connection.isOpen, let count = try reader.next(in: bytes, at: &offset, into: inbox) {
        take(UnsafeMutableRawBufferPointer(rebasing: inbox[..<count]), from: connection)
      }
    } catch { connection.close() }
    path.gatherer.session.settle()
  }

  private func take(_ datagram: UnsafeMutableRawBufferPointer, from connection: TCPConnection) {
    let session = path.gatherer.session
    // Nothing but checks before one has been passed (RFC 6544 §6.2).
    guard isProven || datagram.first.map({ $0 < 4 }) == true else { return connection.close() }
    session.receive(datagram, from: remote, on: path.base)
    isProven = isProven || session.transport.isValidated(path.base, remote)
  }

  func connectionDidReachEnd(_ connection: TCPConnection) { connection.close(.peer) }

  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    self.connection = nil
    path.didClose(self)
  }
}
