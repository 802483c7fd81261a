package import MartletPrimitives

/// What an operator may set for streams; each field is a key of the `streams` section.
package struct StreamConfiguration: Sendable {
  /// How long a stream without publisher keeps its viewers and its time line.
  package var grace = TimeSpan.seconds(10)
  /// How long a viewer waits for a stream that nobody publishes yet.
  package var waitForPublisher = TimeSpan.seconds(30)
  package var takeover = Takeover.reject
  package var latency = WireRing.Latency.frame
  package var ring = WireRing.Limits()
  /// Streams at once, over all workers.
  package var maximumStreams = 10_000

  package enum Takeover: String, Sendable, CaseIterable {
    /// The second publisher of a name is refused.
    case reject
    /// The second publisher replaces the first; viewers stay.
    case replace
  }

  package init() {}
}
