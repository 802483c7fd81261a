internal import MartletPrimitives

extension DataChannelSession {
  /// Turns an event of the association into events of channels.
  mutating func take(_ event: SCTPEvent, now: Instant) {
    switch event {
    case .connected: connected()
    case .message(let message): receive(message, now: now)
    case .incomingReset(let streams): for id in streams.isEmpty ? Array(channels.keys) : streams { incomingReset(id) }
    case .outgoingReset(let streams, let isAccepted): for id in streams { outgoingReset(id, isAccepted: isAccepted) }
    case .bufferedAmountLow(let stream): if channels[stream] != nil { raise(.bufferedAmountLow(stream)) }
    case .ended(let reason):
      for id in channels.keys.sorted() { remove(id) }
      raise(.ended(reason))
    }
  }

  private mutating func connected() {
    raise(.connected)
    for id in channels.keys.sorted() {
      if id >= association.outgoingStreamCount {
        remove(id)
      } else if channels[id]?.options.negotiatedID != nil {
        becomeOpen(id)
      }
    }
  }

  private mutating func receive(_ message: SCTPMessage, now: Instant) {
    let id = message.stream
    guard message.protocolID != PayloadProtocol.control else { return receiveControl(message, now: now) }
    guard let channel = channels[id], channel.state != .closing else { return discard() }
    // Whoever sends on a channel has accepted it.
    if !channel.isAcknowledged { becomeOpen(id) }
    switch message.protocolID {
    case PayloadProtocol.text: deliver(.text, message)
    case PayloadProtocol.binary: deliver(.binary, message)
    case PayloadProtocol.emptyText: raise(.message(id, .text, Slice()))
    case PayloadProtocol.emptyBinary: raise(.message(id, .binary, Slice()))
    case PayloadProtocol.partialText, PayloadProtocol.partialBinary: gather(message)
    default: discard()
    }
  }

  private mutating func deliver(_ kind: DataChannelKind, _ message: SCTPMessage) {
    guard let channel = channels[message.stream], !channel.parts.isEmpty else {
      return raise(.message(message.stream, kind, message.payload))
    }
    guard gather(message) else { return }
    let whole = channels[message.stream].map { Slice($0.parts) } ?? Slice()
    partBytes -= whole.count
    channels[message.stream]?.parts = []
    raise(.message(message.stream, kind, whole))
  }

  /// Appends a part. What is too long closes the channel, whoever else would wait for memory.
  /// - Returns: whether it was kept.
  @discardableResult private mutating func gather(_ message: SCTPMessage) -> Bool {
    let count = message.payload.count
    let held = channels[message.stream]?.parts.count ?? 0
    guard held + count <= association.configuration.limits.message, partBytes + count <= association.configuration.receiveBuffer else {
      discard()
      beginClosing(message.stream)
      return false
    }
    message.payload.withUnsafeBytes { channels[message.stream]?.parts.append(contentsOf: $0) }
    partBytes += count
    return true
  }

  // MARK: Establishment (RFC 8832 §6)

  private mutating func receiveControl(_ message: SCTPMessage, now: Instant) {
    let id = message.stream
    do throws(ParseError) {
      switch try ChannelControl(parsing: message.payload.bytes, limits: limits) {
      case .ack:
        guard channels[id] != nil else { return discard() }
        becomeOpen(id)
      case .open(let options): accept(id, options, now: now)
      }
    } catch {
      // An OPEN that cannot be read is an error, which closes the stream; other messages are for a later protocol.
      if channels[id] == nil { refuse(id) } else { discard() }
    }
  }

  private mutating func accept(_ id: UInt16, _ options: DataChannelOptions, now: Instant) {
    guard channels[id] == nil else {
      discard()
      return close(id)
    }
    guard channels.count < limits.channels, id < association.outgoingStreamCount else { return refuse(id) }
    do throws(SCTPError) {
      try association.send(Slice(ChannelControl.ack.bytes), on: id, protocolID: PayloadProtocol.control, isCounted: false, now: now)
    } catch {
      return refuse(id)
    }
    channels[id] = DataChannel(options: options, state: .open, isAcknowledged: true)
    association.setWeight(options.priority, of: id)
    raise(.opened(id, options))
  }
}
