package import MartletPrimitives

/// Which layer a packet's frame belongs to, without looking at the payload (AV1 RTP specification, appendix A). What a forwarder
/// needs is read; frame differences and chains are passed over.
package struct DependencyDescriptor: Equatable, Sendable {
  package var startsFrame: Bool
  package var endsFrame: Bool
  /// 6 bits; `layer(_:)` looks it up.
  package var templateID: UInt8
  package var frameNumber: UInt16
  /// Comes with key frames and holds until the next one.
  package var structure: DependencyStructure?
  /// Which decode targets are still sent, one bit each, when that changes.
  package var activeDecodeTargets: UInt32?

  /// - Parameter current: the structure in force, without which changes of the decode targets are not read.
  package init(parsing value: RawSpan, current: DependencyStructure? = nil) throws(ParseError) {
    var reader = BitReader(value)
    startsFrame = try reader.flag()
    endsFrame = try reader.flag()
    templateID = UInt8(truncatingIfNeeded: try reader.bits(6))
    frameNumber = UInt16(truncatingIfNeeded: try reader.bits(16))
    // The mandatory fields take three bytes; more is the extended part.
    guard reader.remaining > 0 else { return }
    let hasStructure = try reader.flag()
    let hasActiveTargets = try reader.flag()
    // Custom DTIs, frame differences and chains of this one frame come last.
    try reader.skip(3)
    if hasStructure { structure = try DependencyStructure(parsing: &reader) }
    if hasActiveTargets, let count = (structure ?? current)?.decodeTargets { activeDecodeTargets = try reader.bits(count) }
  }

  /// The layer of the frame under the structure in force; `nil` when the structure does not know the template.
  package func layer(_ structure: DependencyStructure) -> DependencyStructure.Layer? {
    // A.8.3: ids count on from the structure's offset, modulo 64.
    let index = Int((templateID &+ 64 &- structure.templateOffset) & 63)
    return index < structure.templates.count ? structure.templates[index] : nil
  }
}

/// The layers that the frame templates of a stream stand for (appendix A.8.2).
package struct DependencyStructure: Equatable, Sendable {
  package struct Layer: Equatable, Hashable, Sendable {
    package var spatial: UInt8
    package var temporal: UInt8

    package init(spatial: UInt8, temporal: UInt8) {
      self.spatial = spatial
      self.temporal = temporal
    }
  }

  package struct Resolution: Equatable, Sendable {
    package var width: Int
    package var height: Int
  }

  /// The id of the first template, 6 bits.
  package var templateOffset: UInt8
  /// 1 to 32.
  package var decodeTargets: Int
  /// At most 64.
  package var templates: [Layer]
  /// By spatial layer; empty when the sender does not say.
  package var resolutions: [Resolution] = []

  @_lifetime(reader: copy reader)
  init(parsing reader: inout BitReader) throws(ParseError) {
    templateOffset = UInt8(truncatingIfNeeded: try reader.bits(6))
    decodeTargets = Int(try reader.bits(5)) + 1
    templates = try Self.layers(&reader)
    try reader.skip(templates.count * decodeTargets * 2)
    try Self.skipDifferences(&reader, templates.count)
    try Self.skipChains(&reader, templates.count, decodeTargets)
    guard try reader.flag() else { return }
    for _ in 0...(templates.last?.spatial ?? 0) {
      let (width, height) = (try reader.bits(16), try reader.bits(16))
      resolutions.append(Resolution(width: Int(width) + 1, height: Int(height) + 1))
    }
  }

  /// `template_layers()`: the layers in order, each one step from the one before.
  @_lifetime(reader: copy reader)
  private static func layers(_ reader: inout BitReader) throws(ParseError) -> [Layer] {
    var layers: [Layer] = []
    var layer = Layer(spatial: 0, temporal: 0)
    while true {
      guard layers.count < 64 else { throw .limit("dependency templates", maximum: 64) }
      layers.append(layer)
      switch try reader.bits(2) {
      case 0: break
      case 1: layer.temporal += 1
      case 2: layer = Layer(spatial: layer.spatial + 1, temporal: 0)
      default: return layers
      }
    }
  }

  /// `template_fdiffs()`.
  @_lifetime(reader: copy reader)
  private static func skipDifferences(_ reader: inout BitReader, _ templates: Int) throws(ParseError) {
    for _ in 0..<templates {
      while try reader.flag() { try reader.skip(4) }
    }
  }

  /// `template_chains()`.
  @_lifetime(reader: copy reader)
  private static func skipChains(_ reader: inout BitReader, _ templates: Int, _ decodeTargets: Int) throws(ParseError) {
    let chains = try nonSymmetric(&reader, decodeTargets + 1)
    guard chains > 0 else { return }
    for _ in 0..<decodeTargets { _ = try nonSymmetric(&reader, chains) }
    try reader.skip(templates * chains * 4)
  }

  /// `ns(n)` of appendix A.8.1: a value below `n` in as few bits as can be.
  @_lifetime(reader: copy reader)
  private static func nonSymmetric(_ reader: inout BitReader, _ n: Int) throws(ParseError) -> Int {
    let width = Int.bitWidth - n.leadingZeroBitCount
    let short = (1 << width) - n
    let value = Int(try reader.bits(width - 1))
    if value < short { return value }
    return value * 2 - short + Int(try reader.bits(1))
  }
}
