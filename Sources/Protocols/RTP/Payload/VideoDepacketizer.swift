internal import MartletPrimitives

/// What a video codec does with the payloads of one access unit.
protocol UnitAssembler: Sendable {
  /// Whether a payload is surely the first of its access unit, whatever came before.
  func beginsUnit(_ payload: RawSpan) -> Bool
  /// Adds a payload to the unit at hand. A throw makes the unit worthless.
  mutating func append(_ payload: Slice) throws(ParseError)
  /// Bytes held, a fragment under way included.
  var byteCount: Int { get }
  /// Whether there is a picture, so that the unit can end; parameter sets alone wait for one.
  var hasPicture: Bool { get }
  /// The unit, or `nil` when a part of it is unfinished. The assembler is empty afterwards.
  mutating func finish() -> (payload: Slice, isKey: Bool)?
  mutating func removeAll()
}

/// Finds the borders of access units in a stream of packets, and the gaps.
struct VideoDepacketizer<Assembler: UnitAssembler>: Sendable {
  private struct Unit {
    var timestamp: Int64
    var first: Int64, last: Int64
    var packets = 0
    var isBroken = false
  }

  private var assembler: Assembler
  private let limits: PayloadLimits
  private var unit: Unit?
  private var expected: Int64?
  /// Packets are missing before the next one, or it is the first of all: nobody knows whether a unit begins with it.
  private var isAfterGap = true

  init(_ assembler: Assembler, limits: PayloadLimits) {
    self.assembler = assembler
    self.limits = limits
  }

  mutating func receive(_ packet: SequencedPayload, into events: inout [DepacketizerEvent]) {
    if let expected {
      guard packet.sequence >= expected else { return }
      if packet.sequence > expected { gap(&events) }
    }
    expected = packet.sequence &+ 1
    // Padding alone: senders probe the path with it.
    guard !packet.payload.isEmpty else { return }
    if let open = unit, open.timestamp != packet.timestamp { timestampChanged(packet, &events) }
    if unit == nil { begin(packet, &events) }
    isAfterGap = false
    add(packet, &events)
    if packet.marker { end(&events) }
  }

  private mutating func gap(_ events: inout [DepacketizerEvent]) {
    events.append(.lost)
    isAfterGap = true
    unit?.isBroken = true
    assembler.removeAll()
  }

  private mutating func begin(_ packet: SequencedPayload, _ events: inout [DepacketizerEvent]) {
    var new = Unit(timestamp: packet.timestamp, first: packet.sequence, last: packet.sequence)
    if isAfterGap, !assembler.beginsUnit(packet.payload.bytes) { new.isBroken = true }
    unit = new
  }

  /// The marker is a hint that some senders leave out. Parameter sets with a time of their own go to the picture behind them.
  private mutating func timestampChanged(_ packet: SequencedPayload, _ events: inout [DepacketizerEvent]) {
    if unit?.isBroken == false, !assembler.hasPicture { unit?.timestamp = packet.timestamp } else { end(&events) }
  }

  private mutating func add(_ packet: SequencedPayload, _ events: inout [DepacketizerEvent]) {
    guard var open = unit, !open.isBroken else { return }
    open.last = packet.sequence
    open.packets += 1
    do throws(ParseError) {
      try assembler.append(packet.payload)
      guard assembler.byteCount <= limits.accessUnitBytes else { throw .limit("bytes of an access unit", maximum: limits.accessUnitBytes) }
      guard open.packets <= limits.accessUnitPackets else { throw .limit("packets of an access unit", maximum: limits.accessUnitPackets) }
    } catch {
      open.isBroken = true
      assembler.removeAll()
      events.append(.lost)
    }
    unit = open
  }

  private mutating func end(_ events: inout [DepacketizerEvent]) {
    guard let open = unit else { return }
    if open.isBroken {
      unit = nil
      return
    }
    // Some cameras set the marker behind each parameter set.
    guard assembler.hasPicture else { return }
    unit = nil
    guard let whole = assembler.finish() else { return events.append(.lost) }
    let sequences = open.first...max(open.first, open.last)
    events.append(.unit(AccessUnit(timestamp: open.timestamp, isKey: whole.isKey, payload: whole.payload, sequences: sequences)))
  }
}
