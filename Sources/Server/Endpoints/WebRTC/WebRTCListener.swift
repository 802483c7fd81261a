package import MartletCrypto
internal import MartletCodecs
internal import MartletICE
package import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
package import MartletPrimitives
package import MartletWebRTC

/// The WebRTC side of one worker: its UDP port, the sessions on it, and what is announced of it.
package final class WebRTCListener {
  package let configuration: WebRTCConfiguration
  package let identity: DTLSIdentity
  package let clock: PeerClock
  package private(set) var socket: PeerSocket?
  package private(set) var announced: [SocketAddress] = []
  internal let context: LoopContext
  internal var random = RandomSource.system
  /// By the id in their resource's URL.
  internal var sessions: [String: any WebRTCSession] = [:]
  /// Over the life of the worker: sessions by the type of pair they ended up with, and those that never had one.
  package internal(set) var connectedByPair: [String: Int] = [:]
  package internal(set) var failed = 0
  /// What the sessions that have ended did, and the last of those that failed, oldest first.
  internal var ended = WebRTCTotals()
  internal var failures: [WebRTCReport] = []

  package init(_ configuration: WebRTCConfiguration, identity: DTLSIdentity, in context: LoopContext) {
    self.configuration = configuration
    self.identity = identity
    self.context = context
    clock = PeerClock(in: context)
  }

  /// - Parameter address: with the port of the first worker; each next one has the next port.
  /// - Returns: where it listens.
  package func listen(on address: SocketAddress) throws(SystemError) -> SocketAddress {
    var own = address
    if address.port != 0 { own.port = UInt16(clamping: Int(address.port) + context.loop.index) }
    let socket = try PeerSocket(own, in: context)
    self.socket = socket
    announced = announcedAddresses(socket.socket.local)
    return socket.socket.local
  }

  /// An address that was bound is the one to announce; for all of them, those of the machine's interfaces.
  private func announcedAddresses(_ local: SocketAddress) -> [SocketAddress] {
    let configured = configuration.addresses.compactMap { IPAddress($0) }
    let isAny = local.ip == .anyV4 || local.ip == .anyV6
    let ips = configured.isEmpty ? (isAny ? NetworkInterfaces.addresses(v6: local.ip == .anyV6) : [local.ip]) : configured
    return ips.map { SocketAddress(ip: $0, port: local.port) }
  }

  /// A host name of `webrtc.addresses` was resolved.
  package func announce(_ ip: IPAddress) {
    guard let socket else { return }
    let address = SocketAddress(ip: ip, port: socket.socket.local.port)
    if !announced.contains(address) { announced.append(address) }
  }

  /// The session's id is the worker's number and something nobody can guess.
  internal func makeID() -> String { "\(context.loop.index)-" + Hex.encode(random.bytes(16)) }

  /// The worker that a session lives on.
  internal static func worker(of id: String) -> Int? { id.split(separator: "-").first.flatMap { Int($0) } }

  internal func makeTransport() -> PeerTransport? {
    guard let socket else { return nil }
    var ice = ICEConfiguration()
    ice.isLite = true
    let transport = PeerTransport(ice, identity: identity, random: random)
    let now = context.now
    for (index, address) in announced.enumerated() {
      // The first address is the one that is preferred; loopback serves this machine alone.
      let preference = UInt16(address.ip.isLoopback ? 1000 : 65_535 - min(index, 60_000))
      transport.addLocal(.host, address, base: socket.base, preference: preference, now: now)
    }
    transport.endOfLocalCandidates(now: now)
    return transport
  }

  package func close() {
    for session in sessions.values { session.end("the server is stopping") }
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
