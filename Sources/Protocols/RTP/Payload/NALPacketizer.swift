import MartletCodecs
internal import MartletPrimitives

/// H.264 and HEVC: small NAL units together in one packet, large ones in fragments, the others alone.
struct NALPacketizer: Sendable {
  private let syntax: NALSyntax
  private let maximumSize: Int
  /// False in packetization mode 0 of H.264, which knows neither aggregates nor fragments.
  private let aggregates: Bool
  private var parameterSets: [Slice] = []
  /// Of the access unit at hand.
  private var units: [Slice] = []

  init(_ syntax: NALSyntax, maximumSize: Int, aggregates: Bool) {
    self.syntax = syntax
    self.maximumSize = maximumSize
    self.aggregates = aggregates
  }

  /// - Parameter record: the body of `avcC` or `hvcC`; nothing is known when it is empty.
  mutating func setConfiguration(_ record: Slice) throws(ParseError) {
    parameterSets = []
    guard !record.isEmpty else { return }
    if syntax == .h264 {
      let configuration = try H264Configuration(record)
      parameterSets = configuration.sps + configuration.pps
    } else {
      let configuration = try HEVCConfiguration(record)
      parameterSets = configuration.vps + configuration.sps + configuration.pps
    }
  }

  mutating func packetize(_ accessUnit: Slice, isKey: Bool, into payloads: inout RTPPayloads) throws(PayloadError) {
    defer { units.removeAll(keepingCapacity: true) }
    do { try collect(accessUnit, isKey: isKey) } catch { throw .malformed(error) }
    var index = 0
    while index < units.count {
      let end = aggregates ? aggregateEnd(from: index) : index + 1
      if end > index + 1 {
        aggregate(index..<end, into: &payloads)
      } else if units[index].count <= maximumSize {
        payloads.append(units[index])
        payloads.endPayload()
      } else {
        guard aggregates else { throw .tooLarge("a NAL unit in packetization mode 0", bytes: units[index].count, maximum: maximumSize) }
        fragment(units[index], into: &payloads)
      }
      index = end
    }
  }

  private mutating func collect(_ accessUnit: Slice, isKey: Bool) throws(ParseError) {
    var source = NALUnits(accessUnit)
    var hasParameterSets = false
    while let unit = try source.next() {
      guard unit.count >= syntax.headerSize, let first = unit.bytes.byte(at: 0) else { continue }
      let type = syntax.type(first)
      guard syntax.isUnit(type), !syntax.isDispensable(type) else { continue }
      hasParameterSets = hasParameterSets || syntax.isParameterSet(type)
      units.append(unit)
    }
    // A viewer who comes late, or lost them, decodes from here.
    if isKey, !hasParameterSets { units.insert(contentsOf: parameterSets, at: 0) }
  }

  /// The end of the run of units that fit into one packet.
  private func aggregateEnd(from start: Int) -> Int {
    var size = syntax.headerSize
    var end = start
    while end < units.count, size + 2 + units[end].count <= maximumSize {
      size += 2 + units[end].count
      end += 1
    }
    return max(end, start + 1)
  }

  /// STAP-A (RFC 6184 §5.7.1) or AP (RFC 7798 §4.4.2).
  private func aggregate(_ range: Range<Int>, into payloads: inout RTPPayloads) {
    appendAggregateHeader(range, to: &payloads)
    for unit in units[range] {
      payloads.append(UInt16(truncatingIfNeeded: unit.count))
      payloads.append(unit)
    }
    payloads.endPayload()
  }

  /// The forbidden bit of any and the highest NRI; in HEVC the lowest layer and temporal id.
  private func appendAggregateHeader(_ range: Range<Int>, to payloads: inout RTPPayloads) {
    let first = units[range].map { $0.bytes.byte(at: 0) ?? 0 }
    guard syntax == .hevc else {
      let forbidden = first.reduce(0) { $0 | $1 & 0x80 }
      let importance = first.reduce(0) { max($0, $1 & 0x60) }
      return payloads.append(forbidden | importance | syntax.aggregationType)
    }
    let second = units[range].map { $0.bytes.byte(at: 1) ?? 0 }
    let layer = zip(first, second).reduce(UInt8(63)) { min($0, ($1.0 & 1) << 5 | $1.1 >> 3) }
    let temporal = second.reduce(7) { min($0, $1 & 7) }
    payloads.append(first.reduce(0) { $0 | $1 & 0x80 } | syntax.aggregationType << 1 | layer >> 5)
    payloads.append(layer << 3 | temporal)
  }

  /// FU-A (RFC 6184 §5.8) or FU (RFC 7798 §4.4.3).
  private func fragment(_ unit: Slice, into payloads: inout RTPPayloads) {
    guard let first = unit.bytes.byte(at: 0) else { return }
    let body = unit.dropFirst(syntax.headerSize)
    let size = EvenSplit.partSize(body.count, maximum: maximumSize - syntax.headerSize - 1)
    var offset = 0
    while offset < body.count {
      let end = min(offset + size, body.count)
      payloads.append(syntax.retyped(first, syntax.fragmentType))
      if syntax == .hevc { payloads.append(unit.bytes.byte(at: 1) ?? 0) }
      payloads.append((offset == 0 ? 0x80 : 0) | (end == body.count ? 0x40 : 0) | syntax.type(first))
      payloads.append(body.sub(offset..<end))
      payloads.endPayload()
      offset = end
    }
  }
}
