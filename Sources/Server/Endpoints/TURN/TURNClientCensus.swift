internal import MartletPrimitives

/// How many clients there are of a kind that costs something before it has shown a password, in all and of one address; loopback is
/// everybody behind a proxy, and has no share.
internal struct TURNClientCensus {
  internal let total: Int
  internal let perOrigin: Int
  internal private(set) var count = 0
  private var origins = Tally<IPAddress>()

  /// Connections without an allocation: each is a descriptor.
  internal static let connections = TURNClientCensus(total: 1024, perOrigin: 64)
  /// Associations over DTLS: each is some 40 KiB.
  internal static let associations = TURNClientCensus(total: 4096, perOrigin: 128)

  private init(total: Int, perOrigin: Int) { (self.total, self.perOrigin) = (total, perOrigin) }

  /// Counts one in; false when there are too many of its address, or of all.
  internal mutating func add(_ ip: IPAddress) -> Bool {
    let origin = ip.origin
    guard count < total, origin.isLoopback || origins[origin] < perOrigin else { return false }
    count += 1
    origins.add(origin)
    return true
  }

  /// One that was counted in is gone.
  internal mutating func remove(_ ip: IPAddress) {
    count -= 1
    origins.remove(ip.origin)
  }
}
