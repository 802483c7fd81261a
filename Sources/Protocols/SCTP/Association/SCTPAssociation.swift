package import MartletPrimitives

/// One SCTP association over DTLS (RFC 9260, RFC 8261): messages on streams in, packets out, and back.
///
///     closed ─ start() ─▶ cookieWait ─ INIT ACK ─▶ cookieEchoed ─ COOKIE ACK ─▶ established
///       └───────────────────── COOKIE ECHO that is ours ──────────────────────────▲
///     established ─ shutdown() ─▶ shutdownPending ─▶ shutdownSent ──▶ ended
///     established ─ SHUTDOWN ─▶ shutdownReceived ─▶ shutdownAckSent ─▶ ended
///
/// Both sides may call `start`. After every call the driver takes the output until none comes, polls the events, and calls `timeout`
/// at `deadline`. Messages that are not polled count against the receive window: a driver that stops polling stops the peer.
package struct SCTPAssociation: ~Copyable {
  package let configuration: SCTPConfiguration
  package internal(set) var state = SCTPState.closed

  var random: RandomSource
  /// Authenticates our state cookies.
  let cookieKey: [UInt8]
  var localTag: UInt32
  let localTSN: UInt32
  var peer = PeerDescription()
  var counters = SCTPStatistics()
  var timers = AssociationTimers()
  var control: ControlQueue
  private var events = Deque<SCTPEvent>()
  /// Payload of the messages among the events, and something for each.
  private var eventBytes = 0

  // Handshake and its retransmissions.
  var cookieToEcho: [UInt8] = []
  var mustEchoCookie = false
  var attempts = 0
  /// Failures in a row to hear from the peer (RFC 9260 §8.1).
  var failures = 0

  // Sending.
  var streams = OutgoingStreams()
  var outstanding: OutstandingChunks
  var congestion: CongestionWindow
  var timeout: RetransmissionTimeout
  var packetNumber: Int64 = 0
  var lastDataSent = Instant.zero
  /// Data waited for the congestion window when output was taken last.
  var isWindowLimited = false
  var mustForward = false
  /// One packet may go beyond the window, to begin a recovery (RFC 9260 §7.2.4).
  var mayExceedWindow = false
  /// What is in flight was sent into a window that was shut.
  var isProbing = false
  var heartbeatSentAt: Instant?

  // Receiving.
  var received: ReceivedTSNs
  var fragments: FragmentStore
  var incoming = IncomingStreams()
  var sack = SackState()

  // Stream resets.
  var reset: StreamReset

  package init(_ configuration: SCTPConfiguration, random: RandomSource) {
    var configuration = configuration
    configuration.packetBytes = min(max(configuration.packetBytes, 256), 16384) & ~3
    self.configuration = configuration
    self.random = random
    cookieKey = self.random.bytes(32)
    localTag = UInt32.random(in: 1...UInt32.max, using: &self.random)
    localTSN = UInt32.random(in: 0...UInt32.max, using: &self.random)
    control = ControlQueue(maximum: configuration.limits.replies)
    outstanding = OutstandingChunks(firstTSN: localTSN, isInterleaved: false)
    congestion = CongestionWindow(packetBytes: configuration.packetBytes, initialPackets: configuration.initialWindowPackets)
    timeout = RetransmissionTimeout(configuration)
    received = ReceivedTSNs(initialTSN: 0, limits: configuration.limits)
    fragments = FragmentStore(limits: configuration.limits)
    reset = StreamReset(localTSN: localTSN, peerTSN: 0)
  }

  // MARK: What to read

  package var isEstablished: Bool { state == .established }

  /// What both sides speak; empty before the handshake.
  package var extensions: SCTPExtensions { peer.isKnown ? peer.extensions.intersection(configuration.extensions) : [] }

  /// Streams that may be sent on: below this number.
  package var outgoingStreamCount: UInt16 {
    peer.isKnown ? min(configuration.outgoingStreams, peer.incomingStreams) : configuration.outgoingStreams
  }

  /// Payload bytes that wait for their first transmission.
  package var bufferedBytes: Int { streams.bufferedBytes }
  package func bufferedBytes(of stream: UInt16) -> Int { streams[stream]?.bufferedBytes ?? 0 }

  package var statistics: SCTPStatistics {
    var result = counters
    result.congestionWindow = congestion.bytes
    result.peerWindow = peer.window
    result.bytesInFlight = outstanding.flightBytes
    result.bytesHeld = heldBytes
    result.roundTrip = timeout.smoothed
    result.retransmissionTimeout = timeout.value
    result.messagesAbandoned += streams.abandonedMessages
    return result
  }

  // MARK: Events

  /// The next event. Taking messages opens the receive window again.
  package mutating func pollEvent(now: Instant) -> SCTPEvent? {
    guard let event = events.popFirst() else {
      // An idle association keeps no buffers.
      events.removeAll()
      return nil
    }
    if case .message(let message) = event {
      eventBytes -= message.payload.count + IncomingStreams.messageCost
      updateWindow()
    }
    return event
  }

  mutating func raise(_ event: SCTPEvent) { events.append(event) }

  /// Delivers a message, in its turn.
  mutating func deliver(_ message: ReassembledMessage) {
    let before = events.count
    incoming.accept(message, isInterleaved: extensions.contains(.interleaving), into: &events)
    account(from: before)
  }

  mutating func skipIncoming(_ skipped: ForwardTSN.Skipped) {
    let before = events.count
    incoming.skip(skipped, isInterleaved: extensions.contains(.interleaving), into: &events)
    account(from: before)
  }

  private mutating func account(from first: Int) {
    for index in first..<events.count {
      guard case .message(let message) = events[index] else { continue }
      eventBytes += message.payload.count + IncomingStreams.messageCost
      counters.messagesReceived += 1
      counters.bytesReceived += message.payload.count
    }
  }

  var hasRoomForEvents: Bool { events.count < configuration.limits.events }

  /// Bytes received and not taken.
  var heldBytes: Int { eventBytes + fragments.heldBytes + incoming.heldBytes }

  /// What the peer is told (RFC 9260 §6.2).
  var window: UInt32 { UInt32(clamping: configuration.receiveBuffer - heldBytes) }

  // MARK: Time

  package var deadline: Instant? { state == .ended ? nil : timers.next }
}

/// What INIT or INIT ACK told about the peer.
struct PeerDescription {
  var tag: UInt32 = 0
  /// Bytes; what is in flight is taken off already.
  var window = 0
  var incomingStreams: UInt16 = 0
  var outgoingStreams: UInt16 = 0
  var extensions: SCTPExtensions = []

  var isKnown: Bool { tag != 0 }
}
