internal import MartletPrimitives

/// Permissions that were given a moment ago, so that a webhook is not asked for each segment, and what their viewers were
/// sent since their stream's home heard of them.
internal struct HLSPermits {
  /// How long a decision holds at most.
  internal static let lifetime = TimeSpan.seconds(10)
  private static let visitInterval = TimeSpan.seconds(1)
  private static let limit = 100_000

  /// What a viewer's home is told.
  internal struct Report: Equatable {
    var bytes: Int
    var user: String?
    var tokenID: String?
  }

  private struct Permit {
    var until: Instant
    let user: String?
    let tokenID: String?
    var lastVisit: Instant?
    var bytes = 0
  }

  private var permits: [HLSViewerKey: Permit] = [:]

  internal func isAllowed(_ key: HLSViewerKey, now: Instant) -> Bool { permits[key].map { $0.until > now } ?? false }

  /// - Parameter expires: from now, when the permission itself ends.
  internal mutating func allow(_ key: HLSViewerKey, user: String?, tokenID: String?, expires: TimeSpan?, now: Instant) {
    if permits.count >= Self.limit {
      permits = permits.filter { $0.value.until > now }
      if permits.count >= Self.limit { permits.removeAll() }
    }
    let earlier = permits[key]
    permits[key] = Permit(
      until: now + min(Self.lifetime, expires ?? Self.lifetime), user: user, tokenID: tokenID, lastVisit: earlier?.lastVisit,
      bytes: earlier?.bytes ?? 0)
  }

  /// Counts what a viewer is sent. Answers the bytes since the last report, and who it is, when a report is due.
  internal mutating func visit(_ key: HLSViewerKey, bytes: Int, now: Instant) -> Report? {
    guard var permit = permits[key] else { return Report(bytes: bytes) }
    permit.bytes += bytes
    defer { permits[key] = permit }
    if let last = permit.lastVisit, now - last < Self.visitInterval { return nil }
    permit.lastVisit = now
    defer { permit.bytes = 0 }
    return Report(bytes: permit.bytes, user: permit.user, tokenID: permit.tokenID)
  }
}
