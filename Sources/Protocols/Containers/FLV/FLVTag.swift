package import MartletPrimitives

/// One tag of an FLV stream (Adobe FLV specification 10.1, annex E.4). Its body is what an RTMP message of the same type
/// carries.
package struct FLVTag: Sendable, Equatable {
  package enum Kind: UInt8, Sendable { case audio = 8, video = 9, script = 18 }

  package var kind: Kind
  /// Milliseconds, 32 bits, wraps after 49.7 days.
  package var timestamp: UInt32
  package var body: Slice

  package init(_ kind: Kind, timestamp: UInt32, body: Slice) {
    self.kind = kind
    self.timestamp = timestamp
    self.body = body
  }
}

/// The bytes of an FLV file or HTTP-FLV response around tag bodies, which can so stay shared.
package enum FLVWriter {
  /// The file header with the PreviousTagSize0 behind it: 13 bytes.
  package static func fileHeader(hasAudio: Bool, hasVideo: Bool) -> [UInt8] {
    let flags: UInt8 = (hasAudio ? 4 : 0) | (hasVideo ? 1 : 0)
    return Array("FLV".utf8) + [1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
  }

  /// Appends the 11 bytes before a body of `bodyCount` bytes, at most 2^24 − 1.
  package static func appendTagHeader(_ kind: FLVTag.Kind, timestamp: UInt32, bodyCount: Int, to output: inout [UInt8]) {
    let size = UInt32(clamping: bodyCount)
    output.append(kind.rawValue)
    for shift in [16, 8, 0] as [UInt32] { output.append(UInt8(truncatingIfNeeded: size >> shift)) }
    for shift in [16, 8, 0, 24] as [UInt32] { output.append(UInt8(truncatingIfNeeded: timestamp >> shift)) }
    output.append(0)
    output.append(0)
    output.append(0)
  }

  /// The PreviousTagSize behind a body of `bodyCount` bytes.
  package static func tagTrailer(bodyCount: Int) -> [UInt8] {
    let size = UInt32(clamping: bodyCount + 11)
    return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: size >> UInt32($0)) }
  }

  /// A whole tag in one array; copies the body.
  package static func tag(_ tag: FLVTag) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(tag.body.count + 15)
    appendTagHeader(tag.kind, timestamp: tag.timestamp, bodyCount: tag.body.count, to: &output)
    output.append(tag.body.bytes)
    output.append(contentsOf: tagTrailer(bodyCount: tag.body.count))
    return output
  }
}
