package import MartletPrimitives

/// A whole message on a stream.
package struct SCTPMessage: Equatable, Sendable {
  package var stream: UInt16
  /// RFC 9260 §3.3.1: what the payload is, as the peer says.
  package var protocolID: UInt32
  package var isUnordered: Bool
  package var payload: Slice

  package init(stream: UInt16, protocolID: UInt32, isUnordered: Bool = false, payload: Slice) {
    self.stream = stream
    self.protocolID = protocolID
    self.isUnordered = isUnordered
    self.payload = payload
  }
}

package enum SCTPEvent: Equatable, Sendable {
  case connected
  case message(SCTPMessage)
  /// The peer began these of its streams again; all when the list is empty.
  case incomingReset([UInt16])
  /// Our streams begin again, or the peer would not have it and they go on.
  case outgoingReset([UInt16], accepted: Bool)
  /// What waits on this stream fell to its threshold.
  case bufferedAmountLow(UInt16)
  /// Nothing follows.
  case ended(SCTPEndReason)
}

/// How much a message is worth (RFC 3758, RFC 8831 §6.6).
package struct SCTPReliability: Equatable, Sendable {
  package var isUnordered = false
  /// `nil`: as often as it takes.
  package var maximumRetransmissions: UInt16?
  /// Counted from `send`; `nil`: without end.
  package var lifetime: TimeSpan?

  package init(isUnordered: Bool = false, maximumRetransmissions: UInt16? = nil, lifetime: TimeSpan? = nil) {
    self.isUnordered = isUnordered
    self.maximumRetransmissions = maximumRetransmissions
    self.lifetime = lifetime
  }

  package static let reliable = SCTPReliability()
}

package enum SCTPState: Equatable, Sendable {
  case closed, cookieWait, cookieEchoed, established, shutdownPending, shutdownSent, shutdownReceived, shutdownAckSent
  /// For good: `.ended` tells why.
  case ended
}

package struct SCTPStatistics: Equatable, Sendable {
  package var packetsSent = 0
  package var packetsReceived = 0
  /// Dropped, by `lastDrop` last.
  package var packetsDropped = 0
  package var lastDrop: SCTPError?
  /// Of payload, retransmissions not counted.
  package var bytesSent = 0
  package var bytesReceived = 0
  package var messagesSent = 0
  package var messagesReceived = 0
  package var messagesAbandoned = 0
  /// Chunks sent again, and how often the timer was what found them lost.
  package var retransmissions = 0
  package var timeouts = 0
  package var duplicatesReceived = 0
  /// Bytes.
  package var congestionWindow = 0
  package var peerWindow = 0
  package var bytesInFlight = 0
  /// Received and not taken: of messages that are incomplete, early or not polled, with something for each.
  package var bytesHeld = 0
  /// `nil` before the first measurement.
  package var roundTrip: TimeSpan?
  package var retransmissionTimeout = TimeSpan.zero

  package init() {}
}
