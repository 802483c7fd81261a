internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// The socket behind one relayed address.
internal final class TURNRelay: UDPSocketHandler {
  internal let id: TURNRelayID
  internal let socket: UDPSocket
  internal let user: String
  private let holder: TURNQuotas.Holder
  internal let rate: TURNUserRate
  private unowned let listener: TURNListener

  /// Of thousands of sockets none should hold much; a burst of a second at 16 Mbit/s fits.
  internal static let buffer = 2 << 20

  internal init(_ id: TURNRelayID, _ port: UDPPort, user: String, _ holder: TURNQuotas.Holder, of listener: TURNListener) {
    self.id = id
    self.user = user
    self.holder = holder
    self.listener = listener
    rate = listener.shared.rates.join(user)
    socket = UDPSocket(port, in: listener.context, largest: UDPSocket.maximumDatagram)
    socket.handler = self
    socket.hearErrors()
    socket.becomeNeighbour()
  }

  internal func close() {
    socket.close()
    listener.shared.quotas.giveBack(for: holder)
    listener.shared.rates.leave(user)
  }

  // MARK: From peers

  internal func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    listener.deliver(UnsafeRawBufferPointer(datagram), from: peer, at: self)
  }

  internal func socket(_ socket: UDPSocket, didHear error: ICMPError, about peer: SocketAddress) {
    listener.relay(id, didHear: error, about: peer)
  }
}
