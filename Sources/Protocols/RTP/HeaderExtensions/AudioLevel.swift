internal import MartletPrimitives

/// How loud a packet's audio is (RFC 6464 §3), so that nobody has to decode it to know who speaks.
package struct AudioLevel: Equatable, Sendable {
  /// The sender thinks that this is speech.
  package var isVoice: Bool
  /// Below the loudest possible, in dB: 0 to 127, which is silence.
  package var attenuation: UInt8

  package init(isVoice: Bool, attenuation: UInt8) {
    self.isVoice = isVoice
    self.attenuation = min(127, attenuation)
  }

  package init?(_ value: RawSpan) {
    guard let byte = value.byte(at: 0) else { return nil }
    self.init(isVoice: byte & 0x80 != 0, attenuation: byte & 0x7F)
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) {
    elements.append(id, UInt64((isVoice ? 0x80 : 0) | attenuation), count: 1)
  }
}
