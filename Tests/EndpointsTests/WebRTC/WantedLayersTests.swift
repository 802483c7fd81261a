import MartletPrimitives
import Testing

@testable import MartletEndpoints

@Suite struct WantedLayersTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  @Test func `all layers are asked for until it is known that nobody watches them`() {
    var wanted = WantedLayers(count: 3)
    #expect(wanted.asked == 0b111)
    let changes = [.zero, .seconds(3), WantedLayers.patience].map { wanted.update(watched: 0b001, now: start + $0) }
    #expect(changes == [false, false, true])
    #expect(wanted.asked == 0b001 && wanted.contains(0) && !wanted.contains(1))
  }

  @Test func `what is watched again is asked for at once`() {
    var wanted = WantedLayers(count: 2)
    _ = wanted.update(watched: 0, now: start)
    let isAtRest = wanted.update(watched: 0, now: start + .seconds(10)) && wanted.asked == 0
    let isAwake = wanted.update(watched: 0b10, now: start + .seconds(10)) && wanted.asked == 0b10
    #expect(isAtRest && isAwake)
  }

  @Test func `who looks away for a moment changes nothing`() {
    var wanted = WantedLayers(count: 1)
    let changes = (0..<20).map { wanted.update(watched: $0 % 3 == 0 ? 1 : 0, now: start + .seconds($0)) }
    #expect(!changes.contains(true))
  }

  @Test(arguments: [0, 1, 8, 31, 32, 100]) func `layers beyond what a track may have are nobody's`(_ count: Int) {
    let wanted = WantedLayers(count: count)
    #expect((0..<UInt8(count)).allSatisfy { wanted.contains($0) == ($0 < 32) })
  }
}
