package import MartletCrypto
package import MartletIO
package import MartletPrimitives
package import MartletSTUN
internal import MartletWebRTC

/// STUN and TURN on one worker: the sockets of its clients and of its relays around a `TURNServer`.
///
/// Every worker binds the same UDP port with SO_REUSEPORT. The kernel chooses the socket by a hash of both ends, so that what a client
/// sends from one address always comes to the same worker, where its allocation is, as long as no worker's socket comes or goes; they
/// all live from the start of the server to its end.
package final class TURNListener {
  package internal(set) var configuration: TURNConfiguration
  package let shared: TURNShared
  package let context: LoopContext
  package internal(set) var server: TURNServer
  /// Hears of allocations that began (no end) or ended.
  package var allocationDidChange: ((TURNAllocationReport, TURNAllocationEnd?) -> Void)?
  /// Refusals are told in the log, but not each of a flood.
  internal var refusalLog = LogThrottle()
  internal var userBandwidth: Int
  /// Packets beyond what all allocations of a user may send.
  package private(set) var overUserRate = 0
  /// Packets for clients that did not keep up.
  package internal(set) var streamDrops = 0
  private var datagrams: UDPSocket?
  internal var discoverySockets: [UDPSocket] = []
  internal var associations: TURNAssociations?
  /// Where messages to a flow leave, by its path. UDP has the first.
  private var paths: [UInt32: any DatagramPath] = [:]
  private var nextPath: UInt32 = firstStreamPath
  private var listeners: [TCPListener] = []
  internal var streams: [ObjectIdentifier: TURNStream] = [:]
  private var waiting = TURNClientCensus.connections
  // TCP relays: their listeners, connections that wait for a client, those that another worker has taken, and those joined here.
  internal let loops: [EventLoop]
  internal var streamRelays: [TURNRelayID: TURNStreamRelay] = [:]
  internal var links: [UInt32: TURNPeerLink] = [:]
  internal var handedOver: [UInt32: TURNPeerHandover] = [:]
  internal var pipes: [UInt32: TURNPipe] = [:]
  internal var census: ConnectionCensus?
  /// By slot of the id.
  internal var relays: [TURNRelay?] = []
  internal var handedOverByClosed = 0
  internal var relayAddresses: [AddressFamily: (local: IPAddress, announced: IPAddress)] = [:]
  private var timer: (at: Instant, id: SlabID)?
  private var clock: SlabID?

  internal static let datagramPath: UInt32 = 0
  /// Below are UDP sockets; from here on each connection and each DTLS association has a number of its own.
  internal static let firstStreamPath: UInt32 = 1 << 16

  /// - Parameter loops: of all workers, by their index.
  package init(_ configuration: TURNConfiguration, _ shared: TURNShared, loops: [EventLoop], in context: LoopContext) {
    self.configuration = configuration
    self.loops = loops
    self.shared = shared
    self.context = context
    userBandwidth = configuration.limits.userBitrate / 8
    let credentials = TURNCredentials(configuration)
    server = TURNServer(
      TURNServerConfiguration(configuration), credentials: credentials, rules: PeerRules(),
      nonces: TURNNonces(key: shared.nonceKey, for: credentials), random: .system)
    server.configuration.worker = UInt8(clamping: context.loop.index)
  }

  /// Bytes a second of one allocation; 0 is no limit.
  internal var bandwidth: Int { server.configuration.limits.bandwidth }

  // MARK: Listening

  /// UDP and TCP on one port.
  package func listen(on address: SocketAddress, census: ConnectionCensus) throws(SystemError) -> SocketAddress {
    let bound = try bind(address, census, attempts: address.port == 0 ? 8 : 1)
    datagrams?.handler = self
    paths[Self.datagramPath] = datagrams
    try listenForDiscovery(beside: bound)
    for (index, socket) in discoverySockets.enumerated() { paths[UInt32(index + 1)] = socket }
    startClock()
    return bound
  }

  /// Where the kernel chooses the port for TCP, somebody else may have it for UDP.
  private func bind(_ address: SocketAddress, _ census: ConnectionCensus, attempts: Int) throws(SystemError) -> SocketAddress {
    let listener = try TCPListener(address, in: context, census: census, refusal: Slice()) { [unowned self] in accept($0) }
    do throws(SystemError) {
      datagrams = try UDPSocket(listener.address, in: context, sharesPort: true, largest: UDPSocket.maximumDatagram)
    } catch {
      listener.close()
      guard attempts > 1 else { throw error }
      return try bind(address, census, attempts: attempts - 1)
    }
    self.census = census
    listeners.append(listener)
    return listener.address
  }

  package func listenSecurely(
    on address: SocketAddress, tls: @escaping () -> TLSContext, census: ConnectionCensus
  ) throws(SystemError) -> SocketAddress {
    let listener = try TCPListener(address, tls: tls, in: context, census: census, refusal: Slice()) { [unowned self] in accept($0) }
    self.census = census
    listeners.append(listener)
    startClock()
    return listener.address
  }

  /// Takes over a connection that speaks STUN, from a listener of its own or of another protocol.
  package func accept(_ connection: TCPConnection) {
    let stream = TURNStream(connection, path: takePath(), of: self)
    streams[ObjectIdentifier(stream)] = stream
    paths[stream.flow.path] = stream
    guard waiting.add(connection.remote.ip) else { return connection.close() }
    stream.isWaiting = true
    stream.expectAllocation()
  }

  /// It has got what it came for, or is gone.
  internal func leaveWaiting(_ stream: TURNStream) {
    guard stream.isWaiting else { return }
    stream.isWaiting = false
    waiting.remove(stream.connection.remote.ip)
  }

  internal func takePath() -> UInt32 {
    repeat { nextPath = nextPath == .max ? Self.firstStreamPath : nextPath + 1 } while paths[nextPath] != nil
    return nextPath
  }

  internal func remove(_ stream: TURNStream) {
    leaveWaiting(stream)
    streams[ObjectIdentifier(stream)] = nil
    detach(stream.flow)
  }

  internal func attach(_ path: some DatagramPath, as flow: TURNFlow) { paths[flow.path] = path }

  /// The client of this flow is gone. How it came is still told with the end of its allocation.
  internal func detach(_ flow: TURNFlow) {
    server.flowDidEnd(flow)
    settle()
    paths[flow.path] = nil
  }

  /// - Parameters:
  ///   - addresses: where it listens, for want of configured ones to relay at.
  ///   - mediaPorts: of this server's WebRTC sockets, which peers of a relay may be.
  package func start(listeningAt addresses: [IPAddress], mediaPorts: ClosedRange<UInt16>?) {
    let plan = TURNAddressPlan(configuration, listeningAt: addresses)
    relayAddresses = plan.relays
    server.rules = plan.rules(configuration, mediaPorts: mediaPorts)
  }

  /// Allocations under way stay; what is asked of the server from now on is asked by the new rules.
  package func reload(_ configuration: TURNConfiguration, listeningAt addresses: [IPAddress], mediaPorts: ClosedRange<UInt16>?) {
    self.configuration = configuration
    userBandwidth = configuration.limits.userBitrate / 8
    server.configuration = TURNServerConfiguration(configuration)
    server.configuration.worker = UInt8(clamping: context.loop.index)
    server.credentials = TURNCredentials(configuration)
    server.nonces = TURNNonces(key: shared.nonceKey, for: server.credentials)
    shared.quotas.setLimits(configuration.limits)
    start(listeningAt: addresses, mediaPorts: mediaPorts)
  }

  /// Takes over which grants count no more, and closes what was had by them.
  /// - Returns: how many allocations that were.
  package func revoke(_ change: (inout TURNRevocations) -> Void) -> Int {
    change(&server.revocations)
    let closed = server.closeRevoked()
    settle()
    return closed
  }

  /// No new connections and no new allocations; those there may go on.
  package func drain() {
    for listener in listeners { listener.close() }
    listeners = []
    server.configuration.takesAllocations = false
    for stream in Array(streams.values) where !stream.isInUse { stream.connection.closeAfterFlush() }
  }

  // MARK: Time

  private func startClock() {
    guard clock == nil else { return }
    tick()
  }

  /// Accounts end by the clock of people, which may be set.
  private func tick() {
    let now = context.now
    server.setTime(unix: context.wallTime.milliseconds / 1000, now: now)
    shared.reservations.sweep(now: now)
    clock = context.schedule(after: .seconds(10)) { [weak self] in self?.tick() }
  }

  private func arm() {
    guard let deadline = server.deadline, timer.map({ deadline < $0.at }) ?? true else { return }
    if let timer { context.cancel(timer.id) }
    timer = (deadline, context.schedule(at: deadline) { [weak self] in self?.fire() })
  }

  private func fire() {
    timer = nil
    server.timeout(now: context.now)
    settle()
  }

  // MARK: What the core says

  /// Does what it has to do, until nothing is left.
  internal func settle() {
    while let output = server.pollOutput() {
      switch output {
      case .transmit(let bytes, let flow): paths[flow.path]?.send(bytes.span.bytes, to: flow.remote)
      case .open(let request): open(request)
      case .close(let id): close(id)
      case .connect(let id, let relay, let peer): connect(id, from: relay, to: peer)
      case .disconnect(let id): disconnect(id)
      case .bind(let request): bind(request)
      case .event(let event): tell(event)
      }
    }
    arm()
  }

  // MARK: Packets

  /// One message of a client.
  package func receive(_ message: RawSpan, from flow: TURNFlow) {
    let now = context.now
    if let forward = server.receive(message, from: flow, now: now) { return send(forward, message, now: now) }
    settle()
  }

  private func send(_ forward: TURNForward, _ message: RawSpan, now: Instant) {
    guard let relay = relay(forward.relay), mayPass(forward.data.count, .up, relay, now: now) else { return }
    relay.socket.forbidFragments(forward.dontFragment)
    relay.socket.send(message.extracting(forward.data), to: forward.peer)
  }

  internal func deliver(_ datagram: UnsafeRawBufferPointer, from peer: SocketAddress, at relay: TURNRelay) {
    let now = context.now
    guard let delivery = server.deliver(datagram.count, from: peer, at: relay.id, now: now),
      mayPass(datagram.count, .down, relay, now: now), let path = path(delivery.flow),
      let slot = path.reserve(delivery.size(of: datagram.count))
    else { return }
    delivery.write(datagram, into: slot)
    path.commit(slot.count, to: delivery.flow.remote)
  }

  private func mayPass(_ count: Int, _ direction: TURNUserRate.Direction, _ relay: TURNRelay, now: Instant) -> Bool {
    if relay.rate.take(count, direction, rate: userBandwidth, now: now) { return true }
    overUserRate += 1
    return false
  }

  internal func stream(_ flow: TURNFlow) -> TURNStream? { paths[flow.path] as? TURNStream }

  private func path(_ flow: TURNFlow) -> (any DatagramPath)? {
    flow.path == Self.datagramPath ? datagrams : paths[flow.path]
  }

  internal func relay(_ id: TURNRelayID, didHear error: ICMPError, about peer: SocketAddress) {
    server.relayDidHearICMP(id, type: error.type, code: error.code, data: error.data, peer: peer, now: context.now)
    settle()
  }
}

extension TURNListener: UDPSocketHandler {
  package func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    receive(UnsafeRawBufferPointer(datagram).bytes, from: TURNFlow(remote: peer, path: path(of: socket), isStream: false))
  }
}
