internal import MartletPrimitives

/// How many refusals an address got lately. Addresses may be forged, so nothing is kept for each: they share a fixed number of
/// buckets by a hash that nobody outside knows. Two in one bucket share what it allows.
struct RefusalMeter: Sendable {
  private static let buckets = 4096

  private let key: UInt64
  private var meters: [RatePolicer] = []

  init(random: inout RandomSource) { key = random.next() | 1 }

  /// Whether one more may leave. Nobody outside can forge loopback.
  mutating func admits(_ ip: IPAddress, _ limits: TURNServerConfiguration.Limits, now: Instant) -> Bool {
    guard !ip.isLoopback else { return true }
    if meters.isEmpty { meters = Array(repeating: RatePolicer(), count: Self.buckets) }
    let burst = RatePolicer.time(for: limits.refusalBurst, at: limits.refusals)
    return meters[bucket(ip)].take(1, rate: limits.refusals, burst: burst, now: now)
  }

  private func bucket(_ ip: IPAddress) -> Int {
    // Hosts choose the lower half of an IPv6 address themselves.
    let value: UInt64 =
      switch ip {
      case .v4(let address): UInt64(address)
      case .v6(let high, _): high
      }
    var mixed = (value ^ key) &* 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ mixed >> 29) &* key
    return Int(truncatingIfNeeded: mixed >> 52) & (Self.buckets - 1)
  }
}
