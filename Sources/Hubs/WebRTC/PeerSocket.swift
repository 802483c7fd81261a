package import MartletICE
package import MartletIO
package import MartletPrimitives
internal import MartletPeerEngine
internal import MartletSTUN

/// The port that all WebRTC sessions of a worker share: a UDP socket, and TCP of the same number where that is wanted. Peers are told
/// apart by their address once it has passed a check, before that by the user name fragment that their check names (RFC 8445 §7.2.2).
package final class PeerSocket: UDPSocketHandler {
  package struct Statistics: Sendable {
    /// Datagrams of nobody that is known.
    package internal(set) var unknown = 0
    /// Datagrams that were another worker's.
    package internal(set) var forwarded = 0
  }

  package let socket: UDPSocket
  package let base: ICEBase
  package private(set) var statistics = Statistics()
  package private(set) var streams: PeerStreams?
  /// Where the workers share one port.
  let neighbours: PeerNeighbours?
  /// Hears what STUN servers answer on this socket.
  package var discovery: ReflexiveDiscovery?
  private let context: LoopContext
  private var byAddress: [SocketAddress: PeerSession] = [:]
  private var byFragment: [String: PeerSession] = [:]
  private var branches: [SocketAddress: UDPBranch] = [:]
  private var touched: [PeerSession] = []

  /// - Parameters:
  ///   - index: what `ICEBase.socket` says; the TCP side has the next number.
  ///   - neighbours: the other workers on the same port.
  package init(
    _ address: SocketAddress, index: UInt32 = 0, neighbours: PeerNeighbours? = nil, in context: LoopContext
  ) throws(SystemError) {
    socket = try UDPSocket(address, in: context, sharesPort: neighbours != nil)
    base = ICEBase(socket: index, address: socket.local)
    self.neighbours = neighbours
    self.context = context
    socket.handler = self
    socket.becomeNeighbour()
    neighbours?.socket = self
  }

  /// Takes TCP connections too, on the same port. To be called before there are sessions.
  package func listenForStreams(
    _ limits: PeerStreams.Limits = PeerStreams.Limits(), census: ConnectionCensus
  ) throws(SystemError) {
    let listener = try TCPListener(socket.local, in: context, census: census, refusal: Slice()) { [unowned self] connection in
      if let streams { streams.accept(connection) } else { connection.close() }
    }
    streams = PeerStreams(listener, index: base.socket + 1, for: self, limits, in: context)
  }

  package var sessions: [PeerSession] { Array(byFragment.values) }
  package var sessionCount: Int { byFragment.count }

  package func close() {
    for session in byFragment.values { session.close() }
    streams?.close()
    socket.flush()
    socket.close()
  }

  // MARK: Sessions

  func add(_ session: PeerSession) { byFragment[session.transport.localCredentials.fragment] = session }

  /// After an ICE restart the old fragment still names the pair in use.
  func add(_ session: PeerSession, fragment: String) { byFragment[fragment] = session }

  func remove(_ session: PeerSession) {
    for fragment in session.fragments { byFragment[fragment] = nil }
    for address in session.addresses { release(address, of: session) }
    streams?.closeAll(of: session)
  }

  func claim(_ address: SocketAddress, for session: PeerSession) -> PeerSession? {
    neighbours?.sendToOthers(.route(address))
    if session.media.incoming.expectsMedia { branch(to: address) }
    return byAddress.updateValue(session, forKey: address)
  }

  func release(_ address: SocketAddress, of session: PeerSession) {
    guard byAddress[address] === session else { return }
    byAddress[address] = nil
    neighbours?.sendToOthers(.unroute(address))
    guard let branch = branches.removeValue(forKey: address) else { return }
    branch.close()
    neighbours?.returnBranch()
  }

  /// What a publisher sends need not take the way through another worker. Where that cannot be, it does.
  private func branch(to address: SocketAddress) {
    guard let neighbours, branches[address] == nil, neighbours.takeBranch() else { return }
    do throws(SystemError) { branches[address] = try socket.branch(to: address) } catch { neighbours.returnBranch() }
  }

  // MARK: Datagrams

  package func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    let bytes = UnsafeRawBufferPointer(datagram).bytes
    if let session = session(of: bytes, from: peer) { return receive(datagram, from: peer, for: session) }
    if let worker = neighbours?.worker(of: bytes, from: peer) {
      statistics.forwarded += 1
      neighbours?.forward(bytes, from: peer, to: worker)
    } else if discovery?.receive(bytes, from: peer) != true {
      statistics.unknown += 1
    }
  }

  /// One that came in at another worker, which took it for one of ours.
  func receiveForwarded(_ datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress) {
    guard let session = session(of: UnsafeRawBufferPointer(datagram).bytes, from: peer) else { return statistics.unknown += 1 }
    receive(datagram, from: peer, for: session)
  }

  private func receive(_ datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, for session: PeerSession) {
    touch(session)
    session.receive(datagram, from: peer, on: base)
  }

  private func session(of datagram: RawSpan, from peer: SocketAddress) -> PeerSession? {
    // A check names whom it is for; who had the address before may be somebody else.
    session(named: datagram) ?? byAddress[peer]
  }

  /// Whom a check is for.
  func session(named datagram: RawSpan) -> PeerSession? {
    guard let first = datagram.byte(at: 0), first < 4, let range = STUN.localFragment(in: datagram) else { return nil }
    return String(validating: datagram.extracting(range)).flatMap { byFragment[$0] }
  }

  package func socketDidReceiveBatch(_ socket: UDPSocket) {
    settleTouched()
    neighbours?.flush()
  }

  func touch(_ session: PeerSession) {
    guard !session.isTouched else { return }
    session.isTouched = true
    touched.append(session)
  }

  func settleTouched() {
    for session in touched {
      session.isTouched = false
      session.settle()
    }
    touched.removeAll(keepingCapacity: true)
  }
}
