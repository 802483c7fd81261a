import MartletCodecs
internal import MartletPrimitives

/// What the payload formats of H.264 (RFC 6184) and HEVC (RFC 7798) do differently; their structure is one.
enum NALSyntax: Sendable {
  case h264, hevc

  var codec: Codec { self == .h264 ? .h264 : .hevc }
  /// Bytes of a NAL unit header.
  var headerSize: Int { self == .h264 ? 1 : 2 }
  /// RFC 6184 table 1: STAP-A and FU-A. RFC 7798 §4.4: AP and FU.
  var aggregationType: UInt8 { self == .h264 ? 24 : 48 }
  var fragmentType: UInt8 { self == .h264 ? 28 : 49 }

  func type(_ firstByte: UInt8) -> UInt8 { self == .h264 ? H264.nalType(firstByte) : HEVC.nalType(firstByte) }

  /// The first byte of a header with another type: forbidden bit and NRI, or forbidden bit and the layer's high bit, stay.
  func retyped(_ firstByte: UInt8, _ type: UInt8) -> UInt8 {
    self == .h264 ? firstByte & 0xe0 | type & 0x1f : firstByte & 0x81 | (type & 0x3f) << 1
  }

  /// A NAL unit proper. The types above are the structures of the payload formats, 0 of H.264 is unspecified.
  func isUnit(_ type: UInt8) -> Bool { self == .h264 ? 1...23 ~= type : type < 48 }

  /// A NAL unit of a coded picture: slices, as opposed to what describes them.
  func isPicture(_ type: UInt8) -> Bool { self == .h264 ? 1...5 ~= type : type < 32 }

  func isRandomAccess(_ type: UInt8) -> Bool { self == .h264 ? type == H264.NALType.idr : HEVC.NALType.randomAccess ~= type }

  func isParameterSet(_ type: UInt8) -> Bool { self == .h264 ? 7...8 ~= type : 32...34 ~= type }

  /// Access unit delimiters and filler data: RTP marks the end of an access unit itself.
  func isDispensable(_ type: UInt8) -> Bool { self == .h264 ? type == 9 || type == 12 : type == 35 || type == 38 }

  /// Whether a NAL unit of this type can only be the first of its access unit, as far as a decoder cares: a delimiter, or the
  /// first kind of parameter set. Messages (SEI) that may have stood before it are not needed.
  func beginsUnit(_ type: UInt8) -> Bool { self == .h264 ? type == 9 || type == 7 : type == 35 || type == 32 }
}
