package import MartletPrimitives

package struct SCTPConfiguration: Sendable {
  /// RFC 8841 §5: `sctp-port` of the session descriptions.
  package var localPort: UInt16 = 5000
  package var remotePort: UInt16 = 5000
  /// Bytes of the largest SCTP packet, a multiple of four. With 37 bytes of DTLS (AES-GCM) the default makes a datagram of 1,221
  /// bytes, which IPv6's smallest MTU of 1,280 carries even through a TURN channel, and a message of 1,150 bytes travels in one packet.
  package var packetBytes = 1184
  /// Bytes received and not yet taken by `pollEvent`: the window that the peer is told.
  package var receiveBuffer = 1 << 20
  /// What is offered in INIT; each is used when the peer offers it too.
  package var extensions: SCTPExtensions = [.partialReliability, .interleaving, .reconfiguration, .zeroChecksum]
  /// RFC 8831 §6.2: as many as there are; nothing is allocated for them.
  package var outgoingStreams = UInt16.max
  package var incomingStreams = UInt16.max
  /// RFC 9260 §16 begins with 1 s and never goes below it. ICE has just measured that this path is short.
  package var initialRTO = TimeSpan.milliseconds(500)
  /// A peer may wait 200 ms with its SACK (RFC 9260 §6.2); a timer that is shorter would send again what has arrived.
  package var minimumRTO = TimeSpan.milliseconds(300)
  /// RFC 9260 has 60 s; consent (RFC 7675) ends a path that was silent for half of that.
  package var maximumRTO = TimeSpan.seconds(10)
  /// RFC 9260 §6.2 allows 200 ms; half of it keeps peers with a short timer from sending again.
  package var sackDelay = TimeSpan.milliseconds(100)
  /// RFC 9260 §16, HB.interval.
  package var heartbeatInterval = TimeSpan.seconds(30)
  /// RFC 9260 §16, Association.Max.Retrans and Max.Init.Retransmits.
  package var maximumRetransmissions = 10
  package var maximumInitRetransmissions = 8
  /// RFC 9260 §16, Valid.Cookie.Life.
  package var cookieLifetime = TimeSpan.seconds(60)
  /// Packets in the first flight: RFC 6928's ten, as TCP, against 4,380 bytes of RFC 9260 §7.2.1.
  package var initialWindowPackets = 10
  package var limits = SCTPLimits()

  package init() {}
}

package struct SCTPLimits: Sendable {
  /// Bytes of a message received; what `max-message-size` announces (RFC 8841 §6).
  package var message = 256 << 10
  /// Bytes waiting to be sent, over all streams; beyond them `send` throws.
  package var sendBuffer = 16 << 20
  /// Pieces of messages that are not complete.
  package var partialMessages = 4096
  /// Runs of TSNs behind a gap.
  package var gaps = 1024
  /// How far a TSN may be ahead of the cumulative one; a SACK can tell 65,535.
  package var tsnDistance = 32768
  /// Parameters of one INIT or INIT ACK.
  package var parameters = 32
  /// Bytes of the peer's state cookie.
  package var cookie = 1000
  /// Bytes of unknown parameters that are sent back.
  package var reportedBytes = 256
  /// Chunks queued in answer to the peer's, beyond which its requests go unanswered until some are sent.
  package var replies = 32
  /// Events that wait for `pollEvent`; resets that would make more are put off.
  package var events = 65536

  package init() {}
}
