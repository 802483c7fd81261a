internal import MartletPrimitives

/// What the clusters of probes have shown: the lower of the rates at which they left and came.
struct ProbeResults: Sendable {
  struct Found: Sendable {
    let id: UInt16
    /// In bits a second.
    let rate: Double
    let asked: Double
  }

  private struct Record: Sendable {
    let cluster: ProbeSchedule.Cluster
    var (packets, bytes) = (0, 0)
    var firstSent: Instant, lastSent: Instant
    var firstArrival: Instant, lastArrival: Instant
    /// What was sent last, and what arrived first, lie outside the spans in which the others did.
    var lastSentBytes: Int, firstArrivalBytes: Int
    var isTold = false

    init(_ cluster: ProbeSchedule.Cluster, _ sent: Instant, _ arrival: Instant, _ bytes: Int) {
      self.cluster = cluster
      (firstSent, lastSent, firstArrival, lastArrival) = (sent, sent, arrival, arrival)
      (lastSentBytes, firstArrivalBytes) = (bytes, bytes)
    }
  }

  private static let mostRecords = 4
  /// Of a cluster: the rest may be lost.
  private static let share = 0.8
  private static let fewestPackets = 4
  private static let longest = TimeSpan.seconds(1)
  /// Packets that come this much faster than they left were held up together somewhere.
  private static let compression = 2.0
  /// Below this share of the rate sent, the path was full; it is then left a little of what it takes.
  private static let (saturated, margin) = (0.9, 0.95)

  private var asked: [ProbeSchedule.Cluster] = []
  private var records: [Record] = []

  mutating func begin(_ cluster: ProbeSchedule.Cluster) {
    guard !asked.contains(where: { $0.id == cluster.id }) else { return }
    if asked.count == Self.mostRecords { asked.removeFirst() }
    asked.append(cluster)
  }

  mutating func add(_ id: UInt16, sent: Instant, arrival: Instant, bytes: Int) {
    let index: Int
    if let known = records.firstIndex(where: { $0.cluster.id == id }) {
      index = known
    } else {
      guard let cluster = asked.first(where: { $0.id == id }) else { return }
      if records.count == Self.mostRecords { records.removeFirst() }
      records.append(Record(cluster, sent, arrival, bytes))
      index = records.count - 1
    }
    records[index].packets += 1
    records[index].bytes += bytes
    if sent >= records[index].lastSent { (records[index].lastSent, records[index].lastSentBytes) = (sent, bytes) }
    if arrival < records[index].firstArrival { (records[index].firstArrival, records[index].firstArrivalBytes) = (arrival, bytes) }
    records[index].firstSent = min(records[index].firstSent, sent)
    records[index].lastArrival = max(records[index].lastArrival, arrival)
  }

  /// What is found out since the last call, each cluster once.
  mutating func poll() -> Found? {
    for index in records.indices where !records[index].isTold {
      let record = records[index]
      guard record.packets >= Self.fewestPackets, Double(record.bytes) >= Self.share * Double(record.cluster.bytes) else { continue }
      records[index].isTold = true
      if let rate = Self.rate(record) { return Found(id: record.cluster.id, rate: rate, asked: record.cluster.rate) }
    }
    return nil
  }

  private static func rate(_ record: Record) -> Double? {
    let (sending, arriving) = (record.lastSent - record.firstSent, record.lastArrival - record.firstArrival)
    guard sending > .zero, sending <= longest, arriving > .zero, arriving <= longest else { return nil }
    let sent = Double(record.bytes - record.lastSentBytes) * 8 / sending.seconds
    let arrived = Double(record.bytes - record.firstArrivalBytes) * 8 / arriving.seconds
    guard arrived <= sent * compression else { return nil }
    // Packets leave in bursts: between the first and the last they seem faster than the cluster was.
    let rate = min(sent, arrived, record.cluster.rate)
    return arrived < saturated * min(sent, record.cluster.rate) ? arrived * margin : rate
  }
}
