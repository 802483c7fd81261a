package import MartletCrypto
package import MartletIO
package import MartletPrimitives
internal import MartletSTUN
internal import MartletWebRTC

// Ways to the server beside its UDP and TCP port.
extension TURNListener {
  /// DTLS, on the UDP port with the number of the TLS listener.
  package func listenWithDTLS(on address: SocketAddress, tls: @escaping () -> TLSContext) throws(SystemError) {
    do throws(TURNAssociationError) { associations = try TURNAssociations(on: address, tls: tls, of: self) } catch {
      switch error {
      case .system(let error): throw error
      case .tls(let error): context.log(.error, "turn", "no DTLS: \(error)")
      }
    }
  }

  /// The further sockets of behaviour discovery (RFC 5780 §6), once the first has an address.
  internal func listenForDiscovery(beside primary: SocketAddress) throws(SystemError) {
    guard let alternate = configuration.alternate, let addresses = DiscoveryAddresses(primary: primary, alternate: alternate) else {
      return
    }
    for address in addresses.all.dropFirst() {
      let socket = try UDPSocket(address, in: context, sharesPort: true, largest: UDPSocket.maximumDatagram)
      socket.handler = self
      discoverySockets.append(socket)
    }
    server.discovery = addresses
  }

  /// The path of a flow over UDP is the place of its socket's address among those of discovery.
  internal func path(of socket: UDPSocket) -> UInt32 {
    guard !discoverySockets.isEmpty, let index = discoverySockets.firstIndex(where: { $0 === socket }) else { return Self.datagramPath }
    return UInt32(index + 1)
  }

  /// Takes over a connection that has turned out to speak STUN, on a port that it shares with another protocol.
  /// - Parameter bytes: what has been read of it.
  package func accept(_ connection: TCPConnection, having bytes: RawSpan) {
    accept(connection)
    connection.handler?.connection(connection, didReceive: bytes)
  }
}
