internal import MartletICE
internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletSTUN

/// Gathers the candidates of one connection (RFC 8445 §5.1.1) and keeps the sockets, connections and allocations behind them. What it
/// finds goes to the transport and, to be signalled, to the owner.
final class CandidateGatherer {
  let context: LoopContext
  let session: PeerSession
  private unowned let owner: PeerConnectionCore
  private let configuration: PeerConnection.Configuration
  private let servers: ICEServers
  private var random = RandomSource.system
  private var sockets: [HostSocket] = []
  private var streams: [StreamPath] = []
  private var relays: [Relay] = []
  /// Of `ICEBase`.
  private var nextIndex: UInt32 = 0
  private var resolutions = 0
  private var isComplete = false

  /// Addresses of this machine that are used.
  private static let maximumAddresses = 12
  private static let maximumRelays = 24
  private static let maximumRedirections = 2

  init(_ configuration: PeerConnection.Configuration, _ servers: ICEServers, _ session: PeerSession, _ owner: PeerConnectionCore) {
    self.configuration = configuration
    self.servers = servers
    self.session = session
    self.owner = owner
    context = session.context
  }

  private var relaysOnly: Bool { configuration.iceTransportPolicy == .relay }

  /// Finds what there is; after an ICE restart again, since addresses and allocations come and go.
  func gather() {
    isComplete = false
    // A server that has begun anew does not say that it knows an allocation no more.
    if session.transport.iceState != .connected, session.transport.iceState != .completed { discardRelays() }
    relays.removeAll(where: \.isOver)
    // The peer has to be told of the others again, with the new credentials.
    for candidate in session.transport.localCandidates { owner.didGather(candidate) }
    openSockets()
    for server in servers.all { ask(server) }
    complete()
  }

  private func discardRelays() {
    for relay in relays {
      relay.close()
      if let base = relay.base { owner.didLose(base) }
    }
  }

  func close() {
    for relay in relays { relay.close() }
    for stream in streams { stream.close() }
    for socket in sockets { socket.close() }
    (relays, streams, sockets) = ([], [], [])
  }

  private func makeIndex() -> UInt32 {
    defer { nextIndex &+= 1 }
    return nextIndex
  }

  private func announce(
    _ type: ICECandidateType, _ address: SocketAddress, _ base: ICEBase, server: IPAddress? = nil, related: SocketAddress? = nil,
    tcpType: ICETCPType? = nil, preference: UInt16 = .max
  ) {
    let made = session.transport.addLocal(
      type, address, base: base, server: server, related: related, tcpType: tcpType, preference: preference, now: context.now)
    if let made { owner.didGather(made) }
  }

  private func complete() {
    guard !isComplete, resolutions == 0, !sockets.contains(where: \.isAsking), !relays.contains(where: \.isAsking) else { return }
    isComplete = true
    owner.didGatherAll()
  }

  // MARK: Addresses of this machine

  private func openSockets() {
    var addresses = NetworkInterfaces.addresses(v6: true).filter { configuration.includesLoopback || !$0.isLoopback }
    if addresses.isEmpty { addresses = [.v4(0x7F00_0001)] }
    let known = Set(sockets.map(\.base.address.ip) + streams.map(\.base.address.ip))
    for (place, ip) in addresses.prefix(Self.maximumAddresses).enumerated() where !known.contains(ip) {
      let preference = UInt16(clamping: 65_535 - place)
      if configuration.usesUDP { openSocket(ip, preference) }
      guard !relaysOnly, configuration.tcpCandidates != .none else { continue }
      openStream(ip, .active, preference)
      if configuration.tcpCandidates == .activeAndPassive { openStream(ip, .passive, preference) }
    }
  }

  private func openSocket(_ ip: IPAddress, _ preference: UInt16) {
    guard let socket = try? HostSocket(ip, index: makeIndex(), takesPeers: !relaysOnly, of: self, in: context) else { return }
    sockets.append(socket)
    guard !relaysOnly else { return }
    session.attach(socket.socket, as: socket.base.socket)
    announce(.host, socket.base.address, socket.base, preference: preference)
  }

  private func openStream(_ ip: IPAddress, _ type: ICETCPType, _ preference: UInt16) {
    let index = makeIndex()
    let made = type == .passive ? try? StreamPath.passive(ip, index: index, of: self) : StreamPath.active(ip, index: index, of: self)
    guard let stream = made else { return }
    streams.append(stream)
    session.attach(stream, as: stream.base.socket)
    announce(.host, stream.base.address, stream.base, tcpType: type, preference: preference)
  }

  /// The agent wants to check a passive candidate of the peer.
  func connect(_ base: ICEBase, to remote: SocketAddress) { streams.first { $0.base == base }?.connect(to: remote) }

  // MARK: STUN and TURN servers

  private func ask(_ server: ICEServers.Server) {
    guard server.url.transport == .udp || server.url.transport == .dtls else { return relay(over: server) }
    guard !sockets.isEmpty else { return }
    resolutions += 1
    let id = owner.id
    context.resolve(server.url.host) { [weak residents = owner.residents] result in
      residents?.connections[id]?.gatherer.didResolve(server, result)
    }
  }

  private func didResolve(_ server: ICEServers.Server, _ result: Result<[IPAddress], SystemError>) {
    resolutions -= 1
    switch result {
    case .failure(let error): fail(server.url, .unreachable("\(error)"), from: nil)
    case .success(let addresses):
      for socket in sockets {
        guard let ip = addresses.first(where: { reaches($0, from: socket) }) else { continue }
        ask(server, at: SocketAddress(ip: ip, port: server.url.port), over: socket)
      }
    }
    complete()
    session.settle()
  }

  /// Loopback talks to loopback, where both are wanted.
  private func reaches(_ server: IPAddress, from socket: HostSocket) -> Bool {
    let own = socket.base.address.ip
    return own.isV4 == server.isV4 && (own.isLoopback == server.isLoopback || !configuration.includesLoopback)
  }

  private func ask(_ server: ICEServers.Server, at address: SocketAddress, over socket: HostSocket, redirections: Int = 0) {
    guard let credentials = server.credentials else {
      if !relaysOnly { socket.ask(address, server.url, random: &random, now: context.now) }
      return
    }
    guard relays.count < Self.maximumRelays, !socket.hasRelay(at: address) else { return }
    let security = server.url.transport == .dtls ? servers.dtls : nil
    let relay = Relay(
      server.url, credentials, at: address, over: socket, security, index: makeIndex(), redirections: redirections, of: self)
    socket.attach(relay, at: address)
    relays.append(relay)
    relay.start()
  }

  private func relay(over server: ICEServers.Server, at address: SocketAddress? = nil, redirections: Int = 0) {
    guard let credentials = server.credentials, relays.count < Self.maximumRelays else { return }
    guard !relays.contains(where: { $0.server == server.url && !$0.isOver }) else { return }
    var options = Connector.Options()
    options.tls = server.url.transport == .tls ? servers.tls : nil
    let host = address.map { $0.ip.description } ?? server.url.host
    relays.append(
      Relay(
        server.url, credentials, to: host, port: address?.port ?? server.url.port, options, index: makeIndex(), redirections: redirections,
        of: self))
  }

  /// A STUN server says where it sees this socket. Where that is no news the host candidate says it already (RFC 8445 §5.1.3).
  func learn(_ address: SocketAddress, of base: ICEBase, from server: IPAddress) {
    if !relaysOnly, address != base.address { announce(.serverReflexive, address, base, server: server) }
    complete()
  }

  func fail(_ url: ICEServerURL, _ failure: ICEServerFailure, from address: SocketAddress?) {
    owner.didFail(
      PeerConnection.CandidateError(
        url: url.text, localAddress: address.map { "\($0)" }, code: failure.code, text: failure.text))
    complete()
  }

  // MARK: Relays

  /// - Parameters:
  ///   - mapped: where the server sees this end.
  ///   - host: the socket that the relay shares.
  func didAllocate(_ relay: Relay, _ base: ICEBase, mapped: SocketAddress?, over host: ICEBase?) {
    session.attach(relay, as: base.socket)
    // With the relay policy the address of this end is nobody's business.
    let related = relaysOnly ? SocketAddress(ip: base.address.ip.isV4 ? .anyV4 : .anyV6, port: 0) : mapped
    announce(.relayed, base.address, base, server: base.address.ip, related: related, preference: preference(of: relay))
    for candidate in session.transport.remoteCandidates { if let ip = candidate.address?.ip { relay.permit(ip) } }
    if let mapped, let host { learn(mapped, of: host, from: base.address.ip) }
    complete()
    session.settleSoon()
  }

  /// A stream to the server holds up what follows a lost packet, and TLS costs more on top.
  private func preference(of relay: Relay) -> UInt16 {
    let place = UInt16(clamping: relays.firstIndex { $0 === relay } ?? 0)
    return switch relay.server.transport {
    case .udp: 60_000 - place
    case .dtls: 50_000 - place
    case .tcp: 40_000 - place
    case .tls: 20_000 - place
    }
  }

  /// Its checks come in, and ours leave at once, where the servers know the peer.
  func didLearnOfPeer(at ip: IPAddress) { for relay in relays where !relay.isOver { relay.permit(ip) } }

  func didSelect(_ pair: ICESelectedPair) { relays.first { $0.base == pair.base }?.bind(pair.remote) }

  func relay(_ base: ICEBase, refuses ip: IPAddress) {
    for pair in session.transport.pairs where pair.local.address == base.address {
      if let remote = pair.remote.address, remote.ip == ip { session.transport.unreachable(base, to: remote, now: context.now) }
    }
    session.settleSoon()
  }

  func didEnd(_ relay: Relay, _ failure: ICEServerFailure, over socket: HostSocket?, from address: SocketAddress?) {
    if let base = relay.base { owner.didLose(base) }
    if case .elsewhere(let other) = failure, relay.redirections < Self.maximumRedirections {
      let server = ICEServers.Server(url: relay.server, credentials: relay.credentials)
      if let socket {
        ask(server, at: other, over: socket, redirections: relay.redirections + 1)
      } else {
        self.relay(over: server, at: other, redirections: relay.redirections + 1)
      }
      return complete()
    }
    fail(relay.server, failure, from: address)
    session.settleSoon()
  }

  // MARK: Time

  var deadline: Instant? { (sockets.compactMap(\.deadline) + relays.compactMap(\.deadline)).min() }

  func timeout(now: Instant) {
    for socket in sockets { socket.timeout(now: now) }
    for relay in relays { relay.timeout(now: now) }
  }
}
