package import MartletPrimitives

/// A network of datagrams in virtual time: what is sent arrives late, twice, out of order or not at all, the same way for the
/// same seed. It routes by address alone; hosts are whoever asks for what arrived.
package struct VirtualNetwork: Sendable {
  package struct Datagram: Equatable, Sendable {
    package var from: SocketAddress
    package var to: SocketAddress
    package var bytes: [UInt8]

    package init(from: SocketAddress, to: SocketAddress, bytes: [UInt8]) {
      self.from = from
      self.to = to
      self.bytes = bytes
    }
  }

  package struct Statistics: Equatable, Sendable {
    /// By the hosts; `lost` and `tooLarge` are among them, `duplicated` are not.
    package var sent = 0
    package var lost = 0
    package var duplicated = 0
    package var reordered = 0
    /// Larger than the MTU: dropped, as by a path that forbids fragments.
    package var tooLarge = 0
    package var delivered = 0
  }

  private struct Flow: Hashable { var from: SocketAddress, to: SocketAddress }
  private struct InFlight {
    var arrival: Instant
    /// Among equal arrivals the one sent first.
    var order: Int
    var datagram: Datagram
  }

  /// Shares between 0 and 1.
  package var loss: Double
  package var reorder: Double
  package var duplicate: Double
  /// One way.
  package var latency: TimeSpan
  /// Added to the latency, between zero and this. By itself it does not change the order.
  package var jitter: TimeSpan
  /// Payload bytes of the largest datagram that gets through.
  package var mtu: Int
  /// While false everything that is sent is lost; what is under way arrives.
  package var isUp = true
  /// What of the datagrams that are sent is lost besides: a path of several that is cut.
  package var isCut: @Sendable (Datagram) -> Bool = { _ in false }
  package private(set) var statistics = Statistics()

  private var random: SeededRandom
  /// The last in-order arrival of each flow.
  private var queues: [Flow: Instant] = [:]
  /// Sorted by arrival, the earliest last.
  private var inFlight: [InFlight] = []
  private var count = 0

  package init(
    seed: UInt64, loss: Double = 0, latency: TimeSpan = .milliseconds(20), jitter: TimeSpan = .zero, reorder: Double = 0,
    duplicate: Double = 0, mtu: Int = 1400
  ) {
    random = SeededRandom(seed: seed)
    self.loss = loss
    self.latency = latency
    self.jitter = jitter
    self.reorder = reorder
    self.duplicate = duplicate
    self.mtu = mtu
  }

  package mutating func send(_ datagram: Datagram, now: Instant) {
    statistics.sent += 1
    guard datagram.bytes.count <= mtu else {
      statistics.tooLarge += 1
      return
    }
    guard isUp, !isCut(datagram), !happens(loss) else {
      statistics.lost += 1
      return
    }
    carry(datagram, now)
    if happens(duplicate) {
      statistics.duplicated += 1
      carry(datagram, now)
    }
  }

  /// When something arrives next.
  package var deadline: Instant? { inFlight.last?.arrival }

  /// The next datagram that has arrived, whoever it is for.
  package mutating func receive(now: Instant) -> Datagram? {
    guard let next = inFlight.last, next.arrival <= now else { return nil }
    inFlight.removeLast()
    statistics.delivered += 1
    return next.datagram
  }

  /// Always draws, so that two runs which differ in one share alone stay comparable.
  private mutating func happens(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }

  private mutating func carry(_ datagram: Datagram, _ now: Instant) {
    let late = TimeSpan(nanoseconds: Int64.random(in: 0...max(0, jitter.nanoseconds), using: &random))
    var arrival = now + latency + late
    let flow = Flow(from: datagram.from, to: datagram.to)
    if happens(reorder) {
      // Held back behind what is sent in the meantime.
      statistics.reordered += 1
      let hold = max(1_000_000, latency.nanoseconds + jitter.nanoseconds)
      arrival = arrival + TimeSpan(nanoseconds: Int64.random(in: 1...hold, using: &random))
    } else {
      arrival = max(arrival, queues[flow] ?? .zero)
      queues[flow] = arrival
    }
    count += 1
    let entry = InFlight(arrival: arrival, order: count, datagram: datagram)
    let place = inFlight.firstIndex { ($0.arrival, $0.order) < (entry.arrival, entry.order) } ?? inFlight.endIndex
    inFlight.insert(entry, at: place)
  }
}
