internal import MartletPrimitives

/// A message that waits for its turn, perhaps in part.
struct OutgoingMessage {
  var payload: Slice
  var protocolID: UInt32
  var isUnordered: Bool
  /// It belongs to the stream's buffered bytes; control messages do not.
  var isCounted: Bool
  var retransmissionLimit: UInt16
  var expiresAt: Instant
}

/// What waits on one stream, and the numbers of its messages.
struct OutgoingStream {
  var messages = Deque<OutgoingMessage>()
  var bufferedBytes = 0
  /// `nil` until somebody wants to know.
  var lowThreshold: Int?
  var weight: UInt16 = 256
  /// No more messages are taken: the stream is to be reset.
  var isClosing = false
  /// It waits in the scheduler.
  var isScheduled = false
  /// When its next packet would be through, in the scheduler's time.
  var finish: UInt64 = 0
  /// Of the first message: bytes that have gone, its fragments so far, its identity.
  var offset = 0
  var fragments: UInt32 = 0
  var message: UInt64 = 0
  var messageNumber: UInt32 = 0
  /// Ordered and unordered messages are counted apart in I-DATA (RFC 8260 §2.1).
  private var nextOrdered: UInt32 = 0
  private var nextUnordered: UInt32 = 0

  /// - Parameter isInterleaved: I-DATA counts unordered messages too, DATA does not (RFC 9260 §6.6).
  mutating func takeNumber(isUnordered: Bool, isInterleaved: Bool) -> UInt32 {
    guard isUnordered else {
      defer { nextOrdered &+= 1 }
      return nextOrdered
    }
    guard isInterleaved else { return 0 }
    defer { nextUnordered &+= 1 }
    return nextUnordered
  }

}
