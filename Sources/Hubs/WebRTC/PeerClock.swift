package import MartletIO
package import MartletPrimitives
package import MartletRTP

/// The wall clock of a loop's sender reports: read once, then carried on by the monotonic clock, so that a step of the system's time
/// moves no picture against its sound. Also the scratch space that the sessions of a loop share.
package final class PeerClock {
  private let origin: NTPTime
  private let start: Instant
  var writer = ByteWriter(capacity: 128)
  var batch = DatagramBatch()
  var packets = DatagramBatch()

  package init(in context: LoopContext) {
    origin = NTPTime(context.wallTime)
    start = context.now
  }

  package func ntp(at now: Instant) -> NTPTime { origin.advanced(by: now - start) }
}
