import MartletPrimitives
import MartletSTUN
import Testing

/// RFC 5780 §6 at the server.
@Suite struct TURNServerDiscoveryTests {
  private let primary = SocketAddress(ip: .v4(0xC633_6401), port: 3478)
  private let alternate = SocketAddress(ip: .v4(0xC633_6402), port: 3479)
  private let client = SocketAddress(ip: .v4(0x0808_0801), port: 5000)

  private func ask(_ attributes: [STUNAttribute], path: UInt32, knows: Bool = true) throws -> (STUNMessage, TURNFlow) {
    var server = TURNServer(
      TURNServerConfiguration(), credentials: TURNCredentials(realm: "r"), rules: PeerRules(), nonces: TURNNonces(key: [1]),
      random: RandomSource(seed: 1))
    if knows { server.discovery = DiscoveryAddresses(primary: primary, alternate: alternate) }
    let request = STUNMessage(.request, .binding, TransactionID(high: 1, low: 2), attributes).encoded()
    _ = server.receive(request.span.bytes, from: TURNFlow(remote: client, path: path, isStream: path > 3), now: .zero)
    while let output = server.pollOutput() {
      guard case .transmit(let bytes, let flow) = output else { continue }
      return (try ReceivedSTUNMessage(parsing: bytes.span.bytes).message, flow)
    }
    throw NoAnswer()
  }

  private struct NoAnswer: Error {}

  @Test func `a Binding is answered over the socket that it asks for`() throws {
    let all = try #require(DiscoveryAddresses(primary: primary, alternate: alternate)).all
    for (path, local) in all.enumerated() {
      let (answer, flow) = try ask([.changeRequest(ip: true, port: true)], path: UInt32(path))
      let from = all[Int(flow.path)]
      #expect(answer.kind == .success && answer.mappedAddress == client && flow.remote == client)
      #expect(from.ip != local.ip && from.port != local.port && answer.attributes.contains(.responseOrigin(from)))
    }
    let (_, elsewhere) = try ask([.responsePort(77)], path: 0)
    #expect(elsewhere.remote == SocketAddress(ip: client.ip, port: 77) && elsewhere.path == 0)
  }

  // §6.1, §7.5.
  @Test func `what cannot be done is refused`() throws {
    #expect(try ask([.responsePort(7), .padding(64)], path: 0).0.errorCode?.code == 400)
    #expect(try ask([.changeRequest(ip: true, port: false)], path: 0, knows: false).0.errorCode?.code == 420)
    #expect(try ask([.changeRequest(ip: true, port: false)], path: 9).0.errorCode?.code == 420, "a stream has no other address")
  }
}
