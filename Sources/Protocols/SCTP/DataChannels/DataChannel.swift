internal import MartletPrimitives

/// One channel: a stream in each direction with the same number (RFC 8831 §6.4).
struct DataChannel {
  enum State { case connecting, open, closing }

  var options: DataChannelOptions
  var state: State
  /// Until the peer has answered OPEN everything is sent in order, behind it (RFC 8832 §6).
  var isAcknowledged: Bool
  /// Which directions have ended.
  var outgoingIsReset = false
  var incomingIsReset = false
  /// Parts of a message in the deprecated way.
  var parts: [UInt8] = []

  var reliability: SCTPReliability {
    var reliability = options.reliability
    if !isAcknowledged { reliability.isUnordered = false }
    return reliability
  }
}
