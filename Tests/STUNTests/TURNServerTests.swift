import MartletPrimitives
import MartletSTUN
import Testing

/// RFC 8656 and RFC 8489 from the server's side.
@Suite struct TURNServerTests {
  private let peer = SocketAddress(ip: .v4(0x0801_0207), port: 7000)

  // RFC 8489 §6.3.1, §7.
  @Test func `a Binding is answered with where it came from, in no more bytes than need be`() throws {
    let server = ServerHarness()
    let answer = try server.ask(.binding, [], authenticated: false)
    #expect(answer.kind == .success && answer.mappedAddress == server.client.remote)
    #expect(server.lastBytes.count == 32)
    server.configure { $0.isRelaying = false }
    #expect(try server.ask(.binding, [], authenticated: false).kind == .success)
  }

  // RFC 8489 §6.3.1.
  @Test func `what a request requires and nobody knows is named in a 420`() throws {
    let server = ServerHarness()
    let unknown = STUNAttribute.unknown(type: 0x7FFF, [1])
    let binding = try server.ask(.binding, [unknown], authenticated: false)
    #expect(binding.errorCode?.code == 420 && binding.attributes.contains(.unknownAttributes([0x7FFF])))
    let allocate = try server.ask(.allocate, [.requestedTransport(17), unknown])
    #expect(allocate.errorCode?.code == 420)
    // Without two addresses nothing can be sent from another one (RFC 5780 §7.2).
    #expect(try server.ask(.binding, [.changeRequest(ip: true, port: false)], authenticated: false).errorCode?.code == 420)
  }

  // RFC 3489 §11.1: before the magic cookie. Off by default, since anything could look like it.
  @Test func `a Binding without the magic cookie is answered when that is wanted`() throws {
    let server = ServerHarness()
    let request: [UInt8] = [0, 1, 0, 0] + Array(1...16)
    #expect(server.send(request) == nil && server.lastBytes.isEmpty)
    server.configure { $0.answersClassic = true }
    #expect(server.send(request) == nil)
    #expect(server.lastBytes.prefix(4) == [1, 1, 0, 12] && Array(server.lastBytes[4..<20]) == Array(1...16))
    #expect(Array(server.lastBytes[20...]) == [0, 1, 0, 8, 0, 1, 0x13, 0x88, 8, 8, 8, 1])
  }

  // MARK: Credentials (RFC 8489 §9.2.4)

  @Test func `a request without credentials is challenged with realm, nonce and algorithms`() throws {
    let server = ServerHarness()
    let answer = try server.ask(.allocate, [.requestedTransport(17)], authenticated: false)
    #expect(answer.errorCode?.code == 401 && answer.realm == "martlet")
    #expect(answer.passwordAlgorithms == [.sha256, .md5])
    #expect(answer.nonce?.hasPrefix("obMatJos2") == true)
  }

  @Test(arguments: [PasswordAlgorithm.md5, .sha256]) func `both password algorithms let a user in`(_ algorithm: PasswordAlgorithm) throws {
    let server = ServerHarness()
    server.algorithm = algorithm
    #expect(try server.allocate().kind == .success)
  }

  @Test func `a user may be named by hash`() throws {
    let server = ServerHarness()
    server.hidesName = true
    #expect(try server.allocate().kind == .success)
  }

  @Test func `a wrong password and an unknown user get the same 401, a stale nonce 438`() throws {
    let server = ServerHarness()
    server.password = "wrong"
    let wrong = try server.allocate()
    server.user = "nobody"
    let unknown = try server.allocate()
    #expect(wrong.errorCode?.code == 401 && unknown.errorCode?.code == 401 && wrong.attributes.count == unknown.attributes.count)
    let other = ServerHarness()
    #expect(try other.allocate().kind == .success)
    other.now = other.now + .seconds(601)
    let stale = try other.ask(.refresh, [])
    #expect(stale.errorCode?.code == 438 && stale.nonce != nil)
  }

  @Test func `a nonce of another client's address is no good`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    let nonce = server.nonce
    server.client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0802), port: 5000), path: 0, isStream: false)
    server.nonce = nonce
    #expect(try server.ask(.allocate, [.requestedTransport(17)]).errorCode?.code == 438)
  }

  @Test func `an allocation is changed by its user alone`() throws {
    let server = ServerHarness()
    #expect(try server.allocate().kind == .success)
    (server.user, server.password) = ("bob", "another secret")
    #expect(try server.ask(.refresh, []).errorCode?.code == 441)
  }

  @Test func `without users nothing is relayed, and 403 says so`() throws {
    let server = ServerHarness()
    server.configure { $0.isRelaying = false }
    #expect(try server.ask(.allocate, [.requestedTransport(17)], authenticated: false).errorCode?.code == 403)
  }

  // MARK: Allocate (RFC 8656 §7.2)

  @Test func `an allocation has a relayed address, a lifetime, and where the client is seen`() throws {
    let server = ServerHarness()
    let answer = try server.allocate()
    #expect(answer.kind == .success && answer.lifetime == 600 && answer.mappedAddress == server.client.remote)
    #expect(answer.xorRelayedAddress?.ip == ServerHarness.relayV4)
    #expect((49_152...65_535).contains(try #require(answer.xorRelayedAddress?.port)))
  }

  @Test func `an Allocate that comes again is answered alike, another is a mismatch`() throws {
    let server = ServerHarness()
    let first = try server.allocate()
    let again = try #require(server.repeatLast())
    #expect(again.xorRelayedAddress == first.xorRelayedAddress && server.opened.count == 1)
    #expect(try server.ask(.allocate, [.requestedTransport(17)]).errorCode?.code == 437)
  }

  @Test func `lifetimes stay between the default and the longest`() throws {
    for (asked, given) in [(0 as UInt32, 600 as UInt32), (60, 600), (1200, 1200), (100_000, 3600)] {
      let server = ServerHarness()
      #expect(try server.allocate([.lifetime(asked)]).lifetime == given)
    }
  }

  @Test(
    arguments: [
      ([], 400), ([.requestedTransport(99)], 442), ([.requestedTransport(6)], 400),
      ([.requestedTransport(17), .reservationToken(1), .evenPort(reserveNext: false)], 400),
      ([.requestedTransport(17), .reservationToken(1), .requestedAddressFamily(.v4)], 400),
      ([.requestedTransport(17), .requestedAddressFamily(.v4), .additionalAddressFamily(.v6)], 400),
      ([.requestedTransport(17), .additionalAddressFamily(.v4)], 400),
      ([.requestedTransport(17), .additionalAddressFamily(.v6), .evenPort(reserveNext: true)], 400),
      ([.requestedTransport(17), .reservationToken(7)], 508),
    ] as [([STUNAttribute], Int)])
  func `what cannot be is refused`(_ attributes: [STUNAttribute], _ code: Int) throws {
    let server = ServerHarness()
    #expect(try server.ask(.allocate, attributes).errorCode?.code == code)
    #expect(server.count == 0)
  }

  @Test func `an even port is even, and the next one is kept for the token`() throws {
    let server = ServerHarness()
    let even = try server.allocate([.evenPort(reserveNext: false)])
    #expect(try #require(even.xorRelayedAddress?.port) % 2 == 0 && even.reservationToken == nil)
    let other = ServerHarness()
    let pair = try other.allocate([.evenPort(reserveNext: true)])
    let port = try #require(pair.xorRelayedAddress?.port)
    let token = try #require(pair.reservationToken)
    other.client = TURNFlow(remote: SocketAddress(ip: other.client.remote.ip, port: 5001), path: 0, isStream: false)
    let second = try other.allocate([.reservationToken(token)])
    #expect(port % 2 == 0 && second.xorRelayedAddress?.port == port + 1)
  }

  @Test func `IPv6 is had when asked for, both families in one allocation, and one if the other cannot be`() throws {
    let six = ServerHarness()
    #expect(try six.allocate([.requestedAddressFamily(.v6)]).xorRelayedAddress?.ip == ServerHarness.relayV6)
    let both = ServerHarness()
    let answer = try both.allocate([.additionalAddressFamily(.v6)])
    #expect(answer.relayedAddresses.map(\.ip) == [ServerHarness.relayV4, ServerHarness.relayV6])
    let four = ServerHarness()
    four.hasV6 = false
    #expect(try four.allocate([.additionalAddressFamily(.v6)]).addressError?.0 == .v6)
    let none = ServerHarness()
    none.hasV6 = false
    #expect(try none.allocate([.requestedAddressFamily(.v6)]).errorCode?.code == 440)
    #expect(none.count == 0)
  }

  @Test func `ports that are taken are passed over, up to a limit`() throws {
    let server = ServerHarness()
    server.takenPorts = 20
    #expect(try server.allocate().kind == .success)
    let full = ServerHarness()
    full.takenPorts = .max
    #expect(try full.allocate().errorCode?.code == 508)
    #expect(full.opened.count == TURNServerConfiguration.Limits().portAttempts && full.count == 0)
  }

  @Test func `a quota is answered with 486`() throws {
    let server = ServerHarness()
    server.isQuotaReached = true
    #expect(try server.allocate().errorCode?.code == 486)
  }

  // MARK: Refresh (RFC 8656 §8)

  @Test func `a refresh keeps an allocation, zero ends it, and time does`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    server.now = server.now + .seconds(500)
    #expect(try server.ask(.refresh, [.lifetime(1200)]).lifetime == 1200)
    server.now = server.now + .seconds(1199)
    server.timeout()
    #expect(server.count == 1)
    server.now = server.now + .seconds(1)
    server.timeout()
    #expect(server.count == 0 && server.closed.count == 1 && server.ends == [.expired])
    server.nonce = nil
    _ = try server.allocate()
    #expect(try server.ask(.refresh, [.lifetime(0)]).lifetime == 0)
    #expect(server.count == 0 && server.ends == [.expired, .released])
    #expect(try server.ask(.refresh, [.lifetime(0)]).errorCode?.code == 437)
  }

  @Test func `one family of two can be given back, and one that is not there is a mismatch`() throws {
    let server = ServerHarness()
    _ = try server.allocate([.additionalAddressFamily(.v6)])
    #expect(try server.ask(.refresh, [.lifetime(0), .requestedAddressFamily(.v4)]).kind == .success)
    #expect(server.count == 1 && server.closed.count == 1)
    #expect(try server.ask(.refresh, [.requestedAddressFamily(.v4)]).errorCode?.code == 443)
    server.now = server.now + .seconds(700)
    server.timeout()
    #expect(server.count == 0 && server.closed.count == 2)
  }

  @Test func `the end of a connection ends its allocation`() throws {
    let server = ServerHarness()
    server.client = TURNFlow(remote: server.client.remote, path: 70_000, isStream: true)
    _ = try server.allocate()
    server.endFlow()
    #expect(server.count == 0 && server.ends == [.disconnected])
  }

  @Test func `ends that come together are all told with what was carried`() throws {
    let server = ServerHarness()
    for port in 1...3 as ClosedRange<UInt16> {
      server.client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0801), port: port), path: 0, isStream: false)
      _ = try server.allocate()
    }
    server.now = server.now + .seconds(601)
    server.timeout()
    #expect(server.count == 0 && server.ends == [.expired, .expired, .expired] && server.carried.count == 3)
  }

  // Credentials that `POST /api/v1/turn` has made for tokens.
  @Test func `a token that is revoked takes the allocations and the credentials that were made for it, and no others`() throws {
    let server = ServerHarness()
    func allocate(_ port: UInt16, _ grant: TURNGrant?, user: String = "ann") throws -> Int? {
      server.useSecret(expires: 5000, user: user, grant: grant)
      server.client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0801), port: port), path: 0, isStream: false)
      return try server.allocate().errorCode?.code
    }
    let (first, second) = (TURNGrant(token: "first", made: 900), TURNGrant(token: "second", made: 950))
    for (index, grant) in [first, second, nil].enumerated() { #expect(try allocate(UInt16(index + 1), grant) == nil) }
    #expect(try allocate(4, first, user: "bob") == nil)
    #expect(server.revoke { $0.revoke(token: "first") } == 2 && server.count == 2 && server.ends == [.closed, .closed])
    #expect(try allocate(5, first) == 401)
    // Of a user, what was made until then.
    #expect(server.revoke { $0.revoke(user: "ann", at: 950) } == 1 && server.count == 1)
    #expect(try allocate(6, second) == 401)
    #expect(try allocate(7, TURNGrant(token: "second", made: 951)) == nil)
    #expect(try allocate(8, nil) == nil, "a name that was made elsewhere is not ours to revoke")
  }

  @Test func `an account that ends takes its allocation with it`() throws {
    let server = ServerHarness()
    server.useSecret(expires: 1000 + 300)
    #expect(try server.allocate([.lifetime(3600)]).lifetime == 300)
    server.now = server.now + .seconds(200)
    #expect(try server.ask(.refresh, [.lifetime(3600)]).lifetime == 100)
    server.now = server.now + .seconds(100)
    #expect(try server.ask(.refresh, []).errorCode?.code == 401)
  }

  // MARK: Permissions and channels (RFC 8656 §9, §12)

  @Test func `a permission lets one address in for five minutes, whatever its port`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    #expect(server.deliver(from: peer) == nil)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peer)]).kind == .success)
    let data = try #require(server.deliver([1, 2, 3], from: SocketAddress(ip: peer.ip, port: 9)))
    let message = try ReceivedSTUNMessage(parsing: data.span.bytes).message
    #expect(message.method == .data && message.data == [1, 2, 3] && message.xorPeerAddress?.port == 9)
    #expect(server.deliver(from: SocketAddress(ip: .v4(0x0801_0208), port: 7000)) == nil)
    server.now = server.now + .seconds(300)
    #expect(server.deliver(from: peer) == nil)
  }

  @Test func `permissions are given all or none`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    let denied = SocketAddress(ip: .v4(0x0A00_0001), port: 1)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peer), .xorPeerAddress(denied)]).errorCode?.code == 403)
    #expect(server.deliver(from: peer) == nil)
    #expect(try server.ask(.createPermission, []).errorCode?.code == 400)
    let six = SocketAddress(ip: .v6(high: 0x2600 << 48, low: 1), port: 1)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(six)]).errorCode?.code == 443)
    let others = (1...3).map { STUNAttribute.xorPeerAddress(SocketAddress(ip: .v4(0x0801_0300 + $0), port: 1)) }
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peer)] + others).kind == .success)
    #expect(server.deliver(from: peer) != nil)
  }

  @Test func `permissions and channels have limits, and what has expired makes room`() throws {
    let server = ServerHarness()
    server.configure { ($0.limits.permissions, $0.limits.channels) = (2, 1) }
    _ = try server.allocate()
    let peers = (1...4).map { SocketAddress(ip: .v4(0x0801_0300 + $0), port: 1) }
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peers[0]), .xorPeerAddress(peers[1])]).kind == .success)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peers[2])]).errorCode?.code == 508)
    #expect(try server.ask(.channelBind, [.channelNumber(0x4000), .xorPeerAddress(peers[0])]).kind == .success)
    #expect(try server.ask(.channelBind, [.channelNumber(0x4001), .xorPeerAddress(peers[1])]).errorCode?.code == 508)
    server.now = server.now + .seconds(301)
    #expect(try server.ask(.createPermission, [.xorPeerAddress(peers[2]), .xorPeerAddress(peers[3])]).kind == .success)
  }

  @Test(arguments: [(0x3FFF as UInt16, 400), (0x4000, 0), (0x4FFF, 0), (0x5000, 400), (0x7FFF, 400)])
  func `channels are those of RFC 8656`(_ number: UInt16, _ code: Int) throws {
    let server = ServerHarness()
    _ = try server.allocate()
    #expect(try server.ask(.channelBind, [.channelNumber(number), .xorPeerAddress(peer)]).errorCode?.code ?? 0 == code)
  }

  @Test func `a channel and a peer are bound to each other alone`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    let other = SocketAddress(ip: peer.ip, port: 7001)
    func bind(_ number: UInt16, _ peer: SocketAddress) throws -> Int {
      try server.ask(.channelBind, [.channelNumber(number), .xorPeerAddress(peer)]).errorCode?.code ?? 0
    }
    #expect(try bind(0x4000, peer) == 0)
    #expect(try bind(0x4000, peer) == 0)
    #expect(try bind(0x4000, other) == 400)
    #expect(try bind(0x4001, peer) == 400)
    #expect(try bind(0x4001, other) == 0)
    #expect(try server.ask(.channelBind, [.channelNumber(0x4002)]).errorCode?.code == 400)
    #expect(try bind(0x4002, SocketAddress(ip: .v4(0x7F00_0001), port: 80)) == 403)
  }

  @Test func `a channel carries data both ways for ten minutes`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    #expect(try server.ask(.channelBind, [.channelNumber(0x4001), .xorPeerAddress(peer)]).kind == .success)
    #expect(server.send([0x40, 1, 0, 3, 7, 8, 9, 0]).map { ($0.peer, $0.data) } ?? (peer, 0..<0) == (peer, 4..<7))
    #expect(server.deliver([5, 6], from: peer) == [0x40, 1, 0, 2, 5, 6])
    // The permission that came with it ends sooner.
    server.now = server.now + .seconds(301)
    #expect(server.deliver([5, 6], from: peer) == nil && server.send([0x40, 1, 0, 1, 7]) != nil)
    server.now = server.now + .seconds(300)
    #expect(server.send([0x40, 1, 0, 1, 7]) == nil)
  }

  // RFC 8656 §12.5.
  @Test func `on a stream ChannelData is padded`() throws {
    let server = ServerHarness()
    server.client = TURNFlow(remote: server.client.remote, path: 70_000, isStream: true)
    _ = try server.allocate()
    #expect(try server.ask(.channelBind, [.channelNumber(0x4001), .xorPeerAddress(peer)]).kind == .success)
    #expect(server.deliver([5, 6], from: peer) == [0x40, 1, 0, 2, 5, 6, 0, 0])
  }

  // RFC 8656 §11.1, §11.2.
  @Test func `a Send indication goes to a permitted peer only`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    func indication(_ attributes: [STUNAttribute]) -> [UInt8] {
      STUNMessage(.indication, .send, TransactionID(high: 1, low: 2), attributes).encoded(fingerprint: false)
    }
    #expect(server.send(indication([.xorPeerAddress(peer), .data([1])])) == nil)
    _ = try server.ask(.createPermission, [.xorPeerAddress(peer)])
    let sent = try #require(server.send(indication([.xorPeerAddress(peer), .dontFragment, .data([1, 2])])))
    #expect(sent.peer == peer && sent.data.count == 2 && sent.dontFragment)
    #expect(server.send(indication([.xorPeerAddress(peer)])) == nil)
    #expect(server.send(indication([.data([1])])) == nil)
    #expect(server.send(indication([.xorPeerAddress(peer), .data([1]), .unknown(type: 0x7FFF, [])])) == nil)
  }

  // RFC 8656 §11.5.
  @Test func `ICMP errors about permitted peers reach the client`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    _ = try server.ask(.createPermission, [.xorPeerAddress(peer)])
    server.hearICMP(peer)
    let bytes = server.lastBytes
    let message = try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
    #expect(message.method == .data && message.xorPeerAddress == peer && message.attributes.contains(.icmp(type: 3, code: 3, data: 0)))
  }

  // MARK: Limits

  @Test func `an allocation that sends more than it may loses packets`() throws {
    let server = ServerHarness()
    server.configure { $0.limits.bandwidth = 1000 }
    _ = try server.allocate()
    _ = try server.ask(.channelBind, [.channelNumber(0x4001), .xorPeerAddress(peer)])
    let packet = [0x40, 1, 0, 100] + [UInt8](repeating: 1, count: 100)
    #expect((0..<20).filter { _ in server.send(packet) != nil }.count == 10)
    server.now = server.now + .milliseconds(500)
    #expect((0..<20).filter { _ in server.send(packet) != nil }.count == 5)
    #expect(server.usage.packetsSent == 15 && server.usage.dropped == 25)
  }

  @Test func `an address that may be forged gets few refusals, none of them much larger than the request`() throws {
    let server = ServerHarness()
    let allocate = STUNMessage(.request, .allocate, TransactionID(high: 1, low: 1), [.requestedTransport(17)]).encoded(fingerprint: false)
    var answers = 0
    for _ in 0..<1000 {
      server.lastBytes = []
      _ = server.send(allocate)
      guard !server.lastBytes.isEmpty else { continue }
      answers += 1
      #expect(server.lastBytes.count + 28 <= 3 * (allocate.count + 28))
    }
    #expect(answers == TURNServerConfiguration.Limits().refusalBurst)
    // Somebody else is not touched, and neither are Bindings and who has the password.
    server.client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0809), port: 5), path: 0, isStream: false)
    #expect(try server.allocate().kind == .success)
  }

  @Test func `a realm that would make refusals too large is not answered with`() {
    let server = ServerHarness()
    server.configure { $0.realm = String(repeating: "r", count: 200) }
    _ = server.send(STUNMessage(.request, .refresh, TransactionID(high: 1, low: 1)).encoded(fingerprint: false))
    #expect(server.lastBytes.isEmpty)
  }

  @Test func `a server that stops makes no allocations and keeps those it has`() throws {
    let server = ServerHarness()
    _ = try server.allocate()
    server.configure { $0.takesAllocations = false }
    #expect(try server.ask(.refresh, []).kind == .success)
    server.client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0809), port: 5), path: 0, isStream: false)
    #expect(try server.allocate().errorCode?.code == 508)
  }
}
