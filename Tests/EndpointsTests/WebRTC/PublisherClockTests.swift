@testable import MartletEndpoints
import MartletPrimitives
import MartletRTP
import Testing

@Suite struct PublisherClockTests {
  private static let second: UInt64 = 1 << 32

  /// Milliseconds on the line.
  private static func milliseconds(_ ticks: Int64, _ rate: Int64) -> Int64 { ticks * 1000 / rate }

  @Test func `without reports a track lies where its first packet came`() {
    var clock = PublisherClock(tracks: 2, start: .zero)
    // Ticks and nanoseconds do not divide evenly.
    #expect(abs(clock.place(1_000_000, of: 0, rate: 90_000, now: .zero + .milliseconds(100)) - 9000) <= 1)
    #expect(abs(clock.place(1_003_000, of: 0, rate: 90_000, now: .zero + .milliseconds(170)) - 12_000) <= 1)
    #expect(abs(clock.place(5, of: 1, rate: 48_000, now: .zero + .milliseconds(250)) - 12_000) <= 1)
  }

  @Test func `reports put sound and picture in step, wherever their clocks begin`() {
    var clock = PublisherClock(tracks: 2, start: .zero)
    let now = Instant.zero + .milliseconds(500)
    // The picture was captured with the sound but took 200 ms longer to come.
    _ = clock.place(777_000, of: 0, rate: 48_000, now: now)
    clock.receive(MediaClock(ntp: NTPTime(value: 9 * Self.second), timestamp: 777_000, rate: 48_000), of: 0, now: now)
    _ = clock.place(12_000_000, of: 1, rate: 90_000, now: now + .milliseconds(200))
    clock.receive(
      MediaClock(ntp: NTPTime(value: 9 * Self.second), timestamp: 12_000_000, rate: 90_000), of: 1, now: now + .milliseconds(200))
    let sound = clock.place(777_000 + 48_000, of: 0, rate: 48_000, now: now + .seconds(1))
    let picture = clock.place(12_000_000 + 90_000, of: 1, rate: 90_000, now: now + .seconds(1))
    #expect(Self.milliseconds(sound, 48_000) == 1500)
    #expect(abs(Self.milliseconds(picture, 90_000) - 1500) <= 1)
  }

  @Test func `a report that comes late is followed slowly, and the line never goes back`() {
    var clock = PublisherClock(tracks: 2, start: .zero)
    _ = clock.place(0, of: 0, rate: 48_000, now: .zero)
    clock.receive(MediaClock(ntp: NTPTime(value: 5 * Self.second), timestamp: 0, rate: 48_000), of: 0, now: .zero)
    _ = clock.place(0, of: 1, rate: 90_000, now: .zero)
    // Ten seconds later it turns out that the picture is 100 ms too late on the line.
    let report = NTPTime(value: 15 * Self.second - Self.second / 10)
    clock.receive(MediaClock(ntp: report, timestamp: 900_000, rate: 90_000), of: 1, now: .zero + .seconds(10))
    var last: Int64 = -1
    var offsets: [Int64] = []
    for frame in 0..<1200 as Range<Int64> {
      let ticks = 900_000 + frame * 3000
      let place = clock.place(ticks, of: 1, rate: 90_000, now: .zero + .seconds(10) + TimeSpan(nanoseconds: frame * 33_333_333))
      #expect(place > last)
      last = place
      offsets.append(Self.milliseconds(place - ticks, 90_000))
    }
    #expect(offsets[1] > -60)
    #expect(offsets.last == -100)
  }

  @Test func `a report from another clock altogether changes nothing`() {
    var clock = PublisherClock(tracks: 1, start: .zero)
    _ = clock.place(0, of: 0, rate: 90_000, now: .zero)
    clock.receive(MediaClock(ntp: NTPTime(value: 5 * Self.second), timestamp: 0, rate: 90_000), of: 0, now: .zero)
    clock.receive(MediaClock(ntp: NTPTime(value: 5000 * Self.second), timestamp: 90_000, rate: 90_000), of: 0, now: .zero + .seconds(1))
    #expect(clock.place(180_000, of: 0, rate: 90_000, now: .zero + .seconds(2)) == 180_000)
  }
}
