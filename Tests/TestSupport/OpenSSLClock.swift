internal import CTestClock
package import MartletPrimitives

/// The clock that OpenSSL's DTLS timer reads, on the calling thread, in a test's hand.
package enum OpenSSLClock {
  package static func set(_ now: Instant) { martlet_test_clock_set(now.nanoseconds) }
  /// The system's time again.
  package static func release() { martlet_test_clock_release() }
}
