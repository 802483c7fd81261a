/// What either side can do beyond the codecs of 2002 (Enhanced RTMP v2, "Enhancing NetConnection connect Command").
package struct EnhancedCapabilities: Equatable, Sendable {
  /// What a peer can do with one codec; a bit set.
  package struct Codec: Equatable, Sendable {
    package static let decode: UInt32 = 1, encode: UInt32 = 2, forward: UInt32 = 4

    /// `hvc1`, `av01`, `Opus`, …, or `*` for any.
    package var fourCC: String
    package var mask: UInt32

    package init(_ fourCC: String, _ mask: UInt32) {
      self.fourCC = fourCC
      self.mask = mask
    }
  }

  /// Bits of `capsEx`.
  package static let reconnect: UInt32 = 1, multitrack: UInt32 = 2, modEx: UInt32 = 4, timestampNanoOffset: UInt32 = 8

  package var fourCCs: [String] = []
  package var video: [Codec] = []
  package var audio: [Codec] = []
  package var capsEx: UInt32 = 0

  package init() {}

  /// What Martlet forwards.
  package static let martlet: EnhancedCapabilities = {
    var own = EnhancedCapabilities()
    own.fourCCs = ["hvc1", "av01", "vp09", "avc1", "Opus", "mp4a", ".mp3"]
    own.video = ["hvc1", "av01", "vp09", "avc1"].map { Codec($0, Codec.forward) }
    own.audio = ["Opus", "mp4a", ".mp3"].map { Codec($0, Codec.forward) }
    own.capsEx = modEx
    return own
  }()

  /// From the object of a `connect`, or of its answer.
  package init(_ object: AMFValue) {
    fourCCs = object["fourCcList"]?.elements.compactMap(\.string) ?? []
    video = Self.codecs(object["videoFourCcInfoMap"])
    audio = Self.codecs(object["audioFourCcInfoMap"])
    capsEx = Self.mask(object["capsEx"])
  }

  /// False for a peer that says nothing of enhanced RTMP.
  package var isEmpty: Bool { fourCCs.isEmpty && video.isEmpty && audio.isEmpty && capsEx == 0 }

  package var properties: [AMFProperty] {
    var properties: [AMFProperty] = []
    if !fourCCs.isEmpty { properties.append(AMFProperty("fourCcList", .strictArray(fourCCs.map { .string($0) }))) }
    if !video.isEmpty { properties.append(AMFProperty("videoFourCcInfoMap", Self.map(video))) }
    if !audio.isEmpty { properties.append(AMFProperty("audioFourCcInfoMap", Self.map(audio))) }
    if capsEx != 0 { properties.append(AMFProperty("capsEx", .number(Double(capsEx)))) }
    return properties
  }

  private static func codecs(_ map: AMFValue?) -> [Codec] { map?.properties.map { Codec($0.name, mask($0.value)) } ?? [] }

  private static func map(_ codecs: [Codec]) -> AMFValue { .object(codecs.map { AMFProperty($0.fourCC, .number(Double($0.mask))) }) }

  private static func mask(_ value: AMFValue?) -> UInt32 { value?.number.flatMap { UInt32(exactly: $0) } ?? 0 }
}
