internal import Glibc
package import MartletIO
internal import MartletPrimitives

/// Why the server cannot listen, with the setting that would change it.
package struct ListenError: Error, Equatable, Sendable, CustomStringConvertible {
  package let reason: SystemError
  internal let advice: String

  package var description: String { "\(reason)\(advice)" }

  /// The addresses that can be listened on: those wanted, but IPv4 alone where the machine has no IPv6 and every address was
  /// meant.
  /// - Parameter mediaTakesTCP: the port of WebRTC must be free for TCP too.
  internal static func settle(
    _ wanted: ServerConfiguration.Listeners, mediaTakesTCP: Bool
  ) throws(ListenError) -> ServerConfiguration.Listeners {
    ServerConfiguration.Listeners(
      http: try settle(wanted.http, "http"), https: try settle(wanted.https, "https"), rtmp: try settle(wanted.rtmp, "rtmp"),
      rtmps: try settle(wanted.rtmps, "rtmps"), webrtc: try settleMedia(wanted.webrtc, "webrtc", mediaTakesTCP),
      turn: try settleMedia(wanted.turn, "turn", true), turns: try settleMedia(wanted.turns, "turns", true))
  }

  private static func settle(_ address: SocketAddress?, _ name: String) throws(ListenError) -> SocketAddress? {
    guard let address else { return nil }
    do throws(SystemError) {
      try TCPListener.probe(address)
      return address
    } catch {
      if address.ip == .anyV6, error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL {
        return try settle(SocketAddress(ip: .anyV4, port: address.port), name)
      }
      throw ListenError(reason: error, advice: advice(error.code, name, address))
    }
  }

  /// The other workers' ports are tried when they listen.
  private static func settleMedia(_ address: SocketAddress?, _ name: String, _ takesTCP: Bool) throws(ListenError) -> SocketAddress? {
    guard let address else { return nil }
    do throws(SystemError) {
      try UDPSocket.probe(address)
      if takesTCP { try TCPListener.probe(address) }
      return address
    } catch {
      if address.ip == .anyV6, error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL {
        return try settleMedia(SocketAddress(ip: .anyV4, port: address.port), name, takesTCP)
      }
      throw ListenError(reason: error, advice: advice(error.code, name, address))
    }
  }

  private static func advice(_ code: Int32, _ name: String, _ address: SocketAddress) -> String {
    let setting = "listeners.\(name), --\(name), MARTLET_\(name.uppercased())"
    switch code {
    case EADDRINUSE: return ": another program has the port; stop it, or choose another address (\(setting))"
    case EACCES: return ": ports below 1024 need CAP_NET_BIND_SERVICE; grant it, or choose another port (\(setting))"
    case EADDRNOTAVAIL: return ": the address is none of this machine's (\(setting))"
    default: return " (\(setting))"
    }
  }
}
