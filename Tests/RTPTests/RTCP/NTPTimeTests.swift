import MartletPrimitives
import MartletRTP
import Testing

@Suite struct NTPTimeTests {
  // RFC 3550 §4: seconds since 1900.
  @Test func `the epochs are 2,208,988,800 seconds apart`() {
    #expect(NTPTime(WallTime(milliseconds: 0)).value == UInt64(2_208_988_800) << 32)
    #expect(NTPTime(WallTime(milliseconds: 1500)).value == UInt64(2_208_988_801) << 32 | 0x8000_0000)
    #expect(NTPTime(WallTime(milliseconds: 1), offset: .microseconds(500)).value & 0xFFFF_FFFF == 6_442_450)
  }

  @Test func `wall-clock time survives, also beyond 2036`() {
    for milliseconds in [0, 1, 999, 1_700_000_000_123, 2_085_978_496_000, 2_200_000_000_001] as [Int64] {
      let wall = WallTime(milliseconds: milliseconds)
      #expect(NTPTime(wall).wallTime == wall)
    }
  }

  @Test func `spans are added and subtracted`() {
    let time = NTPTime(WallTime(milliseconds: 1_700_000_000_000))
    for span in [TimeSpan.milliseconds(1500), .milliseconds(-1500), .microseconds(1), .seconds(3600), .zero] {
      let difference = time.advanced(by: span) - time
      #expect(abs(difference.nanoseconds - span.nanoseconds) <= 1)
    }
  }

  // RFC 3550 §6.4.1, Figure 2.
  @Test func `the round trip of the RFC's example is 6.125 s`() {
    let block = ReportBlock(ssrc: 1, lastSenderReport: 0xB705_2000, delaySinceLastSenderReport: 0x0005_4000)
    let arrival = NTPTime(value: 0xB44D_B710_8000_0000)
    #expect(arrival.middle == 0xB710_8000)
    #expect(block.roundTrip(now: arrival) == .milliseconds(6125))
  }

  @Test func `without a sender report, or with clocks that contradict, there is none`() {
    #expect(ReportBlock(ssrc: 1).roundTrip(now: NTPTime(value: 5 << 32)) == nil)
    let block = ReportBlock(ssrc: 1, lastSenderReport: 6 << 16, delaySinceLastSenderReport: 1 << 16)
    #expect(block.roundTrip(now: NTPTime(value: 5 << 32)) == nil)
    #expect(block.roundTrip(now: NTPTime(value: 7 << 32)) == .zero)
  }
}
