internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// A relayed address of TCP (RFC 6062): peers connect to it, and connections to peers come from it.
internal final class TURNStreamRelay {
  internal let address: SocketAddress
  private let port: UDPPort
  private let holder: TURNQuotas.Holder
  private let listener: TCPListener
  private let quotas: TURNQuotas

  /// - Parameter port: the UDP port of the same number, which no relay of another worker gets meanwhile. The listener shares its port, as
  ///   connections that come from there must, and so would not notice.
  internal init(
    _ id: TURNRelayID, _ port: UDPPort, _ holder: TURNQuotas.Holder, of owner: TURNListener, census: ConnectionCensus
  ) throws(SystemError) {
    self.port = port
    self.holder = holder
    quotas = owner.shared.quotas
    listener = try TCPListener(port.address, in: owner.context, census: census, refusal: Slice()) { [unowned owner] connection in
      owner.peerDidConnect(connection, to: id)
    }
    address = listener.address
  }

  internal func close() {
    listener.close()
    quotas.giveBack(for: holder)
  }
}

/// A connection to a peer that no client has taken yet. Nothing is read of it, so that nothing is lost.
internal final class TURNPeerLink: TCPConnectionHandler {
  internal private(set) var connection: TCPConnection?
  private let id: UInt32
  private unowned let listener: TURNListener

  /// One that a peer has made.
  internal init(_ connection: TCPConnection, _ id: UInt32, of listener: TURNListener) {
    (self.connection, self.id, self.listener) = (connection, id, listener)
    connection.handler = self
    connection.pauseReading()
  }

  internal init(
    connectingTo peer: SocketAddress, from local: SocketAddress, _ id: UInt32, of listener: TURNListener
  ) throws(SystemError) {
    (self.id, self.listener) = (id, listener)
    connection = nil
    connection = try TCPConnection(connectingTo: peer, from: local, in: listener.context, handler: self)
  }

  internal func connectionDidOpen(_ connection: TCPConnection) {
    connection.pauseReading()
    listener.linkDidOpen(id)
  }

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { listener.linkDidClose(id) }
}
