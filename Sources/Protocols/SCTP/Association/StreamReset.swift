internal import MartletPrimitives

/// Outgoing stream resets in both directions (RFC 6525 §5): one request of ours at a time, and what the peer asked last.
struct StreamReset {
  /// A request of ours that is not answered.
  struct Request {
    var number: UInt32
    var lastTSN: UInt32
    var streams: [UInt16]
  }

  var request: Request?
  /// Streams whose turn comes when the request under way is answered.
  var waiting: [UInt16]
  /// The request is to be sent, for the first time or again.
  var mustSend = false
  var nextNumber: UInt32
  /// What the peer's next request must have, and how its last one was answered.
  var expected: UInt32
  var lastResult = ResetParameter.Result.badSequenceNumber

  init(localTSN: UInt32, peerTSN: UInt32, waiting: [UInt16] = []) {
    self.waiting = waiting
    nextNumber = localTSN
    expected = peerTSN
  }

  var isDue: Bool { mustSend || (request == nil && !waiting.isEmpty) }
}
