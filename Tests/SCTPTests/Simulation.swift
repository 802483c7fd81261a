import MartletPrimitives
import MartletSCTP
import TestSupport

/// One end: a session and what came out of it.
final class Peer {
  var session: DataChannelSession
  let address: SocketAddress
  var events: [DataChannelEvent] = []
  /// By channel, in the order of arrival.
  var messages: [UInt16: [Slice]] = [:]
  var messageCount = 0
  var messageBytes = 0
  /// Whether messages are kept in `events` and `messages`, or only counted.
  var keepsMessages = true
  /// While false events stay where they are, as with a driver that cannot go on.
  var polls = true
  private var batch = DatagramBatch()

  init(_ name: UInt8, _ configuration: SCTPConfiguration, isClient: Bool, limits: DataChannelLimits = DataChannelLimits(), seed: UInt64) {
    session = DataChannelSession(configuration, isClient: isClient, limits: limits, random: RandomSource(seed: seed))
    address = SocketAddress(ip: .v4(0x0A00_0000 | UInt32(name)), port: 5000)
  }

  func drain(now: Instant, send: ([UInt8]) -> Void) {
    while polls, let event = session.pollEvent(now: now) {
      if case .message(let id, _, let payload) = event {
        messageCount += 1
        messageBytes += payload.count
        guard keepsMessages else { continue }
        messages[id, default: []].append(payload)
      }
      events.append(event)
    }
    repeat {
      batch.removeAll()
      session.takeOutput(into: &batch, now: now)
      for index in 0..<batch.count { send(Array(copying: batch[index])) }
    } while !batch.isEmpty
  }

  var statistics: SCTPStatistics { session.statistics }
  var state: SCTPState { session.association.state }
  func bufferedAmount(of id: UInt16) -> Int { session.bufferedAmount(of: id) }
  func hasChannel(_ id: UInt16) -> Bool { session.options(of: id) != nil }

  func count(_ matches: (DataChannelEvent) -> Bool) -> Int { events.count(where: matches) }
  var isConnected: Bool { events.contains(.connected) }
  var endReason: SCTPEndReason? {
    for case .ended(let reason) in events { return reason }
    return nil
  }
}

/// A link of limited rate with a queue that drops what does not fit, in front of the network.
struct Bottleneck {
  var bytesPerSecond: Int
  var queueBytes: Int
  private(set) var dropped = 0
  private var freeAt: [SocketAddress: Instant] = [:]

  init(bytesPerSecond: Int, queueBytes: Int) {
    self.bytesPerSecond = bytesPerSecond
    self.queueBytes = queueBytes
  }

  /// When the datagram has passed; `nil` when the queue is full.
  mutating func pass(_ datagram: VirtualNetwork.Datagram, now: Instant) -> Instant? {
    let start = max(now, freeAt[datagram.from] ?? .zero)
    let waiting = (start - now).nanoseconds * Int64(bytesPerSecond) / 1_000_000_000
    guard waiting <= Int64(queueBytes) else {
      dropped += 1
      return nil
    }
    let end = start + TimeSpan(nanoseconds: Int64(datagram.bytes.count) * 1_000_000_000 / Int64(bytesPerSecond))
    freeAt[datagram.from] = end
    return end
  }
}

/// Two ends over a virtual network.
final class Simulation {
  let left: Peer
  let right: Peer
  var network: VirtualNetwork
  var bottleneck: Bottleneck?
  private(set) var now = Instant.zero
  private var delayed = Deque<(Instant, VirtualNetwork.Datagram)>()
  /// Sees every packet, and may drop it.
  var filter: (VirtualNetwork.Datagram) -> Bool = { _ in true }

  init(
    seed: UInt64, loss: Double = 0, latency: TimeSpan = .milliseconds(20), jitter: TimeSpan = .zero, reorder: Double = 0,
    duplicate: Double = 0, left: SCTPConfiguration = .init(), right: SCTPConfiguration = .init(),
    limits: DataChannelLimits = DataChannelLimits()
  ) {
    network = VirtualNetwork(
      seed: seed, loss: loss, latency: latency, jitter: jitter, reorder: reorder, duplicate: duplicate, mtu: 1232 - 37)
    self.left = Peer(1, left, isClient: true, limits: limits, seed: seed &* 2 &+ 1)
    self.right = Peer(2, right, isClient: false, limits: limits, seed: seed &* 2 &+ 2)
  }

  private func flush() {
    for (peer, other) in [(left, right), (right, left)] {
      peer.drain(now: now) { bytes in
        let datagram = VirtualNetwork.Datagram(from: peer.address, to: other.address, bytes: bytes)
        guard filter(datagram) else { return }
        guard bottleneck != nil else { return network.send(datagram, now: now) }
        if let at = bottleneck?.pass(datagram, now: now) { delayed.append((at, datagram)) }
      }
    }
  }

  private var nextTime: Instant? {
    [network.deadline, left.session.deadline, right.session.deadline, delayed.map(\.0).min()].compactMap { $0 }.min()
  }

  /// Runs until the condition holds.
  /// - Returns: whether it came to hold within `span`.
  @discardableResult func run(for span: TimeSpan, until condition: (Simulation) -> Bool = { _ in false }) -> Bool {
    let end = now + span
    flush()
    while !condition(self) {
      guard let next = nextTime, next <= end else {
        now = end
        return condition(self)
      }
      now = max(now, next)
      releaseDelayed()
      while let datagram = network.receive(now: now) {
        let peer = datagram.to == left.address ? left : right
        peer.session.receive(datagram.bytes.span.bytes, now: now)
      }
      for peer in [left, right] where (peer.session.deadline ?? .distantFuture) <= now { peer.session.timeout(now: now) }
      flush()
    }
    return true
  }

  private func releaseDelayed() {
    for _ in 0..<delayed.count {
      guard let entry = delayed.popFirst() else { return }
      if entry.0 <= now { network.send(entry.1, now: now) } else { delayed.append(entry) }
    }
  }

  @discardableResult func connect() -> Bool {
    left.session.start(now: now)
    right.session.start(now: now)
    return run(for: .seconds(60)) { $0.left.isConnected && $0.right.isConnected }
  }
}

/// `count` bytes that no shift of themselves equals.
func pattern(_ count: Int, _ seed: Int) -> Slice {
  Slice((0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8) &+ seed &* 17) })
}
