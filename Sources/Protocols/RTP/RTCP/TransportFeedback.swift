package import MartletPrimitives

/// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): when each of a run of
/// packets, numbered across all streams of a transport, arrived.
package struct TransportFeedback: Equatable, Sendable {
  static let format = 15
  /// Of `deltas`.
  package static let deltaUnit = TimeSpan.microseconds(250)
  /// Of `referenceTime`.
  package static let referenceUnit = TimeSpan.milliseconds(64)

  package var sender: UInt32
  package var media: UInt32
  /// The transport-wide number of the first of `deltas`.
  package var baseSequenceNumber: UInt16
  /// 24 bits, signed, in units of 64 ms on the receiver's clock: what the first delta counts from.
  package var referenceTime: Int32
  /// One higher with each feedback packet.
  package var feedbackCount: UInt8
  /// For each packet its arrival after the previous one that arrived, in units of 250 µs; `nil` for those that did not.
  package var deltas: [Int16?]

  package init(
    sender: UInt32, media: UInt32, baseSequenceNumber: UInt16, referenceTime: Int32, feedbackCount: UInt8, deltas: [Int16?]
  ) {
    self.sender = sender
    self.media = media
    self.baseSequenceNumber = baseSequenceNumber
    self.referenceTime = referenceTime
    self.feedbackCount = feedbackCount
    self.deltas = deltas
  }

  /// A packet's status (§3.1.1), as chunks encode it.
  enum Symbol: UInt16 { case notReceived = 0, smallDelta, largeDelta, reserved }

  static func symbol(_ delta: Int16?) -> Symbol {
    guard let delta else { return .notReceived }
    return (0...255).contains(delta) ? .smallDelta : .largeDelta
  }
}
