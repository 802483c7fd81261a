import MartletPrimitives
import MartletSTUN
import Testing

/// TCP allocations (RFC 6062) from the server's side.
@Suite struct TURNConnectionTests {
  private let peer = SocketAddress(ip: .v4(0x0801_0207), port: 7000)

  private func allocated() throws -> ServerHarness {
    let server = ServerHarness()
    server.client = TURNFlow(remote: server.client.remote, path: 70_000, isStream: true)
    #expect(try server.ask(.allocate, [.requestedTransport(6)]).kind == .success)
    return server
  }

  /// Another connection of the same client asks for one of a peer.
  private func bind(_ id: UInt32, _ server: ServerHarness, path: UInt32 = 70_001) throws -> STUNMessage {
    let control = server.client
    defer { server.client = control }
    server.client = TURNFlow(remote: SocketAddress(ip: control.remote.ip, port: 5002), path: path, isStream: true)
    return try server.ask(.connectionBind, [.connectionID(id)])
  }

  // RFC 6062 §5.1.
  @Test func `a TCP allocation is made over a stream, with any port`() throws {
    let server = ServerHarness()
    #expect(try server.ask(.allocate, [.requestedTransport(6)]).errorCode?.code == 400)
    server.client = TURNFlow(remote: server.client.remote, path: 70_000, isStream: true)
    #expect(try server.ask(.allocate, [.requestedTransport(6), .evenPort(reserveNext: false)]).errorCode?.code == 400)
    #expect(try server.ask(.allocate, [.requestedTransport(6), .dontFragment]).errorCode?.code == 400)
    #expect(try server.ask(.allocate, [.requestedTransport(6)]).kind == .success)
    #expect(server.opened.last?.transport == .tcp)
    server.configure { $0.relaysTCP = false }
    server.client = TURNFlow(remote: server.client.remote, path: 70_001, isStream: true)
    #expect(try server.ask(.allocate, [.requestedTransport(6)]).errorCode?.code == 442)
  }

  // RFC 6062 §5.2, §5.4.
  @Test func `a connection is made, told of when it is there, and taken by another connection of the client`() throws {
    let server = try allocated()
    let id = try #require(server.connect(to: peer))
    server.connectionDidOpen(id)
    #expect(server.lastMessage?.connectionID == id)
    #expect(try bind(id, server).kind == .success)
    // Once alone.
    #expect(try bind(id, server, path: 70_002).errorCode?.code == 400)
    server.now = server.now + .seconds(60)
    server.timeout()
    #expect(server.disconnected.isEmpty)
  }

  @Test func `a connection is not made twice, nor to a peer that is denied`() throws {
    let server = try allocated()
    _ = server.connect(to: peer)
    #expect(try server.ask(.connect, [.xorPeerAddress(peer)]).errorCode?.code == 446)
    #expect(try server.ask(.connect, [.xorPeerAddress(SocketAddress(ip: .v4(0x7F00_0001), port: 22))]).errorCode?.code == 403)
    #expect(try server.ask(.connect, []).errorCode?.code == 400)
    let other = ServerHarness()
    _ = try other.allocate()
    #expect(try other.ask(.connect, [.xorPeerAddress(peer)]).errorCode?.code == 400)
  }

  @Test func `a peer that does not answer is a 447, at once or after half a minute`() throws {
    let server = try allocated()
    let refused = try #require(server.connect(to: peer))
    server.connectionDidClose(refused)
    #expect(server.lastMessage?.errorCode?.code == 447)
    let silent = try #require(server.connect(to: peer))
    server.now = server.now + .seconds(30)
    server.timeout()
    #expect(server.lastMessage?.errorCode?.code == 447 && server.disconnected == [silent])
  }

  // RFC 6062 §5.3.
  @Test func `a peer that connects must have a permission, and a client that takes it within half a minute`() throws {
    let server = try allocated()
    #expect(server.peerDidConnect(peer) == nil)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peer)]).kind == .success)
    let id = try #require(server.peerDidConnect(peer))
    let attempt = try #require(server.lastMessage)
    #expect(attempt.method == .connectionAttempt && attempt.connectionID == id && attempt.xorPeerAddress == peer)
    server.now = server.now + .seconds(30)
    server.timeout()
    #expect(server.disconnected == [id])
    #expect(try bind(id, server).errorCode?.code == 400)
  }

  @Test func `a connection is of its user, and ends with the allocation`() throws {
    let server = try allocated()
    let id = try #require(server.connect(to: peer))
    server.connectionDidOpen(id)
    let owner = (server.user, server.password)
    (server.user, server.password) = ("bob", "another secret")
    #expect(try bind(id, server).errorCode?.code == 400)
    (server.user, server.password) = owner
    server.nonce = nil
    #expect(try bind(id, server).kind == .success)
    #expect(try server.ask(.refresh, [.lifetime(0)]).kind == .success)
    #expect(server.disconnected == [id])
  }

  @Test func `what connections carry is their allocation's, up to its end`() throws {
    let server = try allocated()
    let first = try #require(server.connect(to: peer))
    server.connectionDidCarry(first, sent: 100, received: 7)
    server.connectionDidCarry(first, sent: 20, received: 0)
    #expect(server.usage.bytesSent == 120 && server.usage.bytesReceived == 7)
    server.connectionDidClose(first)
    server.connectionDidCarry(first, sent: 1000, received: 1000)
    _ = server.connect(to: peer)
    server.passing = (sent: 3, received: 5)
    server.endFlow()
    #expect(server.usage.bytesSent == 123 && server.usage.bytesReceived == 12)
    #expect(server.carried == [server.usage])
  }

  @Test func `connections of an allocation have a limit`() throws {
    let server = try allocated()
    server.configure { $0.limits.connections = 2 }
    for port in 1...2 as ClosedRange<UInt16> { #expect(server.connect(to: SocketAddress(ip: peer.ip, port: port)) != nil) }
    #expect(try server.ask(.connect, [.xorPeerAddress(peer)]).errorCode?.code == 508)
  }
}
