import MartletPrimitives
import Testing

@testable import MartletEndpoints

/// What clients of the TURN server may take together.
@Suite struct TURNLimitTests {
  private func quotas(_ total: Int, _ perUser: Int, _ perAddress: Int) -> TURNQuotas {
    var limits = TURNConfiguration.Limits()
    (limits.total, limits.perUser, limits.perAddress) = (total, perUser, perAddress)
    return TURNQuotas(limits)
  }

  private func holder(_ user: String, _ host: UInt32) -> TURNQuotas.Holder {
    TURNQuotas.Holder(user: user, client: .v4(0x0808_0000 + host))
  }

  @Test func `relayed addresses are counted in total, by user and by client address, and given back`() {
    let quotas = quotas(5, 3, 2)
    #expect(quotas.take(for: holder("ann", 1)) && quotas.take(for: holder("ann", 1)))
    #expect(!quotas.take(for: holder("bob", 1)))
    #expect(quotas.take(for: holder("ann", 2)) && !quotas.take(for: holder("ann", 3)))
    #expect(quotas.take(for: holder("bob", 3)) && quotas.take(for: holder("bob", 4)) && !quotas.take(for: holder("carol", 5)))
    quotas.giveBack(for: holder("ann", 1))
    #expect(quotas.take(for: holder("carol", 1)) && quotas.total == 5)
  }

  @Test func `a pair of ports is had whole or not at all`() {
    let quotas = quotas(3, 3, 3)
    #expect(quotas.take(2, for: holder("ann", 1)) && !quotas.take(2, for: holder("bob", 2)) && quotas.take(for: holder("bob", 2)))
  }

  @Test func `hosts of one IPv6 network are one, and loopback is everybody`() {
    let quotas = quotas(100, 100, 1)
    let network = UInt64(0x2001_0DB8) << 32
    #expect(quotas.take(for: TURNQuotas.Holder(user: "ann", client: .v6(high: network, low: 1))))
    #expect(!quotas.take(for: TURNQuotas.Holder(user: "bob", client: .v6(high: network, low: 2))))
    #expect(quotas.take(for: TURNQuotas.Holder(user: "bob", client: .v6(high: network + 1, low: 2))))
    for _ in 0..<3 { #expect(quotas.take(for: TURNQuotas.Holder(user: "bob", client: .v4(0x7F00_0001)))) }
  }

  @Test(arguments: [(TURNClientCensus.connections, 1024, 64), (.associations, 4096, 128)])
  func `who has shown no password has so many places, of one address and of all`(empty: TURNClientCensus, total: Int, perOrigin: Int) {
    var census = empty
    func add(_ host: UInt32) -> Bool { census.add(.v4(0x0808_0000 + host)) }
    #expect((0..<perOrigin * 2).count { _ in add(1) } == perOrigin)
    census.remove(.v4(0x0808_0001))
    #expect((0..<2).count { _ in add(1) } == 1)
    // Loopback is everybody, and fills what is left.
    #expect((0..<total).count { _ in census.add(.v4(0x7F00_0001)) } == total - perOrigin && census.count == total)
    #expect(!add(2))
    census.remove(.v4(0x7F00_0001))
    let hasPlace = add(2)
    #expect(hasPlace)
  }

  @Test func `limits that change count for who comes then`() {
    let quotas = quotas(1, 1, 1)
    #expect(quotas.take(for: holder("ann", 1)) && !quotas.take(for: holder("bob", 2)))
    quotas.setLimits(TURNConfiguration.Limits())
    #expect(quotas.take(for: holder("bob", 2)))
  }

  @Test func `a user's packets pass at the rate, a second's worth at once`() {
    let (rate, start) = (TURNUserRate(), Instant.zero + .seconds(10))
    func passes(_ direction: TURNUserRate.Direction, at now: Instant) -> Int {
      (0..<100).count { _ in rate.take(100, direction, rate: 1000, now: now) }
    }
    #expect(passes(.up, at: start) == 10 && passes(.down, at: start) == 10)
    #expect(passes(.up, at: start + .milliseconds(500)) == 5)
    #expect(passes(.up, at: start + .seconds(60)) == 10)
    #expect(rate.take(1 << 20, .up, rate: 0, now: start))
    // What a TCP connection has carried already is waited for, and counts against packets.
    #expect(rate.charge(1500, .up, rate: 1000, now: start + .seconds(120)) == .milliseconds(500))
    #expect(passes(.up, at: start + .seconds(121)) == 5)
  }

  @Test func `of a flood of refusals ten a second are told, and the next says how many were not`() {
    var log = LogThrottle()
    let start = Instant.zero + .seconds(10)
    #expect((0..<50).compactMap { _ in log.admit(now: start) } == Array(repeating: 0, count: 10))
    #expect(log.admit(now: start + .seconds(1)) == 40)
    #expect(log.admit(now: start + .seconds(1)) == 0)
  }
}
