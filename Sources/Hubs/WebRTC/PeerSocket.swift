package import MartletICE
package import MartletIO
package import MartletPrimitives
internal import MartletPeerEngine
internal import MartletSTUN

/// The UDP socket that all WebRTC sessions of a worker share. Peers are told apart by their address once it has passed a check,
/// before that by the user name fragment that their check names (RFC 8445 §7.2.2).
package final class PeerSocket: UDPSocketHandler {
  package struct Statistics: Sendable {
    /// Datagrams of nobody that is known.
    package internal(set) var unknown = 0
  }

  package let socket: UDPSocket
  package let base: ICEBase
  package private(set) var statistics = Statistics()
  private var byAddress: [SocketAddress: PeerSession] = [:]
  private var byFragment: [String: PeerSession] = [:]
  private var touched: [PeerSession] = []

  /// - Parameter index: what `ICEBase.socket` says.
  package init(_ address: SocketAddress, index: UInt32 = 0, in context: LoopContext) throws(SystemError) {
    socket = try UDPSocket(address, in: context)
    base = ICEBase(socket: index, address: socket.local)
    socket.handler = self
  }

  package var sessions: [PeerSession] { Array(byFragment.values) }
  package var sessionCount: Int { byFragment.count }

  package func close() {
    for session in byFragment.values { session.close() }
    socket.flush()
    socket.close()
  }

  // MARK: Sessions

  func add(_ session: PeerSession) { byFragment[session.transport.localCredentials.fragment] = session }

  /// After an ICE restart the old fragment still names the pair in use.
  func add(_ session: PeerSession, fragment: String) { byFragment[fragment] = session }

  func remove(_ session: PeerSession) {
    for fragment in session.fragments { byFragment[fragment] = nil }
    for address in session.addresses where byAddress[address] === session { byAddress[address] = nil }
  }

  func claim(_ address: SocketAddress, for session: PeerSession) -> PeerSession? {
    byAddress.updateValue(session, forKey: address)
  }

  func release(_ address: SocketAddress, of session: PeerSession) {
    if byAddress[address] === session { byAddress[address] = nil }
  }

  // MARK: Datagrams

  package func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    guard let session = session(of: UnsafeRawBufferPointer(datagram).bytes, from: peer) else { return statistics.unknown += 1 }
    if !session.isTouched {
      session.isTouched = true
      touched.append(session)
    }
    session.receive(datagram, from: peer, on: base)
  }

  private func session(of datagram: RawSpan, from peer: SocketAddress) -> PeerSession? {
    // A check names whom it is for; who had the address before may be somebody else.
    if let first = datagram.byte(at: 0), first < 4, let range = STUN.localFragment(in: datagram),
      let fragment = String(validating: datagram.extracting(range)), let session = byFragment[fragment]
    {
      return session
    }
    return byAddress[peer]
  }

  package func socketDidReceiveBatch(_ socket: UDPSocket) {
    for session in touched {
      session.isTouched = false
      session.settle()
    }
    touched.removeAll(keepingCapacity: true)
  }
}
