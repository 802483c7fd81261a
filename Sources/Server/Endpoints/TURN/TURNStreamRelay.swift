internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// A relayed address of TCP (RFC 6062): peers connect to it, and connections to peers come from it.
internal final class TURNStreamRelay {
  internal let address: SocketAddress
  private let port: UDPPort
  private let holder: TURNQuotas.Holder
  private let listener: TCPListener
  private let shared: TURNShared
  /// What all connections of the user share.
  internal let rate: TURNUserRate

  /// - Parameter port: the UDP port of the same number, which no relay of another worker gets meanwhile. The listener shares its port, as
  ///   connections that come from there must, and so would not notice.
  internal init(
    _ id: TURNRelayID, _ port: UDPPort, _ holder: TURNQuotas.Holder, of owner: TURNListener, census: ConnectionCensus
  ) throws(SystemError) {
    self.port = port
    self.holder = holder
    shared = owner.shared
    listener = try TCPListener(port.address, in: owner.context, census: census, refusal: Slice()) { [unowned owner] connection in
      owner.peerDidConnect(connection, to: id)
    }
    address = listener.address
    rate = shared.rates.join(holder.user)
  }

  internal func close() {
    listener.close()
    shared.quotas.giveBack(for: holder)
    shared.rates.leave(holder.user)
  }
}

/// A connection to a peer that no client has taken yet. Nothing is read of it, so that nothing is lost.
internal final class TURNPeerLink: TCPConnectionHandler {
  internal private(set) var connection: TCPConnection?
  internal let rate: TURNUserRate
  private let id: UInt32
  private unowned let listener: TURNListener

  /// One that a peer has made.
  internal init(_ connection: TCPConnection, at relay: TURNStreamRelay, _ id: UInt32, of listener: TURNListener) {
    (self.connection, self.id, self.listener) = (connection, id, listener)
    rate = relay.rate
    connection.handler = self
    connection.pauseReading()
  }

  internal init(
    connectingTo peer: SocketAddress, from relay: TURNStreamRelay, _ id: UInt32, of listener: TURNListener
  ) throws(SystemError) {
    (self.id, self.listener) = (id, listener)
    rate = relay.rate
    connection = nil
    connection = try TCPConnection(connectingTo: peer, from: relay.address, in: listener.context, handler: self)
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    connection.pauseReading()
    listener.linkDidOpen(id)
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { listener.linkDidClose(id) }
}
