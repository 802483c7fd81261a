package import MartletPrimitives

/// Which layer a packet's frame belongs to, and what needs it, without looking at the payload (AV1 RTP specification, appendix A). What a
/// forwarder needs is read; differences between frames are passed over.
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
  /// What the frame is to decode targets and chains; `nil` when no structure is known.
  package var dependencies: FrameDependencies?

  /// - Parameter current: the structure in force, without which changes of the decode targets are not read.
  package init(parsing value: RawSpan, current: DependencyStructure? = nil) throws(ParseError) {
    var reader = BitReader(value)
    startsFrame = try reader.flag()
    endsFrame = try reader.flag()
    templateID = UInt8(truncatingIfNeeded: try reader.bits(6))
    frameNumber = UInt16(truncatingIfNeeded: try reader.bits(16))
    // The mandatory fields take three bytes; more is the extended part.
    guard reader.remaining > 0 else {
      dependencies = current?.dependencies(of: templateID)
      return
    }
    let hasStructure = try reader.flag()
    let hasActiveTargets = try reader.flag()
    let (hasIndications, hasDifferences, hasChains) = (try reader.flag(), try reader.flag(), try reader.flag())
    if hasStructure { structure = try DependencyStructure(parsing: &reader) }
    guard let inForce = structure ?? current else { return }
    if hasActiveTargets { activeDecodeTargets = try reader.bits(inForce.decodeTargets) }
    guard var frame = inForce.dependencies(of: templateID) else { return }
    if hasIndications { frame.indications = try FrameDependencies.indications(&reader, inForce.decodeTargets) }
    if hasDifferences { try Self.skipDifferences(&reader) }
    if hasChains { frame.chainDifferences = try FrameDependencies.chainDifferences(&reader, inForce.chains, bits: 8) }
    dependencies = frame
  }

  /// `frame_fdiffs()`.
  @_lifetime(reader: copy reader)
  private static func skipDifferences(_ reader: inout BitReader) throws(ParseError) {
    while case let size = Int(try reader.bits(2)), size > 0 { try reader.skip(4 * size) }
  }

  /// The layer of the frame under the structure in force; `nil` when the structure does not know the template.
  package func layer(_ structure: DependencyStructure) -> DependencyStructure.Layer? {
    structure.index(of: templateID).map { structure.templates[$0] }
  }
}

/// What a frame is to those who decode one of the targets.
package struct FrameDependencies: Equatable, Sendable {
  /// A.8.3.1: not part of the target; needed by nothing of it; the target can be begun here; needed.
  package enum Indication: UInt8, Sendable { case notPresent, discardable, `switch`, required }

  /// Two bits for each decode target, the first in the lowest ones.
  package var indications: UInt64
  /// A byte for each chain: how many frames ago its last one was, 0 for none before.
  package var chainDifferences: UInt64

  package init(indications: UInt64, chainDifferences: UInt64) {
    (self.indications, self.chainDifferences) = (indications, chainDifferences)
  }

  package func indication(of target: Int) -> Indication {
    Indication(rawValue: UInt8(indications >> UInt64(target * 2) & 3)) ?? .notPresent
  }

  /// Chains that fit; streams of today have one for each spatial layer.
  package static let maximumChains = 8

  @_lifetime(reader: copy reader)
  static func indications(_ reader: inout BitReader, _ targets: Int) throws(ParseError) -> UInt64 {
    var bits: UInt64 = 0
    for target in 0..<targets { bits |= UInt64(try reader.bits(2)) << UInt64(target * 2) }
    return bits
  }

  @_lifetime(reader: copy reader)
  static func chainDifferences(_ reader: inout BitReader, _ chains: Int, bits: Int) throws(ParseError) -> UInt64 {
    var differences: UInt64 = 0
    for chain in 0..<chains {
      let difference = UInt64(try reader.bits(bits))
      if chain < maximumChains { differences |= difference << UInt64(chain * 8) }
    }
    return differences
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
  /// What a frame of each template is, unless it says otherwise itself.
  package var frames: [FrameDependencies]
  /// How many chains there are, at most as many as decode targets, and which one keeps each target whole.
  package var chains = 0
  package var chainOfTarget: [Int] = []
  /// By spatial layer; empty when the sender does not say.
  package var resolutions: [Resolution] = []

  @_lifetime(reader: copy reader)
  init(parsing reader: inout BitReader) throws(ParseError) {
    templateOffset = UInt8(truncatingIfNeeded: try reader.bits(6))
    decodeTargets = Int(try reader.bits(5)) + 1
    templates = try Self.layers(&reader)
    frames = []
    for _ in templates {
      frames.append(FrameDependencies(indications: try FrameDependencies.indications(&reader, decodeTargets), chainDifferences: 0))
    }
    try Self.skipDifferences(&reader, templates.count)
    try readChains(&reader)
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
  private mutating func readChains(_ reader: inout BitReader) throws(ParseError) {
    chains = try Self.nonSymmetric(&reader, decodeTargets + 1)
    guard chains > 0 else { return }
    for _ in 0..<decodeTargets { chainOfTarget.append(try Self.nonSymmetric(&reader, chains)) }
    for index in frames.indices { frames[index].chainDifferences = try FrameDependencies.chainDifferences(&reader, chains, bits: 4) }
  }

  /// A.8.3: ids count on from the structure's offset, modulo 64.
  func index(of templateID: UInt8) -> Int? {
    let index = Int((templateID &+ 64 &- templateOffset) & 63)
    return index < templates.count ? index : nil
  }

  func dependencies(of templateID: UInt8) -> FrameDependencies? { index(of: templateID).map { frames[$0] } }

  /// The layers of each decode target: the highest that any of its templates has (`decode_target_layers()`).
  package var targetLayers: [Layer] {
    (0..<decodeTargets).map { target in
      let present = templates.indices.filter { frames[$0].indication(of: target) != .notPresent }.map { templates[$0] }
      return Layer(spatial: present.map(\.spatial).max() ?? 0, temporal: present.map(\.temporal).max() ?? 0)
    }
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
