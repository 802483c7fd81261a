/// A codec as a section offers or answers it: `rtpmap`, `fmtp` and `rtcp-fb` of one payload type.
package struct RTPCodec: Equatable, Sendable {
  /// 0 to 127.
  package var payloadType: UInt8
  package var name: String
  /// In hertz, of the RTP timestamps.
  package var clockRate: UInt32
  package var channels: UInt8
  package var parameters: FormatParameters
  package var feedback: [RTCPFeedback.Kind]

  package init(
    _ payloadType: UInt8, _ name: String, clockRate: UInt32, channels: UInt8 = 1, parameters: FormatParameters = FormatParameters(),
    feedback: [RTCPFeedback.Kind] = []
  ) {
    (self.payloadType, self.name, self.clockRate, self.channels) = (payloadType, name, clockRate, channels)
    (self.parameters, self.feedback) = (parameters, feedback)
  }

  /// Encoding names are compared without case (RFC 4855 §3).
  package func isNamed(_ other: String) -> Bool { name.lowercased() == other.lowercased() }

  /// RFC 4588 §8.6: the payload type whose retransmissions this one carries; `nil` unless it is RTX.
  package var associatedPayloadType: UInt8? {
    isNamed("rtx") ? parameters.number("apt").flatMap { UInt8(exactly: $0) } : nil
  }

  /// RFC 2198 §5: the payload types in the blocks of RED, by the `111/111` of its parameters.
  package var redundantPayloadTypes: [UInt8] {
    guard isNamed("red"), let list = parameters.parameters.first, list.value == nil else { return [] }
    return list.name.split(separator: "/").compactMap { UInt8($0) }
  }

  /// Media themselves, as opposed to repair, tones and silence beside them.
  package var isPrimary: Bool { !RTPCodec.auxiliaries.contains(name.lowercased()) }

  private static let auxiliaries: Set<String> = ["rtx", "red", "ulpfec", "flexfec", "flexfec-03", "telephone-event", "cn"]

  /// RFC 3551 §6: payload types that need no `rtpmap`.
  static func wellKnown(_ payloadType: UInt8) -> RTPCodec? {
    switch payloadType {
    case 0: RTPCodec(0, "PCMU", clockRate: 8000)
    case 3: RTPCodec(3, "GSM", clockRate: 8000)
    case 4: RTPCodec(4, "G723", clockRate: 8000)
    case 8: RTPCodec(8, "PCMA", clockRate: 8000)
    case 9: RTPCodec(9, "G722", clockRate: 8000)
    case 10: RTPCodec(10, "L16", clockRate: 44100, channels: 2)
    case 11: RTPCodec(11, "L16", clockRate: 44100)
    case 13: RTPCodec(13, "CN", clockRate: 8000)
    case 14: RTPCodec(14, "MPA", clockRate: 90000)
    case 15: RTPCodec(15, "G728", clockRate: 8000)
    case 18: RTPCodec(18, "G729", clockRate: 8000)
    case 26: RTPCodec(26, "JPEG", clockRate: 90000)
    case 32: RTPCodec(32, "MPV", clockRate: 90000)
    case 33: RTPCodec(33, "MP2T", clockRate: 90000)
    case 34: RTPCodec(34, "H263", clockRate: 90000)
    default: nil
    }
  }
}

extension MediaDescription {
  /// The codecs of an RTP section in the order of its formats. Payload types that nothing explains are left out.
  package var codecs: [RTPCodec] {
    get {
      var known: [UInt8: RTPCodec] = [:]
      var (parameters, feedback): ([UInt8: FormatParameters], [UInt8: [RTCPFeedback.Kind]]) = ([:], [:])
      var feedbackOfAll: [RTCPFeedback.Kind] = []
      for attribute in attributes {
        switch attribute {
        case .rtpmap(let map):
          known[map.payloadType] = RTPCodec(map.payloadType, map.encoding, clockRate: map.clockRate, channels: map.channels ?? 1)
        case .fmtp(let format, let values): if let type = UInt8(format) { parameters[type] = values }
        case .rtcpFeedback(let value):
          if let type = value.payloadType { feedback[type, default: []].append(value.kind) } else { feedbackOfAll.append(value.kind) }
        default: break
        }
      }
      return formats.compactMap { format in
        guard let type = UInt8(format), var codec = known[type] ?? RTPCodec.wellKnown(type) else { return nil }
        codec.parameters = parameters[type] ?? FormatParameters()
        codec.feedback = (feedback[type] ?? []) + feedbackOfAll
        return codec
      }
    }
    set {
      formats = newValue.map { String($0.payloadType) }
      let isCodec = { (attribute: SDPAttribute) in ["rtpmap", "fmtp", "rtcp-fb"].contains(attribute.name) }
      let place = attributes.firstIndex(where: isCodec) ?? attributes.endIndex
      attributes.removeAll(where: isCodec)
      attributes.insert(contentsOf: newValue.flatMap(\.attributes), at: min(place, attributes.endIndex))
    }
  }
}

extension RTPCodec {
  fileprivate var attributes: [SDPAttribute] {
    let map = RTPMap(payloadType: payloadType, encoding: name, clockRate: clockRate, channels: channels == 1 ? nil : channels)
    var lines = [SDPAttribute.rtpmap(map)]
    lines += feedback.map { .rtcpFeedback(RTCPFeedback(payloadType: payloadType, $0)) }
    if !parameters.isEmpty { lines.append(.fmtp(format: String(payloadType), parameters)) }
    return lines
  }
}
