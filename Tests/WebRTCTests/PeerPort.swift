import MartletCrypto
import MartletICE
import MartletIO
import MartletPeerEngine
import MartletPrimitives
import MartletSTUN
import TestSupport

@testable import MartletWebRTC

/// A worker's port on loopback with one session that waits for its peer, and the credentials by which it may be checked.
struct PeerPort: Sendable {
  /// What lives on the loop.
  final class Residents {
    let socket: PeerSocket
    let session: PeerSession

    init(_ socket: PeerSocket, _ session: PeerSession) {
      self.socket = socket
      self.session = session
    }
  }

  let worker: Worker
  let port: UInt16
  let streamPort: UInt16
  let local: ICECredentials

  private static let remote = ICECredentials(fragment: "peer", password: "the-password-of-the-peer")
  private static let loopback = IPAddress.v4(0x7F00_0001)

  /// - Parameters:
  ///   - port: of all workers of `mesh`; 0 for any.
  ///   - limits: of TCP connections.
  static func start(
    worker index: Int = 0, on port: UInt16 = 0, mesh: PeerMesh? = nil, loop: EventLoop? = nil,
    limits: PeerStreams.Limits = PeerStreams.Limits()
  ) async throws -> PeerPort {
    let worker = Worker(loop ?? EventLoop(index: index), log: .silent) { _ in }
    let made = await worker.run { context -> Result<(UInt16, UInt16, ICECredentials), any Error> in
      Result { try makeResidents(port, mesh, limits, in: context) }
    }
    let (bound, streams, credentials) = try made.get()
    return PeerPort(worker: worker, port: bound, streamPort: streams, local: credentials)
  }

  private static func makeResidents(
    _ port: UInt16, _ mesh: PeerMesh?, _ limits: PeerStreams.Limits, in context: LoopContext
  ) throws -> (UInt16, UInt16, ICECredentials) {
    let neighbours = mesh.map { PeerNeighbours($0, in: context) }
    if let neighbours { context.register(neighbours) }
    let socket = try PeerSocket(SocketAddress(ip: loopback, port: port), neighbours: neighbours, in: context)
    try socket.listenForStreams(limits, census: ConnectionCensus())
    var ice = ICEConfiguration()
    ice.isLite = true
    if mesh != nil { ice.fragmentPrefix = PeerNeighbours.prefix(ofWorker: context.loop.index) }
    let transport = PeerTransport(ice, identity: try DTLSIdentity(now: context.wallTime), random: .system)
    let session = PeerSession(
      transport, PeerMedia([], [], reporter: 1, cname: "test"), clock: PeerClock(in: context), in: context)
    session.attach(to: socket)
    transport.addLocal(.host, socket.socket.local, base: socket.base, now: context.now)
    if let base = socket.streams?.base { transport.addLocal(.host, base.address, base: base, tcpType: .passive, now: context.now) }
    try transport.connect(to: remote, isLite: false, fingerprints: [], role: .server, now: context.now)
    context.register(Residents(socket, session))
    return (socket.socket.local.port, socket.streams?.base.address.port ?? 0, transport.localCredentials)
  }

  func stop() async {
    await worker.run { context in
      context.service(Residents.self).socket.close()
      context.stop()
    }
    worker.join()
  }

  func run<R: Sendable>(_ body: @escaping @Sendable (Residents) -> R) async -> R {
    await worker.run { context in body(context.service(Residents.self)) }
  }

  // MARK: The peer

  func check(fragment: String? = nil, password: String? = nil, nominates: Bool = true) -> [UInt8] {
    var random = RandomSource.system
    var attributes: [STUNAttribute] = [
      .username("\(fragment ?? local.fragment):\(Self.remote.fragment)"), .priority(1), .iceControlling(tieBreaker: 1),
    ]
    if nominates { attributes.append(.useCandidate) }
    return STUNMessage(.request, .binding, TransactionID(random: &random), attributes)
      .encoded(key: .shortTerm(password: password ?? local.password))
  }

  static func framed(_ datagram: [UInt8]) -> [UInt8] { [UInt8(datagram.count >> 8), UInt8(datagram.count & 255)] + datagram }

  /// A datagram that comes over a connection; `nil` at its end.
  static func datagram(from client: RawClient) async throws -> [UInt8]? {
    try await blocking {
      guard let head = exactly(2, from: client) else { return nil }
      return exactly(Int(head[0]) << 8 | Int(head[1]), from: client)
    }
  }

  static func isClosed(_ client: RawClient) async throws -> Bool { try await blocking { client.receive() == nil } }

  private static func exactly(_ count: Int, from client: RawClient) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let part = client.receive(count - bytes.count) else { return nil }
      bytes += part
    }
    return bytes
  }
}
