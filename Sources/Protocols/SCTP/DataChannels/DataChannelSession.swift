package import MartletPrimitives

/// The data channels of a peer connection over one SCTP association (RFC 8831, RFC 8832).
///
/// After every call the driver polls the events until there are none, then takes the output until none comes (events may make
/// output), and calls `timeout` at `deadline`. Not polling stops the peer once the receive buffer is full.
package struct DataChannelSession: ~Copyable {
  package internal(set) var association: SCTPAssociation
  /// What is sent is bounded by the peer's session description, which may come later.
  package var limits: DataChannelLimits
  /// Messages for no channel, unknown control messages and channels that were refused.
  package private(set) var discarded = 0

  /// RFC 8832 §6: the DTLS client opens channels on even streams, the server on odd ones.
  let isClient: Bool
  var channels: [UInt16: DataChannel] = [:]
  private var events = Deque<DataChannelEvent>()
  /// Streams that the peer would not reset: their numbers cannot begin again.
  private var retired: Set<UInt16> = []
  /// Streams of channels that were refused.
  private var refused: Set<UInt16> = []
  /// Bytes of all parts.
  var partBytes = 0

  package init(_ configuration: SCTPConfiguration, isClient: Bool, limits: DataChannelLimits = DataChannelLimits(), random: RandomSource) {
    association = SCTPAssociation(configuration, random: random)
    self.isClient = isClient
    self.limits = limits
  }

  // MARK: The association

  /// Begins the handshake; both sides may, once DTLS is connected.
  package mutating func start(now: Instant) { association.start(now: now) }
  package mutating func receive(_ packet: RawSpan, now: Instant) { association.receive(packet, now: now) }
  package mutating func timeout(now: Instant) { association.timeout(now: now) }
  package var deadline: Instant? { association.deadline }
  package var statistics: SCTPStatistics { association.statistics }
  /// Sends what waits on all channels, then ends the association with the peer's consent.
  package mutating func shutdown(now: Instant) { association.shutdown(now: now) }
  package mutating func abort() { association.abort() }

  package mutating func takeOutput(into batch: inout DatagramBatch, maximumPackets: Int = 64, now: Instant) {
    association.takeOutput(into: &batch, maximumPackets: maximumPackets, now: now)
  }

  // MARK: Commands

  /// Opens a channel, before the handshake too. Messages may be sent at once (RFC 8832 §6); `.open` comes when the peer has agreed.
  package mutating func open(_ options: DataChannelOptions, now: Instant) throws(DataChannelError) -> UInt16 {
    guard options.maximumRetransmissions == nil || options.lifetime == nil else { throw .contradictoryReliability }
    try check("a label", options.label, limits.label)
    try check("a protocol", options.protocolName, limits.protocolName)
    guard association.state != .ended else { throw .transport(.closed) }
    guard channels.count < limits.channels else { throw .tooManyChannels(maximum: limits.channels) }
    if let id = options.negotiatedID { return try openNegotiated(id, options) }
    guard let id = freeID() else { throw .tooManyChannels(maximum: Int(association.outgoingStreamCount) / 2) }
    try queue(ChannelControl.open(options).bytes, on: id, now: now)
    add(id, options, isAcknowledged: false)
    return id
  }

  private func check(_ what: String, _ text: String, _ maximum: Int) throws(DataChannelError) {
    let bytes = text.utf8.count
    guard bytes <= min(maximum, 65535) else { throw .tooLong(what, bytes: bytes, maximum: min(maximum, 65535)) }
  }

  private mutating func openNegotiated(_ id: UInt16, _ options: DataChannelOptions) throws(DataChannelError) -> UInt16 {
    guard id < association.outgoingStreamCount else { throw .invalidID(id) }
    guard isFree(id) else { throw .idInUse(id) }
    add(id, options, isAcknowledged: true)
    if association.isEstablished { becomeOpen(id) }
    return id
  }

  private mutating func add(_ id: UInt16, _ options: DataChannelOptions, isAcknowledged: Bool) {
    channels[id] = DataChannel(options: options, state: .connecting, isAcknowledged: isAcknowledged)
    association.setWeight(options.priority, of: id)
  }

  private func isFree(_ id: UInt16) -> Bool { channels[id] == nil && !retired.contains(id) && !refused.contains(id) }

  private func freeID() -> UInt16? {
    stride(from: isClient ? 0 : 1, to: Int(association.outgoingStreamCount), by: 2).lazy.map { UInt16($0) }.first { isFree($0) }
  }

  private mutating func queue(_ bytes: [UInt8], on id: UInt16, now: Instant) throws(DataChannelError) {
    do throws(SCTPError) {
      try association.send(Slice(bytes), on: id, protocolID: PayloadProtocol.control, isCounted: false, now: now)
    } catch {
      throw .transport(error)
    }
  }

  /// Queues a message; its bytes are shared, not copied.
  /// - Returns: false when more waits on the channel than `highWater`: the sender should wait for `bufferedAmountLow`.
  @discardableResult package mutating func send(
    _ kind: DataChannelKind, _ payload: Slice, on id: UInt16, now: Instant
  ) throws(DataChannelError) -> Bool {
    guard let channel = channels[id], channel.state != .closing else { throw .notOpen(id) }
    guard payload.count <= limits.outgoingMessage else {
      throw .transport(.messageTooLarge(bytes: payload.count, maximum: limits.outgoingMessage))
    }
    let isEmpty = payload.isEmpty
    let number =
      switch kind {
      case .text: isEmpty ? PayloadProtocol.emptyText : PayloadProtocol.text
      case .binary: isEmpty ? PayloadProtocol.emptyBinary : PayloadProtocol.binary
      }
    do throws(SCTPError) {
      try association.send(isEmpty ? [0] : payload, on: id, protocolID: number, channel.reliability, now: now)
    } catch {
      throw .transport(error)
    }
    return bufferedAmount(of: id) <= limits.highWater
  }

  @discardableResult package mutating func send(
    _ kind: DataChannelKind, copying payload: RawSpan, on id: UInt16, now: Instant
  ) throws(DataChannelError) -> Bool {
    try send(kind, Slice(copying: payload), on: id, now: now)
  }

  /// Closes a channel once what waits on it has gone; `.closed` comes when the peer has closed its side too.
  package mutating func close(_ id: UInt16) {
    guard let channel = channels[id], channel.state != .closing else { return }
    beginClosing(id)
  }

  /// The channel's share among those that have something to send.
  package mutating func setPriority(_ priority: UInt16, of id: UInt16) {
    guard channels[id] != nil else { return }
    channels[id]?.options.priority = priority
    association.setWeight(priority, of: id)
  }

  /// `bufferedAmountLow` is raised when what waits falls to this; it is not before a threshold is set.
  package mutating func setLowThreshold(_ bytes: Int, of id: UInt16) {
    guard channels[id] != nil else { return }
    association.setLowThreshold(bytes, of: id)
  }

  /// Payload bytes that wait for their first transmission.
  package func bufferedAmount(of id: UInt16) -> Int { association.bufferedBytes(of: id) }
  package func options(of id: UInt16) -> DataChannelOptions? { channels[id]?.options }
  package var channelCount: Int { channels.count }

  // MARK: Events

  package mutating func pollEvent(now: Instant) -> DataChannelEvent? {
    while true {
      if let event = events.popFirst() { return event }
      guard let event = association.pollEvent(now: now) else {
        events.removeAll()
        return nil
      }
      take(event, now: now)
    }
  }

  mutating func raise(_ event: DataChannelEvent) { events.append(event) }
  mutating func discard() { discarded += 1 }

  mutating func becomeOpen(_ id: UInt16) {
    channels[id]?.isAcknowledged = true
    guard channels[id]?.state == .connecting else { return }
    channels[id]?.state = .open
    raise(.open(id))
  }

  // MARK: Closing (RFC 8831 §6.7)

  mutating func beginClosing(_ id: UInt16) {
    channels[id]?.state = .closing
    partBytes -= channels[id]?.parts.count ?? 0
    channels[id]?.parts = []
    guard !association.resetOutgoing(id) else { return }
    // Without resets the number cannot be used again.
    retired.insert(id)
    remove(id)
  }

  mutating func remove(_ id: UInt16) {
    guard let channel = channels.removeValue(forKey: id) else { return }
    partBytes -= channel.parts.count
    raise(.closed(id))
  }

  mutating func incomingReset(_ id: UInt16) {
    guard let channel = channels[id] else { return }
    channels[id]?.incomingIsReset = true
    if channel.state != .closing {
      beginClosing(id)
    } else if channel.outgoingIsReset {
      remove(id)
    }
  }

  mutating func outgoingReset(_ id: UInt16, isAccepted: Bool) {
    refused.remove(id)
    if !isAccepted { retired.insert(id) }
    guard let channel = channels[id] else { return }
    channels[id]?.outgoingIsReset = true
    // A peer that refuses to reset our stream will hardly reset its own.
    if channel.incomingIsReset || !isAccepted { remove(id) }
  }

  /// Refuses a channel of the peer (RFC 8832 §6).
  mutating func refuse(_ id: UInt16) {
    discard()
    guard refused.count < limits.refusals, association.resetOutgoing(id) else { return }
    refused.insert(id)
  }
}
