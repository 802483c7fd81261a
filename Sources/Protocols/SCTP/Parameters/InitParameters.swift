internal import MartletPrimitives

/// Type and length of a parameter or an error cause (RFC 9260 §3.2.1).
struct ParameterHeader {
  let type: UInt16
  let bodyBytes: Int

  @_lifetime(reader: copy reader)
  init(parsing reader: inout ByteReader) throws(ParseError) {
    let start = reader.offset
    type = try reader.u16()
    let length = Int(try reader.u16())
    guard length >= 4 else { throw .invalid("a parameter shorter than its header", at: start) }
    bodyBytes = length - 4
  }

  var padding: Int { -bodyBytes & 3 }
  /// RFC 9260 §3.2.1: the two highest bits of an unknown type.
  var stopsWhenUnknown: Bool { type & 0x8000 == 0 }
  var isReportedWhenUnknown: Bool { type & 0x4000 != 0 }
}

enum ParameterType {
  static let stateCookie: UInt16 = 7
  static let unrecognized: UInt16 = 8
  /// RFC 9653 §4.
  static let zeroChecksumAcceptable: UInt16 = 0x8001
  /// RFC 5061 §4.2.7.
  static let supportedExtensions: UInt16 = 0x8008
  /// RFC 3758 §3.1.
  static let forwardTSNSupported: UInt16 = 0xC000
  /// RFC 6525 §4.
  static let outgoingReset: UInt16 = 13
  static let incomingReset: UInt16 = 14
  static let associationReset: UInt16 = 15
  static let reconfigurationResponse: UInt16 = 16
  static let addOutgoingStreams: UInt16 = 17
  static let addIncomingStreams: UInt16 = 18
  /// Of addresses, which do not exist over DTLS (RFC 8261 §5), and others that are understood by passing them over.
  static let ignored: Set<UInt16> = [5, 6, 9, 11, 12, 0x8000, 0x8002, 0x8003, 0x8004, 0xC006]
}

/// The extensions that one end speaks.
package struct SCTPExtensions: OptionSet, Equatable, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  /// RFC 3758: messages may be given up.
  package static let partialReliability = SCTPExtensions(rawValue: 1)
  /// RFC 8260: messages are interleaved.
  package static let interleaving = SCTPExtensions(rawValue: 2)
  /// RFC 6525: streams are reset.
  package static let reconfiguration = SCTPExtensions(rawValue: 4)
  /// RFC 9653 with DTLS below: a checksum of zero is accepted.
  package static let zeroChecksum = SCTPExtensions(rawValue: 8)
}

/// What INIT and INIT ACK say besides their fixed fields.
package struct InitParameters: Equatable, Sendable {
  package var extensions: SCTPExtensions = []
  /// Of INIT ACK.
  package var cookie: [UInt8] = []
  /// Whole parameters that the sender wants to have reported (RFC 9260 §3.2.2).
  package var unrecognized: [UInt8] = []

  /// RFC 9653 §4: the error detection method of DTLS.
  private static let errorDetectionByDTLS: UInt32 = 1

  package init(extensions: SCTPExtensions, cookie: [UInt8] = [], unrecognized: [UInt8] = []) {
    self.extensions = extensions
    self.cookie = cookie
    self.unrecognized = unrecognized
  }

  @_lifetime(reader: copy reader)
  init(parsing reader: inout ByteReader, limits: SCTPLimits) throws(ParseError) {
    var count = 0
    while !reader.isAtEnd {
      count += 1
      guard count <= limits.parameters else { throw .limit("parameters of a chunk", maximum: limits.parameters) }
      let header = try ParameterHeader(parsing: &reader)
      let body = try reader.bytes(header.bodyBytes)
      try reader.skip(min(header.padding, reader.remaining))
      guard try take(header, body, limits: limits) else { return }
    }
  }

  /// - Returns: false when the rest is not to be read.
  private mutating func take(_ header: ParameterHeader, _ body: RawSpan, limits: SCTPLimits) throws(ParseError) -> Bool {
    var reader = ByteReader(body)
    switch header.type {
    case ParameterType.stateCookie:
      guard body.byteCount <= limits.cookie else { throw .limit("bytes of a state cookie", maximum: limits.cookie) }
      cookie = Array(copying: body)
    case ParameterType.zeroChecksumAcceptable:
      if try reader.u32() == Self.errorDetectionByDTLS { extensions.insert(.zeroChecksum) }
    case ParameterType.supportedExtensions:
      while !reader.isAtEnd { add(chunk: try reader.u8()) }
    case ParameterType.forwardTSNSupported: extensions.insert(.partialReliability)
    case ParameterType.unrecognized: break
    case let type where ParameterType.ignored.contains(type): break
    default:
      if header.isReportedWhenUnknown { report(header, body, limits: limits) }
      return !header.stopsWhenUnknown
    }
    return true
  }

  private mutating func add(chunk type: UInt8) {
    switch type {
    case ChunkType.forwardTSN: extensions.insert(.partialReliability)
    case ChunkType.interleavedData: extensions.insert(.interleaving)
    case ChunkType.reconfiguration: extensions.insert(.reconfiguration)
    default: break
    }
  }

  /// An INIT ACK must not outgrow a packet for what an INIT holds.
  private mutating func report(_ header: ParameterHeader, _ body: RawSpan, limits: SCTPLimits) {
    guard unrecognized.count + body.byteCount + 8 <= limits.reportedBytes else { return }
    var writer = ByteWriter(appendingTo: unrecognized)
    let start = writer.beginBlock()
    writer.append(body)
    writer.endParameter(header.type, at: start)
    unrecognized = writer.bytes
  }

  func write(into writer: inout ByteWriter) {
    if !cookie.isEmpty {
      let start = writer.beginBlock()
      writer.append(cookie)
      writer.endParameter(ParameterType.stateCookie, at: start)
    }
    writeExtensions(into: &writer)
    if !unrecognized.isEmpty {
      let start = writer.beginBlock()
      writer.append(unrecognized)
      writer.endParameter(ParameterType.unrecognized, at: start)
    }
  }

  private func writeExtensions(into writer: inout ByteWriter) {
    var chunks: [UInt8] = []
    if extensions.contains(.reconfiguration) { chunks.append(ChunkType.reconfiguration) }
    if extensions.contains(.partialReliability) {
      chunks.append(ChunkType.forwardTSN)
      writer.endParameter(ParameterType.forwardTSNSupported, at: writer.beginBlock())
    }
    if extensions.contains(.interleaving) { chunks += [ChunkType.interleavedData, ChunkType.interleavedForwardTSN] }
    if !chunks.isEmpty {
      let start = writer.beginBlock()
      writer.append(chunks)
      writer.endParameter(ParameterType.supportedExtensions, at: start)
    }
    if extensions.contains(.zeroChecksum) {
      let start = writer.beginBlock()
      writer.u32(Self.errorDetectionByDTLS)
      writer.endParameter(ParameterType.zeroChecksumAcceptable, at: start)
    }
  }
}
