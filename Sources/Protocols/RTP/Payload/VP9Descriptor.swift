package import MartletPrimitives

/// The VP9 payload descriptor (RFC 9628 §4.2).
package struct VP9Descriptor: Sendable, Equatable {
  /// 7 or 15 bits.
  package var pictureID: UInt16?
  /// P: decoding needs earlier pictures.
  package var isInterPredicted = false
  /// F: which ones is said here, and not by the picture group of the scalability structure.
  package var isFlexible = false
  /// B and E: the first and the last packet of a frame, which is one spatial layer of a picture.
  package var isFrameStart = false, isFrameEnd = false
  /// Z: no higher spatial layer refers to this frame.
  package var isUnreferencedByLayers = false
  package var layers: Layers?
  /// Non-flexible mode with layers only.
  package var tl0PictureIndex: UInt8?
  /// Flexible mode: pictures back, up to three.
  package var references: [UInt8] = []
  package var scalability: VP9ScalabilityStructure?

  package struct Layers: Sendable, Equatable {
    /// 0 to 7 each.
    package var temporal: UInt8, spatial: UInt8
    /// U: receivers may switch up to this temporal layer here.
    package var isSwitchingPoint: Bool
    /// D: this frame needs the spatial layer below.
    package var isInterLayerPredicted: Bool

    package init(temporal: UInt8, spatial: UInt8, isSwitchingPoint: Bool, isInterLayerPredicted: Bool) {
      (self.temporal, self.spatial) = (temporal, spatial)
      (self.isSwitchingPoint, self.isInterLayerPredicted) = (isSwitchingPoint, isInterLayerPredicted)
    }
  }

  package init() {}

  package init(_ reader: inout ByteReader) throws(ParseError) {
    let flags = try reader.u8()
    (isInterPredicted, isFlexible) = (flags & 0x40 != 0, flags & 0x10 != 0)
    (isFrameStart, isFrameEnd, isUnreferencedByLayers) = (flags & 0x08 != 0, flags & 0x04 != 0, flags & 0x01 != 0)
    if flags & 0x80 != 0 {
      let id = try reader.u8()
      pictureID = id & 0x80 != 0 ? UInt16(id & 0x7f) << 8 | UInt16(try reader.u8()) : UInt16(id)
    }
    if flags & 0x20 != 0 {
      let byte = try reader.u8()
      layers = Layers(
        temporal: byte >> 5, spatial: byte >> 1 & 7, isSwitchingPoint: byte & 0x10 != 0, isInterLayerPredicted: byte & 1 != 0)
      if !isFlexible { tl0PictureIndex = try reader.u8() }
    }
    if isFlexible, isInterPredicted { references = try VP9Descriptor.references(&reader) }
    if flags & 0x02 != 0 { scalability = try VP9ScalabilityStructure(&reader) }
  }

  private static func references(_ reader: inout ByteReader) throws(ParseError) -> [UInt8] {
    var references: [UInt8] = []
    var hasMore = true
    while hasMore {
      guard references.count < 3 else { throw .limit("VP9 references", maximum: 3) }
      let byte = try reader.u8()
      references.append(byte >> 1)
      hasMore = byte & 1 != 0
    }
    return references
  }

  /// Where a viewer can start: a key frame of the lowest layer.
  package var isKeyFrameStart: Bool { isFrameStart && !isInterPredicted && (layers?.spatial ?? 0) == 0 }

  /// A picture id is written in 15 bits.
  package func write(to writer: inout ByteWriter) {
    var flags: UInt8 = (pictureID == nil ? 0 : 0x80) | (isInterPredicted ? 0x40 : 0) | (layers == nil ? 0 : 0x20)
    flags |= (isFlexible ? 0x10 : 0) | (isFrameStart ? 0x08 : 0) | (isFrameEnd ? 0x04 : 0)
    writer.u8(flags | (scalability == nil ? 0 : 0x02) | (isUnreferencedByLayers ? 0x01 : 0))
    if let pictureID { writer.u16(0x8000 | pictureID) }
    if let layers {
      let bits: UInt8 = (layers.isSwitchingPoint ? 0x10 : 0) | (layers.isInterLayerPredicted ? 1 : 0)
      writer.u8(layers.temporal << 5 | (layers.spatial & 7) << 1 | bits)
      if !isFlexible { writer.u8(tl0PictureIndex ?? 0) }
    }
    if isFlexible, isInterPredicted {
      for (index, reference) in references.prefix(3).enumerated() {
        writer.u8(reference << 1 | (index + 1 < min(references.count, 3) ? 1 : 0))
      }
    }
    scalability?.write(to: &writer)
  }
}

/// The scalability structure (RFC 9628 §4.2.1): the layers of the stream and the picture group that repeats.
package struct VP9ScalabilityStructure: Sendable, Equatable {
  package struct Size: Sendable, Equatable {
    package var width: UInt16, height: UInt16

    package init(width: UInt16, height: UInt16) {
      self.width = width
      self.height = height
    }
  }

  package struct Picture: Sendable, Equatable {
    package var temporalLayer: UInt8
    package var isSwitchingPoint: Bool
    /// Pictures back, up to three.
    package var references: [UInt8]

    package init(temporalLayer: UInt8, isSwitchingPoint: Bool, references: [UInt8]) {
      (self.temporalLayer, self.isSwitchingPoint, self.references) = (temporalLayer, isSwitchingPoint, references)
    }
  }

  /// 1 to 8.
  package var spatialLayers: Int
  /// In pixels, of each spatial layer; empty when it does not say.
  package var sizes: [Size]
  /// `nil` when it does not say, empty when the group is not fixed.
  package var group: [Picture]?

  /// One layer, each picture after the one before.
  package init(width: UInt16, height: UInt16) {
    spatialLayers = 1
    sizes = [Size(width: width, height: height)]
    group = [Picture(temporalLayer: 0, isSwitchingPoint: true, references: [1])]
  }

  init(_ reader: inout ByteReader) throws(ParseError) {
    let head = try reader.u8()
    spatialLayers = Int(head >> 5) + 1
    sizes = []
    if head & 0x10 != 0 {
      for _ in 0..<spatialLayers { sizes.append(Size(width: try reader.u16(), height: try reader.u16())) }
    }
    guard head & 0x08 != 0 else { return }
    var pictures: [Picture] = []
    for _ in 0..<Int(try reader.u8()) {
      let byte = try reader.u8()
      var picture = Picture(temporalLayer: byte >> 5, isSwitchingPoint: byte & 0x10 != 0, references: [])
      for _ in 0..<Int(byte >> 2 & 3) { picture.references.append(try reader.u8()) }
      pictures.append(picture)
    }
    group = pictures
  }

  func write(to writer: inout ByteWriter) {
    let layers = UInt8(truncatingIfNeeded: min(max(spatialLayers, 1), 8) - 1)
    writer.u8(layers << 5 | (sizes.isEmpty ? 0 : 0x10) | (group == nil ? 0 : 0x08))
    for size in sizes {
      writer.u16(size.width)
      writer.u16(size.height)
    }
    guard let group else { return }
    writer.u8(UInt8(truncatingIfNeeded: group.count))
    for picture in group {
      let references = picture.references.prefix(3)
      writer.u8(picture.temporalLayer << 5 | (picture.isSwitchingPoint ? 0x10 : 0) | UInt8(references.count) << 2)
      for reference in references { writer.u8(reference) }
    }
  }
}
