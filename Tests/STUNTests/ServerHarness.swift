import MartletPrimitives
import MartletSTUN
import Testing

/// A `TURNServer` with a client that asks and a driver that opens what it is told to.
final class ServerHarness {
  static let relayV4 = IPAddress.v4(0xC633_6401)
  static let relayV6 = IPAddress.v6(high: 0x2001_0DB8 << 32, low: 1)

  var server: TURNServer
  var now = Instant.zero + .seconds(100)
  var client = TURNFlow(remote: SocketAddress(ip: .v4(0x0808_0801), port: 5000), path: 0, isStream: false) {
    // A nonce is of an address.
    didSet { nonce = nil }
  }
  // The client.
  var user = "ann"
  var password = "the secret"
  var nonce: String?
  var algorithm: PasswordAlgorithm?
  var hidesName = false
  private var transactions: UInt64 = 0
  private(set) var lastRequest: [UInt8] = []
  /// What it got last.
  var lastBytes: [UInt8] = []
  // The driver.
  var hasV6 = true
  var isQuotaReached = false
  /// Ports that are not free at the first attempts.
  var takenPorts = 0
  private(set) var opened: [TURNRelayRequest] = []
  private(set) var closed: [TURNRelayID] = []
  private(set) var ends: [TURNAllocationEnd] = []
  /// What was carried, as told with the ends.
  private(set) var carried: [TURNUsage] = []
  /// Bytes that pass each connection to a peer unseen, until it is closed.
  var passing = (sent: 0, received: 0)
  private var connecting: UInt32?
  private(set) var disconnected: [UInt32] = []
  private var kept: [UInt64: UInt16] = [:]
  private var relays: [TURNRelayID] = []

  init(seed: UInt64 = 1) {
    server = TURNServer(
      TURNServerConfiguration(),
      credentials: TURNCredentials(realm: "martlet", users: ["ann": "the secret", "bob": "another secret"]), rules: PeerRules(),
      nonces: TURNNonces(key: Array(0..<32)), random: RandomSource(seed: seed))
    server.setTime(unix: 1000, now: now)
  }

  var count: Int { server.allocationCount }
  var usage: TURNUsage { server.usage }

  func configure(_ change: (inout TURNServerConfiguration) -> Void) {
    var configuration = server.configuration
    change(&configuration)
    server.configuration = configuration
  }

  /// Asks from now on with credentials that end, made for a token or for none.
  func useSecret(expires: Int64, user name: String = "ann", grant: TURNGrant? = nil) {
    server.credentials = TURNCredentials(realm: "martlet", secrets: ["a shared secret"])
    guard let minted = server.credentials.mint(for: name, expires: expires, grant: grant) else { return }
    (user, password) = minted
  }

  /// - Returns: how many allocations that closes.
  func revoke(_ change: (inout TURNRevocations) -> Void) -> Int {
    change(&server.revocations)
    defer { settle() }
    return server.closeRevoked()
  }

  // MARK: Asking

  func allocate(_ attributes: [STUNAttribute] = []) throws -> STUNMessage { try ask(.allocate, [.requestedTransport(17)] + attributes) }

  /// With credentials, as soon as a challenge has told the nonce.
  func ask(_ method: STUNMethod, _ attributes: [STUNAttribute], authenticated: Bool = true) throws -> STUNMessage {
    if authenticated, nonce == nil { nonce = try ask(method, [.requestedTransport(17)], authenticated: false).nonce }
    let message = request(method, attributes, authenticated: authenticated)
    let bytes = lastBytes
    let answer = try ReceivedSTUNMessage(parsing: bytes.span.bytes)
    #expect(answer.message.transaction == message.transaction && answer.message.method == method)
    if authenticated, ![401, 438].contains(answer.message.errorCode?.code), let key {
      let isAuthentic = answer.isAuthentic(bytes.span.bytes, key)
      #expect(isAuthentic)
    }
    return answer.message
  }

  /// Sends it, and leaves what comes back in `lastBytes`.
  @discardableResult private func request(_ method: STUNMethod, _ attributes: [STUNAttribute], authenticated: Bool = true) -> STUNMessage {
    transactions += 1
    let message = STUNMessage(.request, method, TransactionID(high: 7, low: transactions), attributes + (authenticated ? credentials : []))
    lastRequest = message.encoded(key: authenticated ? key : nil, integrity: algorithm == nil ? .sha1 : .sha256, fingerprint: false)
    lastBytes = []
    _ = send(lastRequest)
    return message
  }

  private var key: STUNKey? { STUNKey.longTerm(username: user, realm: "martlet", password: password, algorithm ?? .md5) }

  func repeatLast() -> STUNMessage? {
    lastBytes = []
    _ = send(lastRequest)
    let bytes = lastBytes
    return try? ReceivedSTUNMessage(parsing: bytes.span.bytes).message
  }

  private var credentials: [STUNAttribute] {
    let name = hidesName ? STUNAttribute.userhash(Slice(STUNKey.userhash(username: user, realm: "martlet"))) : .username(user)
    let choice = algorithm.map { [STUNAttribute.passwordAlgorithms([.sha256, .md5]), .passwordAlgorithm($0)] } ?? []
    return [name, .realm("martlet"), .nonce(nonce ?? "none")] + choice
  }

  // MARK: Driving

  func send(_ bytes: [UInt8]) -> TURNForward? {
    let forward = server.receive(bytes.span.bytes, from: client, now: now)
    settle()
    return forward
  }

  func timeout() {
    server.timeout(now: now)
    settle()
  }

  func endFlow() {
    server.flowDidEnd(client)
    settle()
  }

  /// What the client gets of a peer's packet.
  func deliver(_ data: [UInt8] = [1], from peer: SocketAddress) -> [UInt8]? {
    guard let id = relays.first, let delivery = server.deliver(data.count, from: peer, at: id, now: now) else { return nil }
    var message = [UInt8](repeating: 0xFF, count: delivery.size(of: data.count))
    data.withUnsafeBytes { data in message.withUnsafeMutableBytes { delivery.write(data, into: $0) } }
    return message
  }

  func hearICMP(_ peer: SocketAddress) {
    guard let id = relays.first else { return }
    server.relayDidHearICMP(id, type: 3, code: 3, data: 0, peer: peer, now: now)
    settle()
  }

  // TCP to peers.

  /// What the driver was told to call a connection to this peer.
  func connect(to peer: SocketAddress) -> UInt32? {
    connecting = nil
    request(.connect, [.xorPeerAddress(peer)])
    return connecting
  }

  func connectionDidOpen(_ id: UInt32) {
    server.connectionDidOpen(id, now: now)
    settle()
  }

  func connectionDidClose(_ id: UInt32) {
    server.connectionDidClose(id, now: now)
    settle()
  }

  func connectionDidCarry(_ id: UInt32, sent: Int, received: Int) { server.connectionDidCarry(id, sent: sent, received: received) }

  func peerDidConnect(_ peer: SocketAddress) -> UInt32? {
    guard let id = relays.first else { return nil }
    let connection = server.peerDidConnect(peer, to: id, now: now)
    settle()
    return connection
  }

  var lastMessage: STUNMessage? {
    let bytes = lastBytes
    return try? ReceivedSTUNMessage(parsing: bytes.span.bytes).message
  }

  private func settle() {
    while let output = server.pollOutput() {
      switch output {
      case .transmit(let bytes, let flow):
        #expect(flow == client)
        lastBytes = bytes
      case .open(let request): open(request)
      case .close(let id):
        closed.append(id)
        relays.removeAll { $0 == id }
      case .connect(let id, _, _): connecting = id
      case .disconnect(let id):
        disconnected.append(id)
        server.connectionDidCarry(id, sent: passing.sent, received: passing.received)
        server.connectionDidClose(id, now: now)
      case .bind(let bind): server.answer(bind, isGranted: server.claimConnection(bind.id, username: bind.username), now: now)
      case .event(.ended(let id, let reason)):
        ends.append(reason)
        if let report = server.report(id) { carried.append(report.usage) }
      case .event: break
      }
    }
  }

  private func open(_ request: TURNRelayRequest) {
    opened.append(request)
    if request.family == .v6, !hasV6 { return server.relayDidFail(request.id, .noAddress, now: now) }
    if isQuotaReached { return server.relayDidFail(request.id, .quota, now: now) }
    if opened.count <= takenPorts { return server.relayDidFail(request.id, .portTaken, now: now) }
    let port: UInt16
    switch request.source {
    case .port(let number): port = number
    case .pair(let number, let token): (port, kept[token]) = (number, number + 1)
    case .reserved(let token):
      guard let number = kept.removeValue(forKey: token) else { return server.relayDidFail(request.id, .unavailable, now: now) }
      port = number
    }
    relays.append(request.id)
    let ip = request.family == .v4 ? Self.relayV4 : Self.relayV6
    server.relayDidOpen(request.id, at: SocketAddress(ip: ip, port: port), now: now)
  }
}

extension STUNMessage {
  var relayedAddresses: [SocketAddress] { attributes.compactMap { if case .xorRelayedAddress(let address) = $0 { address } else { nil } } }
  var connectionID: UInt32? {
    for case .connectionID(let id) in attributes { return id }
    return nil
  }
  var reservationToken: UInt64? {
    for case .reservationToken(let token) in attributes { return token }
    return nil
  }
  var addressError: (AddressFamily, STUNErrorCode)? {
    for case .addressErrorCode(let family, let error) in attributes { return (family, error) }
    return nil
  }
}
