internal import MartletICE
internal import MartletIO
internal import MartletPrimitives
internal import MartletWebRTC

/// Where peers are told that a worker's port is: what `webrtc.addresses` comes to now. Names are resolved again, and STUN servers
/// asked again, as long as it lives.
internal final class AnnouncedAddresses {
  /// Where the port is reached by UDP, in the order in which they are preferred.
  internal private(set) var datagrams: [SocketAddress] = []
  /// The same by TCP.
  internal private(set) var streams: [SocketAddress] = []

  /// Called when either has changed.
  private let changed: (AnnouncedAddresses) -> Void
  private let configured: [AnnouncedAddress]
  private let socket: PeerSocket
  private let context: LoopContext
  private let discovery: ReflexiveDiscovery
  private var resolved: [String: [IPAddress]] = [:]
  /// Where STUN servers are, and what they saw.
  private var servers: [AnnouncedAddress: [SocketAddress]] = [:]
  private var mapped: [SocketAddress: SocketAddress] = [:]
  private var isStopped = false

  private static let refreshInterval = TimeSpan.seconds(300)
  private static let retryInterval = TimeSpan.seconds(15)
  /// An agent has at most 32 candidates, and most addresses make two.
  private static let maximum = 16

  internal init(
    _ configured: [AnnouncedAddress], of socket: PeerSocket, in context: LoopContext, changed: @escaping (AnnouncedAddresses) -> Void
  ) {
    self.configured = configured
    self.socket = socket
    self.context = context
    self.changed = changed
    discovery = ReflexiveDiscovery(of: socket)
    socket.discovery = discovery
    discovery.learned = { [weak self] in self?.didLearn($0, from: $1) }
    update()
    for entry in configured { resolve(entry) }
  }

  internal func stop() {
    isStopped = true
    discovery.stop()
  }

  // MARK: What it comes to

  private func update() {
    let before = (datagrams, streams)
    let port = socket.socket.local.port
    let fixed = addresses.map { SocketAddress(ip: $0, port: port) }
    let seen = Set(mapped.values).subtracting(fixed).sorted { "\($0)" < "\($1)" }
    datagrams = Array((fixed + seen).prefix(Self.maximum))
    // A NAT that keeps the port is taken to pass TCP on as well; one that changes it has no way in for TCP.
    let forwarded = Set(datagrams.filter { $0.port == port }.map(\.ip))
    streams =
      socket.streams.map { streams in
        datagrams.map(\.ip).filter(forwarded.contains).map { SocketAddress(ip: $0, port: streams.base.address.port) }
      } ?? []
    if before != (datagrams, streams) { changed(self) }
  }

  /// What was named, as far as it is known. Else an address that was bound is the one to announce; for all of them, those of the
  /// machine's interfaces.
  private var addresses: [IPAddress] {
    let named = configured.flatMap { entry -> [IPAddress] in
      switch entry {
      case .ip(let ip): [ip]
      case .host(let name): resolved[name] ?? []
      case .stun: []
      }
    }
    let local = socket.socket.local.ip
    let own = local == .anyV4 || local == .anyV6 ? NetworkInterfaces.addresses(v6: local == .anyV6) : [local]
    var found: [IPAddress] = []
    for ip in named.isEmpty ? own : named where !found.contains(ip) { found.append(ip) }
    return found
  }

  // MARK: Learning

  private func resolve(_ entry: AnnouncedAddress) {
    guard !isStopped else { return }
    switch entry {
    case .ip: return
    case .host(let name), .stun(let name, _):
      context.resolve(name) { [weak self] result in self?.didResolve(entry, name, result) }
    }
  }

  private func didResolve(_ entry: AnnouncedAddress, _ name: String, _ result: Result<[IPAddress], SystemError>) {
    guard !isStopped else { return }
    var wait = Self.refreshInterval
    switch result {
    case .success(let found):
      if case .stun(_, let port) = entry { ask(entry, found, port) } else { resolved[name] = found }
    case .failure(let error):
      // What was known before goes on being announced.
      wait = Self.retryInterval
      context.log(.warning, "webrtc", "\(error) (webrtc.addresses: \(entry)); it is tried again in \(wait.seconds) s")
    }
    update()
    context.schedule(after: wait) { [weak self] in self?.resolve(entry) }
  }

  /// One address of each family that the socket speaks.
  private func ask(_ entry: AnnouncedAddress, _ found: [IPAddress], _ port: UInt16) {
    let v4 = found.first { if case .v4 = $0 { true } else { false } }
    let v6 = found.first { if case .v6 = $0 { true } else { false } }
    let isDual = if case .v6 = socket.socket.local.ip { true } else { false }
    servers[entry] = [v4, isDual ? v6 : nil].compactMap(\.self).map { SocketAddress(ip: $0, port: port) }
    let all = servers.values.flatMap(\.self)
    mapped = mapped.filter { all.contains($0.key) }
    discovery.ask(all)
  }

  private func didLearn(_ address: SocketAddress, from server: SocketAddress) {
    mapped[server] = address
    update()
  }
}
