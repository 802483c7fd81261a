package import MartletPrimitives

/// A local transport that the driver can send from: what an answer leaves by is what the question came in on. A socket bound
/// to every address is one base for each address that is announced.
package struct ICEBase: Hashable, Sendable {
  /// The driver's number for the socket, the listener or the TURN client behind it.
  package let socket: UInt32
  package let transport: ICETransport
  /// Where it is bound. Of a TCP client the port is not known before it connects, and is 9 (RFC 6544 §4.5).
  package let address: SocketAddress

  package init(socket: UInt32, transport: ICETransport = .udp, address: SocketAddress) {
    self.socket = socket
    self.transport = transport
    self.address = address
  }
}

/// A candidate of ours and the transport behind it.
package struct ICELocalCandidate: Equatable, Sendable {
  package let candidate: ICECandidate
  package let base: ICEBase
  /// Its socket or allocation is gone.
  var isRetired = false

  /// Reflexive candidates are names that others have for a base; pairs are made of the base's own candidate.
  var isSendable: Bool { !isRetired && (candidate.type == .host || candidate.type == .relayed) }
}
