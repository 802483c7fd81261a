internal import MartletPrimitives

/// A channel at its home: the one place that gives messages their offsets.
internal final class Channel {
  internal let log: ChannelLog
  /// Replicas on other workers, by worker: the offset each gets next.
  internal var replicas: [Int: Int] = [:]
  /// With the place of each among all that ever came.
  private var members: [String: (place: Int, member: Member)] = [:]
  private var joins = 0
  private var keys = RecentKeys()
  /// Where its messages are kept, if it is durable.
  internal var commits: ChannelCommits?
  /// When somebody last published here or asked for it.
  internal var lastUsed: Instant
  internal private(set) var published = 0

  /// Presence of so many members at most: beyond, who comes is not listed.
  internal static let maximumMembers = 20_000

  internal init(_ log: ChannelLog, now: Instant) {
    self.log = log
    lastUsed = now
  }

  /// The place of the first message that was published with this key.
  internal func earlier(_ key: String?) -> Cursor? {
    key.flatMap { keys.offset(of: $0) }.map { Cursor(epoch: log.epoch, offset: $0) }
  }

  /// Ages must not go back with the clock.
  internal func time(_ now: WallTime) -> WallTime { max(now, log.newest?.time ?? now) }

  /// Takes the next message.
  internal func append(_ message: Message) {
    if let key = message.draft.key { keys.insert(key, offset: message.offset) }
    published += 1
    log.append(message)
  }

  internal func restore(key: String, offset: Int) { keys.insert(key, offset: offset) }

  /// - Returns: whether the member is new.
  internal func join(_ member: Member) -> Bool {
    guard members[member.id] != nil || members.count < Self.maximumMembers else { return false }
    let place = members[member.id]?.place ?? joins
    joins = max(joins, place + 1)
    return members.updateValue((place, member), forKey: member.id) == nil
  }

  internal func leave(_ id: String) -> Member? { members.removeValue(forKey: id)?.member }

  internal var memberCount: Int { members.count }

  /// The longest connected first; of one millisecond, who joined first.
  internal var sortedMembers: [Member] {
    members.values.sorted { ($0.member.since, $0.place) < ($1.member.since, $1.place) }.map(\.member)
  }
}

/// The idempotency keys of the newest publications.
private struct RecentKeys {
  private var offsets: [String: Int] = [:]
  private var order = Deque<String>()
  private static let limit = 1000

  func offset(of key: String) -> Int? { offsets[key] }

  mutating func insert(_ key: String, offset: Int) {
    guard offsets.updateValue(offset, forKey: key) == nil else { return }
    order.append(key)
    if order.count > Self.limit, let oldest = order.popFirst() { offsets[oldest] = nil }
  }
}
