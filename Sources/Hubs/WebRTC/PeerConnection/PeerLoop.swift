internal import MartletCrypto
internal import MartletIO
internal import MartletPrimitives

/// The thread that the peer connections of a process live on, started by the first of them.
final class PeerLoop: Sendable {
  static let shared = PeerLoop()
  private let worker: Worker

  private init() {
    worker = Worker(EventLoop(index: 0), log: .silent) { context in context.register(PeerResidents(context)) }
  }

  /// Runs `body` on the loop, in the order posted.
  func post(_ body: @escaping @Sendable (PeerResidents) -> Void) {
    worker.loop.post { body($0.service(PeerResidents.self)) }
  }
}

/// What lives on the loop.
final class PeerResidents {
  let context: LoopContext
  let clock: PeerClock
  let multicast: MulticastResolver
  var connections: [UInt64: PeerConnectionCore] = [:]
  private var made: DTLSIdentity?

  init(_ context: LoopContext) {
    self.context = context
    clock = PeerClock(in: context)
    multicast = MulticastResolver(in: context)
  }

  /// One certificate for the process.
  func identity() throws(TLSError) -> DTLSIdentity {
    if let made { return made }
    let identity = try DTLSIdentity(now: context.wallTime)
    made = identity
    return identity
  }
}
