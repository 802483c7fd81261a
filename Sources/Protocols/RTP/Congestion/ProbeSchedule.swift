internal import MartletPrimitives

/// When the path is asked whether it carries more: a few packets close together (a cluster), as fast as a path of that rate would
/// take them. At first at 3 and 6 times the start; then as long as each finds more; while the stream wants more than is known to fit;
/// and now and then while it wants so little that nothing is learnt from it.
struct ProbeSchedule: Sendable {
  /// A cluster being sent.
  struct Cluster: Sendable {
    let id: UInt16
    let rate: Double
    var began: Instant?
    var sentBytes = 0
    var sentPackets = 0

    /// What shows the rate.
    private static let span = 0.015
    private static let fewestPackets = 5
    /// As many packets of the usual size.
    private static let fewestBytes = 6000
    var bytes: Int { max(Self.fewestBytes, Int(rate * Self.span / 8)) }
    var isComplete: Bool { sentBytes >= bytes && sentPackets >= Self.fewestPackets }
  }

  private static let first = [3.0, 6.0]
  private static let further = 2.0
  /// Of a cluster's rate: what makes a further one worth it.
  private static let success = 0.7
  private static let worthwhile = 1.2
  private static let interval = TimeSpan.seconds(5)
  /// A cluster that finds too little to send shows nothing.
  private static let longest = TimeSpan.milliseconds(100)
  /// More than this multiple of what the stream wants is nobody's business.
  private static let reserve = 2.0
  /// Of the estimate: what a stream that is held back wants at least, and one at most that tells nothing of the path.
  private static let (starved, limited) = (0.8, 0.65)

  private let limits: CongestionLimits
  private(set) var active: Cluster?
  private var waiting: [Double] = []
  private var lastID: UInt16 = 0
  private var last: Instant?

  init(_ limits: CongestionLimits) {
    self.limits = limits
    waiting = Self.first.map { $0 * Double(limits.start) }
    next()
  }

  /// Whether a cluster is one of those before which nothing was known.
  static func isFirst(_ id: UInt16) -> Bool { id <= first.count }

  // MARK: Sending

  /// The cluster that a packet belongs to; 0 for none.
  mutating func sent(bytes: Int, now: Instant) -> UInt16 {
    guard var cluster = active else { return 0 }
    let began = cluster.began ?? now
    guard now - began < Self.longest else {
      next()
      return 0
    }
    cluster.began = began
    cluster.sentBytes += bytes
    cluster.sentPackets += 1
    active = cluster
    last = now
    if cluster.isComplete { next() }
    return cluster.id
  }

  /// Whether the active cluster has begun, and still may show something.
  func isUnderWay(_ now: Instant) -> Bool { active?.began.map { now - $0 < Self.longest } ?? false }

  /// Bytes that are missing so far to go at the cluster's rate; padding takes their place.
  func shortage(_ now: Instant) -> Int {
    guard isUnderWay(now), let cluster = active, let began = cluster.began else { return 0 }
    let due = min(Double(cluster.bytes), cluster.rate / 8 * (now - began).seconds)
    return max(0, Int(due) - cluster.sentBytes)
  }

  private mutating func next() {
    active = nil
    guard !waiting.isEmpty else { return }
    lastID = lastID == .max ? UInt16(Self.first.count) + 1 : lastID + 1
    active = Cluster(id: lastID, rate: waiting.removeFirst())
  }

  /// - Parameter known: what is known to fit; less than some more is not worth a probe.
  private mutating func ask(_ rate: Double, above known: Double) {
    guard active == nil, rate >= known * Self.worthwhile else { return }
    waiting = [limits.bounded(rate)]
    next()
  }

  // MARK: What follows

  /// - Parameter wanted: what the stream wants to send, in bits a second.
  mutating func found(_ rate: Double, asked: Double, wanted: Double) {
    guard rate >= asked * Self.success else { return }
    ask(min(rate * Self.further, wanted * Self.reserve), above: rate)
  }

  /// - Parameters:
  ///   - reduced: when the estimate fell the last time.
  mutating func look(estimate: Double, wanted: Double, reduced: Instant?, now: Instant) {
    guard active == nil, now - (last ?? .zero) >= Self.interval, now - (reduced ?? .zero) >= Self.interval else { return }
    let isStarved = wanted > estimate * Self.starved
    let isLimited = wanted < estimate * Self.limited && estimate < wanted * Self.reserve
    if isStarved || isLimited { ask(min(estimate * Self.further, wanted * Self.reserve), above: estimate) }
  }
}
