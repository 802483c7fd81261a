internal import MartletSDP

/// The payload types of a session: one bundle is one RTP session, in which a number means one codec for as long as it lasts
/// (RFC 8843 §9.1, RFC 3264 §8.3.2).
struct PayloadTypes {
  private var assigned: [RTPCodec] = []
  private var taken: Set<UInt8> = []

  /// - Parameter sessions: where meanings were given, the most important first.
  init(_ sessions: [SessionDescription]) {
    for section in sessions.lazy.flatMap(\.media) where section.transport.isRTP && !section.isRejected {
      for codec in section.codecs { note(codec) }
    }
  }

  private mutating func note(_ codec: RTPCodec) {
    guard taken.insert(codec.payloadType).inserted else { return }
    assigned.append(codec)
  }

  /// The codecs with the payload types of the session, RTX and RED renamed along. One for which no number is left drops out.
  mutating func assign(_ codecs: [RTPCodec]) -> [RTPCodec] {
    var renamed: [UInt8: UInt8] = [:]
    var result = [RTPCodec?](repeating: nil, count: codecs.count)
    // What others refer to comes first.
    for pass in [codecs.indices.filter { codecs[$0].isPrimary }, codecs.indices.filter { !codecs[$0].isPrimary }] {
      for index in pass {
        guard var codec = Self.refer(codecs[index], renamed) else { continue }
        guard let type = type(of: codec) else { continue }
        renamed[codecs[index].payloadType] = type
        codec.payloadType = type
        note(codec)
        result[index] = codec
      }
    }
    return result.compactMap(\.self)
  }

  /// The codec with the payload types it refers to renamed; `nil` when one of them is gone.
  private static func refer(_ codec: RTPCodec, _ renamed: [UInt8: UInt8]) -> RTPCodec? {
    var codec = codec
    if let repaired = codec.associatedPayloadType {
      guard let type = renamed[repaired] else { return nil }
      codec.parameters["apt"] = String(type)
    }
    let blocks = codec.redundantPayloadTypes
    if !blocks.isEmpty {
      let types = blocks.compactMap { renamed[$0] }
      guard types.count == blocks.count else { return nil }
      codec.parameters = FormatParameters(types.map { String($0) }.joined(separator: "/"))
    }
    return codec
  }

  private func type(of codec: RTPCodec) -> UInt8? {
    if let same = assigned.first(where: { $0.payloadType == codec.payloadType }), Self.isSame(same, codec) { return same.payloadType }
    if let known = assigned.first(where: { Self.isSame($0, codec) }) { return known.payloadType }
    if !taken.contains(codec.payloadType) { return codec.payloadType }
    // RFC 8843 §9.1 and RFC 5761 §4: the dynamic ones, then those below that no RTCP packet looks like.
    return [UInt8](96...127).first { !taken.contains($0) } ?? [UInt8](35...63).first { !taken.contains($0) }
  }

  private static func isSame(_ known: RTPCodec, _ codec: RTPCodec) -> Bool {
    known.clockRate == codec.clockRate && known.associatedPayloadType == codec.associatedPayloadType
      && known.redundantPayloadTypes == codec.redundantPayloadTypes && known.answer(with: codec) != nil
  }
}
