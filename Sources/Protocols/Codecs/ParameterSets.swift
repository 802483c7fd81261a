package import MartletPrimitives

/// The H.264 or HEVC parameter sets in force on a track. Encoders repeat them in band, one or several an access unit, and
/// may change them there: a set replaces the one with its kind and id, so partial repetitions change nothing.
package struct ParameterSets: Sendable {
  private struct Entry { var id: UInt8, unit: Slice }
  package let codec: Codec
  private var vps: [Entry] = [], sps: [Entry] = [], pps: [Entry] = []

  /// - Parameter codec: `.h264` or `.hevc`.
  package init(_ codec: Codec) { self.codec = codec }

  /// The sets of a configuration record. Those whose id cannot be read are left out.
  package init(_ codec: Codec, record: Slice) throws(ParseError) {
    self.init(codec)
    if codec == .h264 {
      let configuration = try H264Configuration(record)
      for unit in configuration.sps + configuration.pps { absorb(unit) }
    } else {
      let configuration = try HEVCConfiguration(record)
      for unit in configuration.vps + configuration.sps + configuration.pps { absorb(unit) }
    }
  }

  /// Whether `absorb` has an interest in a NAL unit that begins with this byte.
  package static func contains(_ firstByte: UInt8, of codec: Codec) -> Bool {
    codec == .h264 ? 7...8 ~= H264.nalType(firstByte) : 32...34 ~= HEVC.nalType(firstByte)
  }

  /// Takes a NAL unit that may be a parameter set. True when it changed what is in force; a set that cannot be parsed
  /// is ignored, since the old one may still do.
  @discardableResult
  package mutating func absorb(_ unit: Slice) -> Bool {
    guard let first = unit.bytes.byte(at: 0), unit.count <= 4096 else { return false }
    if codec == .h264 {
      switch H264.nalType(first) {
      case H264.NALType.sps: return (try? H264SPS(unit)).map { ParameterSets.put(unit, id: $0.id, into: &sps) } ?? false
      case H264.NALType.pps: return ParameterSets.firstCode(unit, after: 1).map { ParameterSets.put(unit, id: $0, into: &pps) } ?? false
      default: return false
      }
    }
    switch HEVC.nalType(first) {
    case HEVC.NALType.vps: return unit.bytes.byte(at: 2).map { ParameterSets.put(unit, id: $0 >> 4, into: &vps) } ?? false
    case HEVC.NALType.sps: return (try? HEVCSPS(unit)).map { ParameterSets.put(unit, id: $0.id, into: &sps) } ?? false
    case HEVC.NALType.pps: return ParameterSets.firstCode(unit, after: 2).map { ParameterSets.put(unit, id: $0, into: &pps) } ?? false
    default: return false
    }
  }

  /// Decoding can be configured: there is an SPS and a PPS (and a VPS).
  package var isComplete: Bool { !sps.isEmpty && !pps.isEmpty && (codec == .h264 || !vps.isEmpty) }

  /// The body of `avcC` or `hvcC`.
  package func record() throws(ParseError) -> Slice {
    codec == .h264
      ? try H264Configuration(sps: sps.map(\.unit), pps: pps.map(\.unit)).write()
      : try HEVCConfiguration(vps: vps.map(\.unit), sps: sps.map(\.unit), pps: pps.map(\.unit)).write()
  }

  package func format(timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    codec == .h264 ? try .h264(avcC: record(), timescale: timescale) : try .hevc(hvcC: record(), timescale: timescale)
  }

  /// A copy is stored: a set must not keep the whole frame it came in alive.
  private static func put(_ unit: Slice, id: UInt8, into entries: inout [Entry]) -> Bool {
    guard let index = entries.firstIndex(where: { $0.id == id }) else {
      guard entries.count < 31 else { return false }
      entries.append(Entry(id: id, unit: Slice(copying: unit.bytes)))
      return true
    }
    guard entries[index].unit != unit else { return false }
    entries[index].unit = Slice(copying: unit.bytes)
    return true
  }

  /// The Exp-Golomb number behind the NAL header, which is the id of a PPS.
  private static func firstCode(_ unit: Slice, after header: Int) -> UInt8? {
    var reader = BitReader(unit.bytes)
    guard (try? reader.skip(header * 8)) != nil, let id = try? reader.ue(), id < 256 else { return nil }
    return UInt8(id)
  }
}
