package import MartletPrimitives

/// The 96 bits that tie a response to its request. Drawn at random, so that nobody who has not seen the request can answer it.
package struct TransactionID: Hashable, Sendable {
  package let high: UInt32
  package let low: UInt64

  package init(high: UInt32, low: UInt64) {
    self.high = high
    self.low = low
  }

  package init(random: inout RandomSource) {
    high = UInt32(truncatingIfNeeded: random.next())
    low = random.next()
  }
}
