package import MartletCrypto
internal import MartletCodecs
internal import MartletICE
package import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
package import MartletPrimitives
package import MartletWebRTC

/// The WebRTC side of one worker: its port, the sessions on it, and what is announced of it.
package final class WebRTCListener {
  package let configuration: WebRTCConfiguration
  package let identity: DTLSIdentity
  package let clock: PeerClock
  package private(set) var socket: PeerSocket?
  internal private(set) var addresses: AnnouncedAddresses?
  internal let context: LoopContext
  /// The other workers, where all share one port.
  private let neighbours: PeerNeighbours?
  internal var random = RandomSource.system
  /// By the id in their resource's URL.
  internal var sessions: [String: any WebRTCSession] = [:]
  /// Over the life of the worker: sessions that began, by the type of pair those that ended up with, and those that never had one.
  package internal(set) var begun = 0
  package internal(set) var connectedByPair: [String: Int] = [:]
  package internal(set) var failed = 0
  /// What the sessions that have ended did, and the last of those that failed, oldest first.
  internal var ended = WebRTCTotals()
  internal var failures: [WebRTCReport] = []

  /// - Parameter mesh: of the workers that share one port.
  package init(_ configuration: WebRTCConfiguration, identity: DTLSIdentity, mesh: PeerMesh? = nil, in context: LoopContext) {
    self.configuration = configuration
    self.identity = identity
    self.context = context
    clock = PeerClock(in: context)
    neighbours = mesh.map { PeerNeighbours($0, in: context) }
    if let neighbours { context.register(neighbours) }
  }

  /// - Parameter address: with the port of the first worker; unless all share it, each next one has the next port.
  /// - Returns: where it listens.
  package func listen(on address: SocketAddress, census: ConnectionCensus) throws(SystemError) -> SocketAddress {
    var own = address
    if address.port != 0, neighbours == nil { own.port = UInt16(clamping: Int(address.port) + context.loop.index) }
    let socket = try bind(own, census, attempts: own.port == 0 ? 8 : 1)
    self.socket = socket
    addresses = AnnouncedAddresses(configuration.addresses, of: socket, in: context) { [unowned self] in didChange($0) }
    return socket.socket.local
  }

  /// Where the kernel chooses the port for UDP, somebody else may have it for TCP.
  private func bind(_ address: SocketAddress, _ census: ConnectionCensus, attempts: Int) throws(SystemError) -> PeerSocket {
    let socket = try PeerSocket(address, neighbours: neighbours, in: context)
    guard configuration.takesTCP else { return socket }
    do throws(SystemError) {
      try socket.listenForStreams(census: census)
      return socket
    } catch {
      socket.close()
      guard attempts > 1 else { throw error }
      return try bind(address, census, attempts: attempts - 1)
    }
  }

  /// Said once for all workers, whose ports the start message names.
  private func didChange(_ addresses: AnnouncedAddresses) {
    guard context.loop.index == 0 else { return }
    let list = { (addresses: [SocketAddress]) in addresses.map { "\($0)" }.joined(separator: ", ") }
    let streams = addresses.streams.isEmpty ? "no TCP" : "TCP " + list(addresses.streams)
    context.log(.info, "webrtc", "peers are told of UDP \(list(addresses.datagrams)); \(streams) (webrtc.addresses)")
  }

  /// The session's id is the worker's number and something nobody can guess.
  internal func makeID() -> String { "\(context.loop.index)-" + Hex.encode(random.bytes(16)) }

  /// The worker that a session lives on.
  internal static func worker(of id: String) -> Int? { id.split(separator: "-").first.flatMap { Int($0) } }

  internal func makeTransport() -> PeerTransport? {
    guard let socket, let addresses else { return nil }
    var ice = ICEConfiguration()
    ice.isLite = true
    if neighbours != nil { ice.fragmentPrefix = PeerNeighbours.prefix(ofWorker: context.loop.index) }
    let transport = PeerTransport(ice, identity: identity, random: random)
    let now = context.now
    for (index, address) in addresses.datagrams.enumerated() {
      transport.addLocal(.host, address, base: socket.base, preference: Self.preference(address, index), now: now)
    }
    for (index, address) in addresses.streams.enumerated() {
      guard let base = socket.streams?.base else { break }
      transport.addLocal(.host, address, base: base, tcpType: .passive, preference: Self.preference(address, index), now: now)
    }
    transport.endOfLocalCandidates(now: now)
    return transport
  }

  /// The first address is the one that is preferred; loopback serves this machine alone.
  private static func preference(_ address: SocketAddress, _ index: Int) -> UInt16 {
    // In steps that the priority of a TCP candidate can tell apart (RFC 6544 §4.2).
    UInt16(address.ip.isLoopback ? 1000 : 65_535 - min(index, 1000) * 8)
  }

  package func close() {
    for session in sessions.values { session.end("the server is stopping") }
    addresses?.stop()
    socket?.close()
    socket = nil
  }
}

/// A publisher, a viewer or a test of data channels: what has a resource that can be patched and deleted.
internal protocol WebRTCSession: AnyObject {
  var id: String { get }
  var peer: PeerSession { get }
  /// The path of its resource.
  var resource: String { get }
  /// Changes with each ICE restart (RFC 9725 §4.3.1).
  var etag: String { get }
  func end(_ reason: String)
}

/// A publisher or a viewer.
internal protocol WebRTCMediaSession: WebRTCSession {
  var client: ClientInfo { get }
  /// Of what is sent, by section; `nil` while the stream has no track for it.
  var outgoingCodecs: [Codec?] { get }
  /// Packets of pictures that were not sent, since they would have come too late.
  var leftOut: Int { get }
}

extension WebRTCMediaSession {
  internal var leftOut: Int { 0 }
}
